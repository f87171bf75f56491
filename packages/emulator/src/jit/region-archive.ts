import { REGION_WORDS } from '../layout.ts';
import { ArchiveIndex, type ArchiveTables, makeTables } from './archive-index.ts';
import { writeArchiveModule } from './archive-module.ts';
import { digestOf, encodeRegion, type RegionSummary, type SavedRegion, wordCountOf } from './saved-region.ts';

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
  /** Its regions with their code, until that is not needed any more. */
  #regions: readonly Uint8Array[];
  readonly regionCount: number;
  /** `digestOf` what it was given. */
  readonly #added = new Set<number>();
  readonly #keep: ((region: Uint8Array) => void) | undefined;
  #sizeBytes: number;

  /**
   * Without `keep` it takes nothing.
   * @param keep given each new region, so that another archive may have it
   * @param regions what was kept before
   */
  constructor(keep: ((region: Uint8Array) => void) | undefined, regions: readonly Uint8Array[] = []) {
    this.#keep = keep;
    this.#sizeBytes = regions.reduce((sum, { length }) => sum + length, 0);
    this.#regions = withWords(regions);
    this.regionCount = this.#regions.length;
    this.tables = makeTables(this.#regions);
    this.#index = new ArchiveIndex(this.tables);
  }

  /** The module of the regions from number `first` to before `end`. */
  writePart(first: number, end: number): Uint8Array<ArrayBuffer> {
    return writeArchiveModule(this.#regions.slice(first, end), wordsOf(this.#regions.slice(0, first))) as Uint8Array<ArrayBuffer>;
  }

  /** No part will be written any more. */
  dropCode(): void {
    this.#regions = [];
  }

  /** All regions that it began with in one part. */
  compile(): CompiledArchive {
    const { regionCount } = this;
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
    return this.#index.withKey(region.key, region.blockTag).some(({ summary }) => isSame(summary, region));
  }
}

/** How many words (REGION_WORDS) regions have together. */
const wordsOf = (regions: readonly Uint8Array[]) => regions.reduce((sum, region) => sum + wordCountOf(region), 0);

/** The first regions, for whose words a vCPU has room. */
function withWords(regions: readonly Uint8Array[]): readonly Uint8Array[] {
  let words = 0;
  const end = regions.findIndex((region) => (words += wordCountOf(region)) > REGION_WORDS.count);
  return end < 0 ? regions : regions.slice(0, end);
}

function isSame(a: RegionSummary, b: SavedRegion): boolean {
  const areEqual = (x: Uint8Array, y: Uint8Array) => x.length === y.length && x.every((byte, index) => byte === y[index]);
  return a.entry === b.entry && a.blockTag === b.blockTag && a.isGrown === b.isGrown && a.runs.length === b.runs.length
    && a.runs.every(({ offset, bytes }, index) => offset === b.runs[index]!.offset && areEqual(bytes, b.runs[index]!.bytes));
}

/** Has no region and keeps none. */
export const NO_ARCHIVE = new RegionArchive(undefined);
