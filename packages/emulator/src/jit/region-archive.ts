import { REGION_WORDS } from '../layout.ts';
import { ArchiveIndex, type ArchiveTables, makeTable } from './archive-index.ts';
import { writeArchiveModule } from './archive-module.ts';
import { decodeRegion, digestOf, encodeRegion, type SavedRegion, wordCountOf } from './saved-region.ts';

/** Bytes of all regions of an archive: then it gets no more. */
export const ARCHIVE_BYTES_MAX = 32 * 2 ** 20;

/** A module with regions of an archive that follow each other (`writeArchiveModule`). */
export interface ArchivePart {
  readonly module: WebAssembly.Module;
  readonly regionCount: number;
}

/** An archive for vCPUs: its parts have all regions in the order of their numbers. */
export interface CompiledArchive {
  readonly tables: ArchiveTables;
  readonly parts: readonly ArchivePart[];
}

/** Regions that were compiled before, perhaps by another machine. */
export class RegionArchive {
  readonly tables: ArchiveTables;
  readonly #index: ArchiveIndex;
  /** Where in the tables' bytes its regions begin. */
  readonly positions: readonly number[];
  /** `digestOf` what it was given. */
  readonly #added = new Set<number>();
  readonly #keep: ((region: Uint8Array) => void) | undefined;
  #sizeBytes: number;

  /**
   * Without `keep` it takes nothing.
   * @param keep given each new region, so that another archive may have it
   * @param bytes what was kept before, each region from one of `positions` on
   */
  constructor(keep: ((region: Uint8Array) => void) | undefined, bytes: Uint8Array = new Uint8Array(), positions: readonly number[] = []) {
    this.#keep = keep;
    this.#sizeBytes = bytes.length;
    this.positions = withWords(bytes, positions);
    this.tables = { bytes, table: makeTable(bytes, this.positions) };
    this.#index = new ArchiveIndex(this.tables);
  }

  /** The module of the regions from number `first` to before `end`. */
  writePart(first: number, end: number): Uint8Array<ArrayBuffer> {
    return writeArchiveModule(this.tables.bytes, this.positions.slice(first, end), wordsOf(this.tables.bytes, this.positions.slice(0, first))) as Uint8Array<ArrayBuffer>;
  }

  /** All regions that it began with in one part. */
  compile(): CompiledArchive {
    const regionCount = this.positions.length;
    const parts = regionCount > 0 ? [{ module: new WebAssembly.Module(this.writePart(0, regionCount)), regionCount }] : [];
    return { tables: this.tables, parts };
  }

  /** Keeps a region for others, unless it is known. */
  add(region: SavedRegion): void {
    if (!this.#keep || this.#sizeBytes > ARCHIVE_BYTES_MAX || this.#has(region)) return;
    const bytes = encodeRegion(region);
    this.#sizeBytes += bytes.length;
    this.#added.add(digestOf(region));
    this.#keep(bytes);
  }

  #has(region: SavedRegion): boolean {
    if (this.#added.has(digestOf(region))) return true;
    return this.#index.withKey(region.key, region.blockTag).some(({ position }) => isSame(decodeRegion(this.tables.bytes.subarray(position)), region));
  }
}

/** How many words (REGION_WORDS) regions have together. */
function wordsOf(bytes: Uint8Array, positions: readonly number[]): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return positions.reduce((sum, position) => sum + wordCountOf(view, position), 0);
}

/** The first regions, for whose words a vCPU has room. */
function withWords(bytes: Uint8Array, positions: readonly number[]): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let words = 0;
  const end = positions.findIndex((position) => (words += wordCountOf(view, position)) > REGION_WORDS.count);
  return end < 0 ? positions : positions.slice(0, end);
}

function isSame(a: SavedRegion, b: SavedRegion): boolean {
  const areEqual = (x: Uint8Array, y: Uint8Array) => x.length === y.length && x.every((byte, index) => byte === y[index]);
  return a.entry === b.entry && a.blockTag === b.blockTag && a.runs.length === b.runs.length
    && a.runs.every(({ offset, bytes }, index) => offset === b.runs[index]!.offset && areEqual(bytes, b.runs[index]!.bytes));
}

/** Has no region and keeps none. */
export const NO_ARCHIVE = new RegionArchive(undefined);
