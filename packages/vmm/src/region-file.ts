import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { RegionArchive } from '@hanok/emulator';
import { dropOldFiles, sourcesStamp } from './interpreter-file.ts';

/** A file of this size gets no more regions, and the machine after starts a new one. */
const FILE_BYTES_MAX = 64 * 2 ** 20;
const HEADER_BYTES = 8;
/** Of a kernel: enough to tell it from others. */
const KERNEL_BYTES = 65_536;

/** Where regions are kept for machines with this kernel, and this version of what compiles them. */
export function regionFilePath(folder: string, kernel: Uint8Array): string {
  const beginning = createHash('sha256').update(kernel.subarray(0, KERNEL_BYTES)).digest('hex');
  const name = createHash('sha256').update(JSON.stringify([kernel.length, beginning, sourcesStamp()])).digest('hex');
  return join(folder, 'regions', name);
}

/**
 * An archive that a file keeps. New regions are appended, each behind its length and its CRC-32; several machines may do
 * that at once. What follows damage is ignored, and a file that cannot be read or written is none.
 */
export function openRegionFile(path: string): RegionArchive {
  let sizeBytes = 0;
  const archive = new RegionArchive((region) => {
    if (sizeBytes >= FILE_BYTES_MAX) return;
    try {
      appendFileSync(path, record(region));
      sizeBytes += region.length;
    } catch {
      sizeBytes = FILE_BYTES_MAX;
    }
  });
  try {
    mkdirSync(dirname(path), { recursive: true });
    dropOldFiles(dirname(path));
    const file = readFileSync(path);
    if (file.length >= FILE_BYTES_MAX) rmSync(path);
    else sizeBytes = file.length;
    loadRecords(archive, file);
    utimesSync(path, new Date(), new Date());
  } catch {
    // There is no file yet.
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
