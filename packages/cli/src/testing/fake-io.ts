import { PassThrough } from 'node:stream';
import type { Io } from '../io.ts';

/** Streams that a test holds the other ends of. */
export interface FakeIo {
  readonly io: Io;
  readonly stdin: PassThrough;
  readonly stdout: () => string;
  readonly stdoutBytes: () => Buffer;
  readonly stderr: () => string;
  readonly interrupt: (reason: unknown) => void;
  /** The raw modes the terminal was put in, in order. */
  readonly rawModes: readonly boolean[];
  resize(columns: number, rows: number): void;
}

export function fakeIo(options: { readonly terminal?: boolean; readonly env?: Record<string, string> } = {}): FakeIo {
  const controller = new AbortController();
  const rawModes: boolean[] = [];
  const stdin = new PassThrough();
  const [stdout, stdoutBytes] = recorder();
  const [stderr, stderrBytes] = recorder();
  if (options.terminal) {
    Object.assign(stdin, { isTTY: true, setRawMode: (raw: boolean) => rawModes.push(raw) });
    Object.assign(stdout, { isTTY: true, columns: 80, rows: 24 });
  }
  return {
    io: { stdin, stdout, stderr, env: options.env ?? {}, signal: controller.signal },
    stdin,
    stdout: () => stdoutBytes().toString(),
    stdoutBytes,
    stderr: () => stderrBytes().toString(),
    interrupt: (reason) => controller.abort(reason),
    rawModes,
    resize(columns, rows) {
      Object.assign(stdout, { columns, rows });
      stdout.emit('resize');
    },
  };
}

function recorder(): [PassThrough, () => Buffer] {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return [stream, () => Buffer.concat(chunks)];
}
