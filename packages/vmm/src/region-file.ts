import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { NO_ARCHIVE, RegionArchive } from '@hanok/emulator';
import { dropOldFiles, markUsed } from './old-files.ts';

/** Before each region: its length and its CRC-32. */
const HEADER_BYTES = 8;
/** How many new regions are written together. */
const RECORDS_MAX = 256;

/** An archive, the CRC-32s of its regions, and what writes to its file what it got. */
export interface RegionFile {
  readonly archive: RegionArchive;
  readonly digests: readonly number[];
  flush(): void;
}

export const NO_REGION_FILE: RegionFile = { archive: NO_ARCHIVE, digests: [], flush: () => {} };

/**
 * An archive that a file keeps. New regions are appended; several machines may do that at once. What follows damage is
 * ignored, and a file that cannot be read or written is none. A full one gets no more.
 */
export function openRegionFile(path: string): RegionFile {
  const file = read(path);
  const records: Uint8Array[] = [];
  const flush = () => append(path, records.splice(0));
  const keep = (region: Uint8Array) => {
    records.push(record(region));
    if (records.length === RECORDS_MAX) flush();
  };
  const { regions, digests } = regionsIn(file);
  return { archive: new RegionArchive(keep, regions), digests, flush };
}

function read(path: string): Uint8Array {
  try {
    mkdirSync(dirname(path), { recursive: true });
    dropOldFiles(dirname(path));
    const file = readFileSync(path);
    markUsed(path);
    return file;
  } catch {
    return new Uint8Array();
  }
}

function append(path: string, records: readonly Uint8Array[]): void {
  if (records.length === 0) return;
  try {
    appendFileSync(path, Buffer.concat(records));
  } catch {
    // What cannot be kept is compiled again, nothing else.
  }
}

function record(region: Uint8Array): Uint8Array {
  const header = Uint32Array.of(region.length, crc32(region));
  const bytes = new Uint8Array(HEADER_BYTES + region.length);
  bytes.set(new Uint8Array(header.buffer));
  bytes.set(region, HEADER_BYTES);
  return bytes;
}

/** Up to the first that is not whole. */
function regionsIn(file: Uint8Array): { readonly regions: Uint8Array[]; readonly digests: number[] } {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [regions, digests]: [Uint8Array[], number[]] = [[], []];
  for (let at = 0; at + HEADER_BYTES <= file.length; ) {
    const start = at + HEADER_BYTES;
    const end = start + view.getUint32(at, true);
    const digest = view.getUint32(at + 4, true);
    if (end > file.length || crc32(file.subarray(start, end)) !== digest) break;
    regions.push(file.subarray(start, end));
    digests.push(digest);
    at = end;
  }
  return { regions, digests };
}
