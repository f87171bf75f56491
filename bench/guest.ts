import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { defaultCacheDirectory } from '@hanok/images';

/** What a machine boots; the same files for each of those compared. */
export interface GuestFiles {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  readonly memoryMiB: number;
  /** Of the disk /dev/vda; what the guest writes to it is lost. */
  readonly disk?: string | undefined;
}

/** A program that runs a guest with its serial port on its standard output. */
export interface GuestRunner {
  readonly name: string;
  command(files: GuestFiles): readonly string[];
  /** What the environment has besides. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Called before each guest. */
  prepare?(): Promise<void>;
}

const HANOK = fileURLToPath(new URL('../bin/hanok.js', import.meta.url));

export const HANOK_RUNNER: GuestRunner = {
  name: 'hanok',
  command: ({ kernel, initrd, commandLine, memoryMiB, disk }) => [
    process.execPath, HANOK, 'run', '--memory', `${memoryMiB}M`, '--kernel', kernel, '--initrd', initrd, '--append', commandLine,
    ...(disk === undefined ? [] : ['--overlay-disk', disk]),
  ],
};

/** The same on a computer that has not run this kernel yet: of the cache in `folder` only the interpreter stays from guest to guest. */
export const hanokAfresh = (folder: string): GuestRunner => ({
  ...HANOK_RUNNER,
  name: 'hanok-afresh',
  environment: { HANOK_CACHE: folder },
  async prepare() {
    await rm(join(folder, 'regions'), { recursive: true, force: true });
    await cp(join(defaultCacheDirectory(), 'interpreter'), join(folder, 'interpreter'), { recursive: true }).catch(() => {});
  },
});

/** QEMU's own code generator; `max` offers all it can emulate, which is what its users get with `-cpu max`. */
export const QEMU_RUNNER: GuestRunner = {
  name: 'qemu-tcg',
  command: ({ kernel, initrd, commandLine, memoryMiB, disk }) => [
    'qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', `${memoryMiB}`, '-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio',
    '-kernel', kernel, '-initrd', initrd, '-append', commandLine,
    ...(disk === undefined ? [] : ['-drive', `file=${disk},if=virtio,format=raw,snapshot=on`]),
  ],
};

/** A line of the guest's serial port and when it came, in milliseconds after the program was started. */
export interface TimedLine {
  readonly text: string;
  readonly atMs: number;
}

/**
 * Runs a guest until `isLast` accepts a line, calls `atEnd` with the program's process number, and ends it. Gives all lines;
 * throws when the guest ends first or takes too long.
 */
export async function runGuest(runner: GuestRunner, files: GuestFiles, isLast: (text: string) => boolean, timeoutMs: number, atEnd = async (_pid: number) => {}): Promise<TimedLine[]> {
  await runner.prepare?.();
  const [program, ...args] = runner.command(files);
  const start = performance.now();
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, ...runner.environment } });
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill(), timeoutMs);
  const lines: TimedLine[] = [];
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const text = line.replace(/[\r\x1b]/g, '');
      lines.push({ text, atMs: performance.now() - start });
      if (!isLast(text)) continue;
      await atEnd(child.pid!);
      return lines;
    }
  } finally {
    clearTimeout(timer);
    child.kill();
    await exited;
  }
  throw new Error(`${runner.name} ended before the guest was done; its last lines:\n${lines.slice(-15).map(({ text }) => text).join('\n')}`);
}
