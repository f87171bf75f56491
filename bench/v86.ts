import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GuestRunner } from './guest.ts';

const GUEST = fileURLToPath(new URL('./v86-guest.ts', import.meta.url));
/** Debian's package `seabios`, which QEMU's depends on. v86's own package carries no firmware. */
const FIRMWARE = ['bios.bin', 'vgabios-stdvga.bin'].map((name) => join('/usr/share/seabios', name));

/** v86 in Node, a machine with a 32-bit processor. */
export const V86_RUNNER: GuestRunner = {
  name: 'v86',
  command: ({ kernel, initrd, commandLine, memoryMiB }) => [process.execPath, GUEST, wasmPath()!, kernel, initrd, commandLine, `${memoryMiB}`, ...FIRMWARE],
};

/** What v86 lacks on this computer, or undefined where it can run. */
export function missingForV86(): string | undefined {
  if (!wasmPath()) return 'the package v86: run "npm ci"';
  const firmware = FIRMWARE.find((path) => !existsSync(path));
  return firmware && `${firmware}: install seabios`;
}

/** Where v86's own WebAssembly lies, or undefined where the package is not installed. */
function wasmPath(): string | undefined {
  try {
    return join(dirname(fileURLToPath(import.meta.resolve('v86'))), 'v86.wasm');
  } catch {
    return undefined;
  }
}
