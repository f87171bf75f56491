/** The part of tar-stream that is used here; the library ships no types. */
declare module 'tar-stream' {
  import type { Readable, Writable } from 'node:stream';

  export interface Header {
    readonly name: string;
    readonly type?: string | null;
    readonly linkname?: string | null;
    readonly mode?: number;
    readonly uid?: number;
    readonly gid?: number;
    readonly size?: number;
    readonly mtime?: Date;
    readonly devmajor?: number;
    readonly devminor?: number;
  }

  export interface Entry extends Readable {
    readonly header: Header;
    [Symbol.asyncIterator](): NodeJS.AsyncIterator<Buffer>;
  }

  export interface Extract extends Writable {
    [Symbol.asyncIterator](): AsyncIterator<Entry>;
  }

  export interface Pack extends Readable {
    entry(header: Partial<Header> & { name: string }, content?: string | Uint8Array): unknown;
    finalize(): void;
  }

  export function extract(): Extract;
  export function pack(): Pack;
}
