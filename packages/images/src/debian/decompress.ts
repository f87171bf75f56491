import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { ImageError, messageOf } from '../image-error.ts';
import { xzContentBytes } from './xz-size.ts';

const gunzipAsync = promisify(gunzip);
const zstdAsync = promisify(zstdDecompress);

/** More than any Debian package or index unpacks to. */
const OUTPUT_LIMIT_BYTES = 2 ** 31 - 1;

export interface DecompressOptions {
  readonly limitBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Decompresses what a file with this name's extension holds: .xz, .gz, .zst, anything else as it is. */
export async function decompress(fileName: string, bytes: Uint8Array, options: DecompressOptions = {}): Promise<Uint8Array> {
  const { limitBytes = OUTPUT_LIMIT_BYTES, signal } = options;
  signal?.throwIfAborted();
  try {
    if (fileName.endsWith('.xz')) {
      // The decoder has no limit of its own.
      const contentBytes = xzContentBytes(bytes);
      if (contentBytes > limitBytes) throw new Error(`it unpacks to more than ${limitBytes} bytes`);
      const { xz } = await import('@napi-rs/lzma');
      return await abortable(xz.decompress(bytes), signal);
    }
    if (fileName.endsWith('.gz')) return await abortable(gunzipAsync(bytes, { maxOutputLength: limitBytes }), signal);
    if (fileName.endsWith('.zst')) return await abortable(zstdAsync(bytes, { maxOutputLength: limitBytes }), signal);
    return bytes;
  } catch (error) {
    signal?.throwIfAborted();
    throw new ImageError(`${fileName} cannot be decompressed (${messageOf(error)}): the file is damaged or made by an unknown tool`, error);
  }
}

/** The decoders cannot be stopped: an abort leaves them to end in their thread and goes on at once. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
