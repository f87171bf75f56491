/*
 * Runs a guest in v86 with its first serial port on standard output, as `qemu-system-i386 -nographic` does:
 *
 *   node v86-guest.ts WASM KERNEL INITRD COMMAND_LINE MEMORY_MIB BIOS VGA_BIOS
 *
 * A program of its own, so that it is measured as the others are: from the start of a process, which can be ended.
 */
import { readFile } from 'node:fs/promises';
import { V86 } from 'v86';

const [wasm, kernel, initrd, commandLine, memoryMiB, bios, vgaBios] = process.argv.slice(2) as [string, string, string, string, string, string, string];
const image = async (path: string) => ({ buffer: new Uint8Array(await readFile(path)).buffer });

const emulator = new V86({
  wasm_path: wasm,
  memory_size: Number(memoryMiB) * 2 ** 20,
  bios: await image(bios),
  vga_bios: await image(vgaBios),
  bzimage: await image(kernel),
  initrd: await image(initrd),
  cmdline: commandLine,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
  autostart: true,
});
let line = '';
emulator.add_listener('serial0-output-byte', (byte: number) => {
  line += String.fromCharCode(byte);
  if (byte !== 10) return;
  process.stdout.write(line);
  line = '';
});
