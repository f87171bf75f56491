import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IMAGE_ADDRESS, IMAGE_BYTES_MAX } from './guest-image.ts';
import { type GuestReport, parseReport } from './report.ts';

/** Emulators by others, which check the guests' own claims. */

const ROM_BYTES = 0x1_0000;
const LOADER_OFFSET = IMAGE_BYTES_MAX;
const RESET_OFFSET = 0xfff0;
const SECONDS_MAX = 20;

const word = (value: number) => [value & 0xff, value >> 8];

/** A ROM whose reset vector copies the image to RAM and jumps to it, in real mode. */
function romOf(image: Uint8Array): Uint8Array {
  const rom = new Uint8Array(ROM_BYTES);
  rom.set(image);
  rom.set([
    0xfa, 0xfc, // CLI; CLD
    0xb8, ...word(0xf000), 0x8e, 0xd8, // DS = F000
    0x31, 0xc0, 0x8e, 0xc0, 0x31, 0xf6, // ES = SI = 0
    0xbf, ...word(IMAGE_ADDRESS), 0xb9, ...word(IMAGE_BYTES_MAX / 2), 0xf3, 0xa5, // REP MOVSW to the image's address
    0xea, ...word(IMAGE_ADDRESS), ...word(0),
  ], LOADER_OFFSET);
  rom.set([0xea, ...word(LOADER_OFFSET), ...word(0xf000)], RESET_OFFSET);
  return rom;
}

function inDirectory(image: Uint8Array, run: (directory: string, rom: string) => GuestReport): GuestReport {
  const directory = mkdtempSync(join(tmpdir(), 'hanok-guest-'));
  try {
    const rom = join(directory, 'guest.rom');
    writeFileSync(rom, romOf(image));
    return run(directory, rom);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const installed = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' }).error === undefined;

export const hasQemu = () => installed('qemu-system-x86_64', '--version');
export const hasBochs = () => installed('bochs', '--help');

/** QEMU's TCG; Intel's where vendors differ. */
export function runQemu(image: Uint8Array): GuestReport {
  return inDirectory(image, (_, rom) => {
    const args = ['-accel', 'tcg', '-cpu', 'max,vendor=GenuineIntel', '-m', '16', '-bios', rom, '-display', 'none', '-vga', 'none', '-net', 'none', '-serial', 'none', '-monitor', 'none', '-no-reboot'];
    const { stdout, stderr, signal } = spawnSync('qemu-system-x86_64', [...args, '-debugcon', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'], { encoding: 'utf8', timeout: SECONDS_MAX * 1000, killSignal: 'SIGKILL' });
    return parseReport(stdout, signal ? `no end in ${SECONDS_MAX} s` : `QEMU ended: ${stderr.trim() || 'reset'}`);
  });
}

/** Bochs keeps to the manual more than to speed: segment limits, debug registers, task switches. */
export function runBochs(image: Uint8Array): GuestReport {
  return inDirectory(image, (directory, rom) => {
    const configuration = [
      'display_library: term', 'megs: 32', `romimage: file=${rom}`, 'port_e9_hack: enabled=1', 'cpu: model=corei7_icelake_u, reset_on_triple_fault=0, ignore_bad_msrs=0, ips=50000000', 'panic: action=fatal', 'error: action=ignore',
      `log: ${join(directory, 'log')}`, 'plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=0, serial=0',
    ];
    const path = join(directory, 'bochsrc');
    writeFileSync(path, configuration.map((line) => `${line}\n`).join(''));
    // Debian's Bochs starts in its debugger.
    const { stdout, stderr, signal } = spawnSync('bochs', ['-q', '-f', path], { encoding: 'latin1', input: 'c\nq\n', timeout: SECONDS_MAX * 1000, killSignal: 'SIGKILL', cwd: directory, env: { ...process.env, TERM: 'xterm' } });
    return parseReport(stdout, signal ? `no end in ${SECONDS_MAX} s` : `Bochs ended: ${/following message:\n(.*)/.exec(stderr)?.[1] ?? stderr}`);
  });
}
