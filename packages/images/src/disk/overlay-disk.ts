import { mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlockBackend } from '@hanok/machine';
import { uniqueSuffix } from '../cache.ts';
import { ImageError, systemCode } from '../image-error.ts';
import { DiskFile, ZEROS, checkDiskSize, checkRange } from './disk-file.ts';
import { ABSENT, CLEARED, CLUSTER_BYTES, TABLE_OFFSET_BYTES } from './overlay-header.ts';
import { checkOverlayHeader, checkOverlayTable, overlayLayout, writeOverlayHeader } from './overlay-header.ts';
import type { OverlayLayout } from './overlay-header.ts';
import { SharedLock } from './shared-lock.ts';

/** Size of the part of the table that is written at once. */
const TABLE_PAGE_BYTES = 4096;

/**
 * A disk that reads from `basePath`, which is never written, and keeps changes in `overlayPath`; the file is made when
 * it does not exist. Without `overlayPath` the changes are gone when the disk is closed.
 */
export async function openOverlayDisk(basePath: string, overlayPath?: string): Promise<BlockBackend> {
  const base = await DiskFile.open(basePath, 'read');
  try {
    const baseSizeBytes = await base.sizeBytes();
    checkDiskSize(basePath, baseSizeBytes);
    const layout = overlayLayout(baseSizeBytes);
    if (overlayPath === undefined) return new OverlayDisk(base, await createTemporary(baseSizeBytes), { sizeBytes: baseSizeBytes, table: new Uint32Array(layout.clusterCount), overlaySizeBytes: 0, isLasting: false });
    if (!(await exists(overlayPath))) await createOverlay(overlayPath, baseSizeBytes);
    const overlay = await DiskFile.open(overlayPath, 'write');
    try {
      const table = await readTable(overlay, base.path, baseSizeBytes, layout);
      return new OverlayDisk(base, overlay, { sizeBytes: baseSizeBytes, table, overlaySizeBytes: await overlay.sizeBytes(), isLasting: true });
    } catch (error) {
      await overlay.close();
      throw error;
    }
  } catch (error) {
    await base.close();
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, (error: unknown) => systemCode(error) !== 'ENOENT');
}

async function initialise(file: DiskFile, baseSizeBytes: number): Promise<void> {
  await file.write(0, writeOverlayHeader(baseSizeBytes));
  // A hole in the file reads as a table of ABSENT entries.
  await file.truncate(overlayLayout(baseSizeBytes).dataOffsetBytes);
}

async function createOverlay(path: string, baseSizeBytes: number): Promise<void> {
  const temporary = `${path}.${uniqueSuffix()}.tmp`;
  const file = await DiskFile.open(temporary, 'create');
  try {
    await initialise(file, baseSizeBytes);
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** An overlay file without a name: the operating system frees it with the process, however that ends. */
async function createTemporary(baseSizeBytes: number): Promise<DiskFile> {
  const directory = await mkdtemp(join(tmpdir(), 'hanok-overlay-'));
  try {
    const file = await DiskFile.open(join(directory, 'overlay'), 'create');
    await initialise(file, baseSizeBytes);
    return file;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readTable(overlay: DiskFile, basePath: string, baseSizeBytes: number, layout: OverlayLayout): Promise<Uint32Array> {
  const header = new Uint8Array(TABLE_OFFSET_BYTES);
  const headerBytes = await overlay.readUpTo(0, header);
  checkOverlayHeader(header.subarray(0, headerBytes), overlay.path, basePath, baseSizeBytes);
  const sizeBytes = await overlay.sizeBytes();
  if (sizeBytes < layout.dataOffsetBytes) throw new ImageError(`the overlay ${overlay.path} is cut off: restore it from a backup or make a new overlay`);
  const bytes = new Uint8Array(layout.tableBytes);
  await overlay.read(TABLE_OFFSET_BYTES, bytes);
  const view = new DataView(bytes.buffer);
  const table = Uint32Array.from({ length: layout.clusterCount }, (_, index) => view.getUint32(index * 4, true));
  checkOverlayTable(table, Math.floor((sizeBytes - layout.dataOffsetBytes) / CLUSTER_BYTES), overlay.path);
  return table;
}

interface OverlayState {
  readonly sizeBytes: number;
  readonly table: Uint32Array;
  readonly overlaySizeBytes: number;
  /** False for an overlay that ends with its machine: a flush has nothing to make durable. */
  readonly isLasting: boolean;
}

class OverlayDisk implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly = false;
  readonly #isLasting: boolean;
  readonly #base: DiskFile;
  readonly #overlay: DiskFile;
  readonly #layout: OverlayLayout;
  readonly #table: Uint32Array;
  readonly #dirtyPages = new Set<number>();
  /** Reads and writes in place share it; what changes the table has it alone. */
  readonly #lock = new SharedLock();
  #dataClusterCount: number;
  /** Data clusters that no entry uses, in memory and in the file. */
  #free: number[] = [];
  /** Data clusters that only the file's table may still use: free after the next flush. */
  #released: number[] = [];

  constructor(base: DiskFile, overlay: DiskFile, { sizeBytes, table, overlaySizeBytes, isLasting }: OverlayState) {
    this.#isLasting = isLasting;
    this.#base = base;
    this.#overlay = overlay;
    this.sizeBytes = sizeBytes;
    this.#layout = overlayLayout(sizeBytes);
    this.#table = table;
    this.#dataClusterCount = Math.max(0, Math.floor((overlaySizeBytes - this.#layout.dataOffsetBytes) / CLUSTER_BYTES));
    const used = new Uint8Array(this.#dataClusterCount);
    for (const entry of table) if (entry !== ABSENT && entry !== CLEARED) used[entry - 1] = 1;
    for (const [cluster, isUsed] of used.entries()) if (!isUsed) this.#free.push(cluster);
  }

  async read(offsetBytes: number, target: Uint8Array): Promise<void> {
    checkRange(this.#overlay.path, this.sizeBytes, offsetBytes, target.length);
    await this.#lock.shared(async () => {
      for (const { cluster, startBytes, lengthBytes, doneBytes } of clustersOf(offsetBytes, target.length)) {
        await this.#readCluster(cluster, startBytes, target.subarray(doneBytes, doneBytes + lengthBytes));
      }
    });
  }

  async write(offsetBytes: number, source: Uint8Array): Promise<void> {
    checkRange(this.#overlay.path, this.sizeBytes, offsetBytes, source.length);
    for (const { cluster, startBytes, lengthBytes, doneBytes } of clustersOf(offsetBytes, source.length)) {
      const part = source.subarray(doneBytes, doneBytes + lengthBytes);
      if (await this.#lock.shared(() => this.#writeInPlace(cluster, startBytes, part))) continue;
      // Another write may have allocated the cluster in between.
      await this.#lock.exclusive(async () => {
        if (!(await this.#writeInPlace(cluster, startBytes, part))) await this.#allocate(cluster, startBytes, part);
      });
    }
  }

  async flush(): Promise<void> {
    await this.#lock.exclusive(() => this.#flushTable());
  }

  async discard(offsetBytes: number, lengthBytes: number): Promise<void> {
    checkRange(this.#overlay.path, this.sizeBytes, offsetBytes, lengthBytes);
    for (const part of clustersOf(offsetBytes, lengthBytes)) {
      const isWhole = part.startBytes === 0 && (part.lengthBytes === CLUSTER_BYTES || part.cluster * CLUSTER_BYTES + part.lengthBytes === this.sizeBytes);
      if (isWhole) await this.#lock.exclusive(async () => this.#clear(part.cluster));
      else if (this.#table[part.cluster] !== CLEARED) await this.write(part.cluster * CLUSTER_BYTES + part.startBytes, ZEROS.subarray(0, part.lengthBytes));
    }
  }

  async close(): Promise<void> {
    try {
      await this.#lock.exclusive(() => this.#flushTable());
    } finally {
      await this.#overlay.close();
      await this.#base.close();
    }
  }

  async #readCluster(cluster: number, startBytes: number, target: Uint8Array): Promise<void> {
    const entry = this.#table[cluster]!;
    if (entry === CLEARED) target.fill(0);
    else if (entry === ABSENT) await this.#base.read(cluster * CLUSTER_BYTES + startBytes, target);
    else await this.#overlay.read(this.#dataOffset(entry - 1) + startBytes, target);
  }

  /** False when the cluster has no data cluster yet. */
  async #writeInPlace(cluster: number, startBytes: number, source: Uint8Array): Promise<boolean> {
    const entry = this.#table[cluster]!;
    if (entry === ABSENT || entry === CLEARED) return false;
    await this.#overlay.write(this.#dataOffset(entry - 1) + startBytes, source);
    return true;
  }

  /** Copies the cluster with the change into a data cluster. The entry follows when the data is written. */
  async #allocate(cluster: number, startBytes: number, source: Uint8Array): Promise<void> {
    const content = new Uint8Array(CLUSTER_BYTES);
    const usedBytes = Math.min(CLUSTER_BYTES, this.sizeBytes - cluster * CLUSTER_BYTES);
    if (source.length < usedBytes) await this.#readCluster(cluster, 0, content.subarray(0, usedBytes));
    content.set(source, startBytes);
    const dataCluster = this.#free.pop() ?? this.#dataClusterCount++;
    try {
      await this.#overlay.write(this.#dataOffset(dataCluster), content);
    } catch (error) {
      this.#free.push(dataCluster);
      throw error;
    }
    this.#setEntry(cluster, dataCluster + 1);
  }

  #clear(cluster: number): void {
    const entry = this.#table[cluster]!;
    if (entry === CLEARED) return;
    if (entry !== ABSENT) this.#released.push(entry - 1);
    this.#setEntry(cluster, CLEARED);
  }

  #setEntry(cluster: number, entry: number): void {
    this.#table[cluster] = entry;
    this.#dirtyPages.add(Math.floor((cluster * 4) / TABLE_PAGE_BYTES));
  }

  async #flushTable(): Promise<void> {
    if (this.#isLasting) await this.#writeTable();
    this.#dirtyPages.clear();
    this.#free.push(...this.#released);
    this.#released = [];
  }

  async #writeTable(): Promise<void> {
    await this.#overlay.sync();
    if (this.#dirtyPages.size === 0) return;
    for (const page of this.#dirtyPages) {
      const first = (page * TABLE_PAGE_BYTES) / 4;
      const entries = this.#table.subarray(first, first + TABLE_PAGE_BYTES / 4);
      const bytes = Buffer.alloc(entries.length * 4);
      entries.forEach((entry, index) => bytes.writeUInt32LE(entry, index * 4));
      await this.#overlay.write(TABLE_OFFSET_BYTES + page * TABLE_PAGE_BYTES, bytes);
    }
    await this.#overlay.sync();
  }

  #dataOffset(dataCluster: number): number {
    return this.#layout.dataOffsetBytes + dataCluster * CLUSTER_BYTES;
  }
}

/** The parts of a range that lie in one cluster each. */
function* clustersOf(offsetBytes: number, lengthBytes: number) {
  for (let doneBytes = 0; doneBytes < lengthBytes; ) {
    const position = offsetBytes + doneBytes;
    const startBytes = position % CLUSTER_BYTES;
    const partBytes = Math.min(CLUSTER_BYTES - startBytes, lengthBytes - doneBytes);
    yield { cluster: Math.floor(position / CLUSTER_BYTES), startBytes, lengthBytes: partBytes, doneBytes };
    doneBytes += partBytes;
  }
}
