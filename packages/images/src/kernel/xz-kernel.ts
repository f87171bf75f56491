import { crc32 } from 'node:zlib';
import { readVarint } from '../debian/xz-size.ts';
import { undoX86Filter } from './x86-filter.ts';

const STREAM_HEADER_BYTES = 12;
const CHECK_CRC32 = 1;
const Filter = { X86: 0x04, LZMA2: 0x21 } as const;

/**
 * Unpacks xz as a kernel's build makes it and other decoders do not know it: one block, a filter for x86 code in front of LZMA2, a
 * CRC32 (The .xz File Format 1.2.1). Throws an Error when it is anything else, or unpacks to something else than `sizeBytes`.
 */
export async function unpackXzKernel(bytes: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  if (bytes[7] !== CHECK_CRC32) throw new Error('its check is not a CRC32');
  const { filters, end: start } = readBlockHeader(bytes);
  if (filters.at(-1) !== Filter.LZMA2 || filters.length > 2 || (filters.length === 2 && filters[0] !== Filter.X86)) {
    throw new Error(`it went through unknown filters (${filters.join(', ')})`);
  }
  const { end, unpackedBytes } = measureLzma2(bytes, start);
  if (unpackedBytes !== sizeBytes) throw new Error(`it unpacks to ${unpackedBytes} bytes instead of ${sizeBytes}`);
  const { lzma2 } = await import('@napi-rs/lzma');
  const unpacked = await lzma2.decompress(bytes.subarray(start, end));
  if (filters.length === 2) undoX86Filter(unpacked);
  const checkAt = Math.ceil(end / 4) * 4;
  if (checkAt + 4 > bytes.length) throw new Error('it is cut off');
  if (crc32(unpacked) !== new DataView(bytes.buffer, bytes.byteOffset).getUint32(checkAt, true)) throw new Error('its check does not fit');
  return unpacked;
}

/** The filters of the first block, in the order of the encoder, and where its data begin (§3.1). */
function readBlockHeader(bytes: Uint8Array): { filters: number[]; end: number } {
  const end = STREAM_HEADER_BYTES + ((bytes[STREAM_HEADER_BYTES] ?? 0) + 1) * 4;
  const flags = bytes[STREAM_HEADER_BYTES + 1] ?? 0;
  const reader = { position: STREAM_HEADER_BYTES + 2, end: Math.min(end, bytes.length) };
  for (const hasSize of [flags & 0x40, flags & 0x80]) if (hasSize) readVarint(bytes, reader);
  const filters = Array.from({ length: (flags & 3) + 1 }, () => {
    const id = readVarint(bytes, reader);
    const propertyBytes = readVarint(bytes, reader);
    // The one of x86 is where the addresses start, and then not 0.
    if (id === Filter.X86 && propertyBytes > 0) throw new Error('its filter for x86 code starts at an address');
    reader.position += propertyBytes;
    return id;
  });
  return { filters, end };
}

/** Where LZMA2 data end, and what they unpack to, from the headers of their chunks: the decoder has no limit of its own. */
function measureLzma2(bytes: Uint8Array, start: number): { end: number; unpackedBytes: number } {
  let unpackedBytes = 0;
  for (let at = start; at < bytes.length; ) {
    const control = bytes[at]!;
    const word = (offset: number): number => ((bytes[at + offset] ?? 0) << 8) | (bytes[at + offset + 1] ?? 0);
    if (control === 0) return { end: at + 1, unpackedBytes };
    const isCompressed = control >= 0x80;
    if (!isCompressed && control > 2) break;
    const chunkBytes = (isCompressed ? (control & 0x1f) << 16 : 0) + word(1) + 1;
    unpackedBytes += chunkBytes;
    // LZMA's properties come only with a new state.
    at += isCompressed ? 5 + (control >= 0xc0 ? 1 : 0) + word(3) + 1 : 3 + chunkBytes;
  }
  throw new Error('it is cut off or damaged');
}
