import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { Interrupted } from './errors.ts';
import type { Io } from './io.ts';

const END_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** How long a machine may take to stop after a signal before the process ends without it. */
const STOP_TIMEOUT_MS = 5000;

/** This process as the commands see it. A signal to end aborts `signal`, so that the machine stops and the terminal is put back. */
export function processIo(): Io {
  const controller = new AbortController();
  for (const name of END_SIGNALS) {
    process.on(name, () => {
      // A terminal's Ctrl-C reaches this process and also its launcher, which passes it on: the second is the same wish.
      if (controller.signal.aborted) return;
      const interrupted = new Interrupted(name, constants.signals[name]);
      setTimeout(() => process.exit(interrupted.exitStatus), STOP_TIMEOUT_MS).unref();
      controller.abort(interrupted);
    });
  }
  const { stdin, stdout, stderr, env } = process;
  // Whoever writes sees a failed write by its own means; without a listener the stream would end the process with a stack.
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {});
  return { stdin, stdout, stderr, env, signal: controller.signal };
}

/** Resolves when all that was written has left the process, or never will. */
export async function flush(...streams: readonly Writable[]): Promise<void> {
  await Promise.all(streams.map((stream) => new Promise<void>((resolve) => (stream.writable ? stream.write('', () => resolve()) : resolve()))));
}
