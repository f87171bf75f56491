import { readFileSync, statSync, utimesSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { journalWords, makeKeptBlocks } from '@hanok/emulator/shared';
import { replaceFile } from './replace-file.ts';

const HEADER_BYTES = 16;
/** A file gets no more once it is so large. */
const FILE_BYTES_MAX = 48 * 2 ** 20;
/** It is written anew for so many new blocks, as a part of what is in it. */
const GROWTH = 0.03;

/** Decoded blocks that a file beside an archive's keeps, behind a header with their CRC-32; undefined where there is none, or it is damaged. */
export function readBlocks(path: string): Int32Array | undefined {
  try {
    const file = readFileSync(path);
    if (file.readUInt32LE(0) !== crc32(file.subarray(HEADER_BYTES))) return undefined;
    utimesSync(path, new Date(), new Date());
    return new Int32Array(file.buffer, file.byteOffset + HEADER_BYTES, (file.length - HEADER_BYTES) / 4);
  } catch {
    return undefined;
  }
}

/** Keeps the blocks of a machine's journal too, if they are many. */
export function keepBlocks(path: string, journal: Int32Array): void {
  const newBytes = journalWords(journal) * 4;
  const keptBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (newBytes <= keptBytes * GROWTH || keptBytes > FILE_BYTES_MAX) return;
  const bytes = new Uint8Array(makeKeptBlocks(readBlocks(path), journal).buffer);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(crc32(bytes), 0);
  replaceFile(path, Buffer.concat([header, bytes]));
}
