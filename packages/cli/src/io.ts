import type { Readable, Writable } from 'node:stream';

/** A terminal's keyboard, or a file or pipe, which has no raw mode. */
export interface InputStream extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

/** A terminal's screen, or a file or pipe, which has no size. */
export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** What the program has of the world outside: its streams, its environment and the wish of the world that it end. */
export interface Io {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted with an `Interrupted` when the process is told to end. */
  readonly signal: AbortSignal;
}
