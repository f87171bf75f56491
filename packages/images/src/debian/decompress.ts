import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { xz } from '@napi-rs/lzma';
import { ImageError, messageOf } from '../image-error.ts';
import { xzContentBytes } from './xz-size.ts';

const gunzipAsync = promisify(gunzip);
const zstdAsync = promisify(zstdDecompress);

/** More than any Debian package or index unpacks to. */
const OUTPUT_LIMIT_BYTES = 2 ** 31 - 1;

/** Decompresses what a file with this name's extension holds: .xz, .gz, .zst, anything else as it is. */
export async function decompress(fileName: string, bytes: Uint8Array, limitBytes = OUTPUT_LIMIT_BYTES): Promise<Uint8Array> {
  try {
    if (fileName.endsWith('.xz')) {
      // The decoder has no limit of its own.
      const contentBytes = xzContentBytes(bytes);
      if (contentBytes > limitBytes) throw new Error(`it unpacks to more than ${limitBytes} bytes`);
      return await xz.decompress(bytes);
    }
    if (fileName.endsWith('.gz')) return await gunzipAsync(bytes, { maxOutputLength: limitBytes });
    if (fileName.endsWith('.zst')) return await zstdAsync(bytes, { maxOutputLength: limitBytes });
    return bytes;
  } catch (error) {
    throw new ImageError(`${fileName} cannot be decompressed (${messageOf(error)}): the file is damaged or made by an unknown tool`, error);
  }
}
