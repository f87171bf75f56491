import { ImageError } from '../image-error.ts';
import { isZero } from './disk-file.ts';

/*
 * An overlay file, little endian:
 *   0        "HANOKOVL"
 *   8   u32  format version, 1
 *   12  u32  log2 of the cluster size, 16
 *   16  u64  size of the base in bytes
 *   24       zeros up to 4096
 *   4096     the cluster table: for each cluster of the base a u32
 *   …        padding to a multiple of the cluster size, then data clusters
 * A table entry is ABSENT (the base has the content), CLEARED (zeros), or n > 0 for data cluster n - 1.
 * Data is durable before an entry that points to it is written, so a crash loses at most what was not flushed.
 */
export const CLUSTER_BYTES = 1 << 16;
export const TABLE_OFFSET_BYTES = 4096;
export const ABSENT = 0;
export const CLEARED = 0xffffffff;

const MAGIC = Buffer.from('HANOKOVL');
const VERSION = 1;
const CLUSTER_BITS = 16;

export interface OverlayLayout {
  readonly clusterCount: number;
  readonly tableBytes: number;
  /** Where data cluster 0 starts. */
  readonly dataOffsetBytes: number;
}

export function overlayLayout(baseSizeBytes: number): OverlayLayout {
  const clusterCount = Math.ceil(baseSizeBytes / CLUSTER_BYTES);
  const tableBytes = clusterCount * 4;
  return { clusterCount, tableBytes, dataOffsetBytes: Math.ceil((TABLE_OFFSET_BYTES + tableBytes) / CLUSTER_BYTES) * CLUSTER_BYTES };
}

export function writeOverlayHeader(baseSizeBytes: number): Uint8Array {
  const header = Buffer.alloc(TABLE_OFFSET_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(CLUSTER_BITS, 12);
  header.writeBigUInt64LE(BigInt(baseSizeBytes), 16);
  return header;
}

/** Throws an `ImageError` unless `header` is that of an overlay of a base of this size. */
export function checkOverlayHeader(header: Uint8Array, path: string, basePath: string, baseSizeBytes: number): void {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (header.length < TABLE_OFFSET_BYTES || !MAGIC.equals(header.subarray(0, MAGIC.length))) {
    throw new ImageError(`${path} is not an overlay that Hanok made: name another file, or one that does not exist to make a new overlay`);
  }
  const version = view.getUint32(8, true);
  if (version !== VERSION) throw new ImageError(`${path} is an overlay of version ${version}, this program reads version ${VERSION}: update Hanok`);
  if (view.getUint32(12, true) !== CLUSTER_BITS || !isZero(header.subarray(24))) {
    throw new ImageError(`${path} has a damaged overlay header: restore it from a backup or make a new overlay`);
  }
  const recorded = view.getBigUint64(16, true);
  if (recorded !== BigInt(baseSizeBytes)) {
    throw new ImageError(
      `the overlay ${path} belongs to a base of ${recorded} bytes, but ${basePath} has ${baseSizeBytes}: ` +
        'give the base that it was made from, or make a new overlay',
    );
  }
}

/** Throws an `ImageError` when an entry points outside the file or two entries share a data cluster. */
export function checkOverlayTable(table: Uint32Array, dataClusterCount: number, path: string): void {
  const used = new Uint8Array(dataClusterCount);
  for (const entry of table) {
    if (entry === ABSENT || entry === CLEARED) continue;
    if (entry > dataClusterCount || used[entry - 1]) {
      throw new ImageError(`${path} has a damaged cluster table: restore it from a backup or make a new overlay`);
    }
    used[entry - 1] = 1;
  }
}
