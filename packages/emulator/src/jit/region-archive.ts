import { ArchiveIndex, type ArchiveTables, makeTable } from './archive-index.ts';
import { decodeRegion, digestOf, encodeRegion, isSameCode, type SavedRegion } from './saved-region.ts';

/** What a vCPU asks an archive for: those of its regions that may be the code at an entry, and where that lies in this machine. */
export interface SavedCode {
  /** Their positions in the archive, the likeliest first. */
  readonly candidates: readonly number[];
  /** Of the code that is wanted: where in its page it begins, and its BLOCK_TAG. */
  readonly entry: number;
  readonly blockTag: number;
  /** Where in RAM pages start, by their numbers relative to the entry's. */
  readonly pages: ReadonlyMap<number, number>;
  /** Enter slots of blocks that the code may branch to, by their offsets. */
  readonly slots: ReadonlyMap<number, number>;
}

/** Bytes of all regions of an archive: then it gets no more. */
export const ARCHIVE_BYTES_MAX = 64 * 2 ** 20;

/** Keeps what an archive gets. */
export interface ArchiveStore {
  /** Given each new region, so that another archive may have it. */
  keep(region: Uint8Array): void;
  /** Makes a region's code smaller, and what it was again. */
  pack(code: Uint8Array): Uint8Array;
  unpack(packed: Uint8Array): Uint8Array;
}

/** Regions that were compiled before, perhaps by another machine. */
export class RegionArchive {
  readonly tables: ArchiveTables;
  readonly #index: ArchiveIndex;
  /** `digestOf` what it was given. */
  readonly #added = new Set<number>();
  readonly #store: ArchiveStore | undefined;
  #sizeBytes: number;

  /**
   * Without a store it takes nothing.
   * @param bytes what the store was given to keep, each region from one of `positions` on
   */
  constructor(store: ArchiveStore | undefined, bytes: Uint8Array = new Uint8Array(), positions: readonly number[] = []) {
    this.#store = store;
    this.#sizeBytes = bytes.length;
    this.tables = { bytes, table: makeTable(bytes, positions) };
    this.#index = new ArchiveIndex(this.tables);
  }

  /** Keeps a region for others, unless it is known. */
  add(region: SavedRegion): void {
    if (!this.#store || this.#sizeBytes > ARCHIVE_BYTES_MAX || this.#has(region)) return;
    const bytes = encodeRegion({ ...region, code: this.#store.pack(region.code) });
    this.#sizeBytes += bytes.length;
    this.#added.add(digestOf(region));
    this.#store.keep(bytes);
  }

  #has(region: SavedRegion): boolean {
    if (this.#added.has(digestOf(region))) return true;
    return this.#index.positions(region.key, region.blockTag).some((position) => isSame(this.#at(position), region));
  }

  #at(position: number): SavedRegion {
    return decodeRegion(this.tables.bytes.subarray(position));
  }

  /** The first candidate that was made from what RAM holds now. */
  find({ candidates, entry, blockTag, pages }: SavedCode, ram: Uint8Array): SavedRegion | undefined {
    for (const position of candidates) {
      const region = this.#at(position);
      if (region.entry !== entry || region.blockTag !== blockTag || !isSameCode(region, ram, (page) => pages.get(page))) continue;
      return { ...region, code: this.#store!.unpack(region.code) };
    }
    return undefined;
  }
}

function isSame(a: SavedRegion, b: SavedRegion): boolean {
  const areEqual = (x: Uint8Array, y: Uint8Array) => x.length === y.length && x.every((byte, index) => byte === y[index]);
  return a.entry === b.entry && a.blockTag === b.blockTag && a.runs.length === b.runs.length
    && a.runs.every(({ offset, bytes }, index) => offset === b.runs[index]!.offset && areEqual(bytes, b.runs[index]!.bytes));
}

/** Has no region and keeps none. */
export const NO_ARCHIVE = new RegionArchive(undefined);
