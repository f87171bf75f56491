import { appendFileSync, mkdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import { ARCHIVE_BYTES_MAX, RegionArchive } from '@hanok/emulator';
import { dropOldFiles } from './interpreter-file.ts';

const HEADER_BYTES = 8;
/**
 * An archive that a file keeps. New regions are appended, each behind its length and its CRC-32; several machines may do
 * that at once. What follows damage is ignored, and a file that cannot be read or written is none. The machine that finds it
 * full still uses it, but leaves it to the next one to start anew.
 */
export function openRegionFile(path: string): RegionArchive {
  const archive = new RegionArchive({
    keep(region) {
      try {
        appendFileSync(path, record(region));
      } catch {
        // What cannot be kept is compiled again, nothing else.
      }
    },
    pack: (code) => deflateRawSync(code, { level: 1 }),
    unpack: (packed) => inflateRawSync(packed),
  });
  try {
    mkdirSync(dirname(path), { recursive: true });
    dropOldFiles(dirname(path));
    const file = readFileSync(path);
    loadRecords(archive, file);
    if (file.length >= ARCHIVE_BYTES_MAX) rmSync(path);
    else utimesSync(path, new Date(), new Date());
  } catch {
    // There is none yet.
  }
  return archive;
}

function record(region: Uint8Array): Uint8Array {
  const header = Uint32Array.of(region.length, crc32(region));
  const bytes = new Uint8Array(HEADER_BYTES + region.length);
  bytes.set(new Uint8Array(header.buffer));
  bytes.set(region, HEADER_BYTES);
  return bytes;
}

function loadRecords(archive: RegionArchive, file: Buffer): void {
  for (let at = 0; at + HEADER_BYTES <= file.length; ) {
    const end = at + HEADER_BYTES + file.readUInt32LE(at);
    const region = file.subarray(at + HEADER_BYTES, end);
    if (end > file.length || crc32(region) !== file.readUInt32LE(at + 4)) return;
    archive.load(region);
    at = end;
  }
}
