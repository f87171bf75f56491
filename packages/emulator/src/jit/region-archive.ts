import { decodeRegion, encodeRegion, entryKey, isSameCode, type RegionSummary, type SavedRegion, summaryOf } from './saved-region.ts';

/** What a vCPU asks an archive for: those of its regions that may be the code at an entry, and where that lies in this machine. */
export interface SavedCode {
  /** By their numbers in the archive, the likeliest first. */
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
  /** Given each new region, so that `load` may have it another time. */
  keep(region: Uint8Array): void;
  /** Makes a region's code smaller, and what it was again. */
  pack(code: Uint8Array): Uint8Array;
  unpack(packed: Uint8Array): Uint8Array;
}

/** Regions that were compiled before, perhaps by another machine. */
export class RegionArchive {
  /** Those that were loaded, encoded: few of them are needed. */
  readonly #regions: Uint8Array[] = [];
  readonly #summaries: RegionSummary[] = [];
  readonly #loadedByKey = new Map<number, Uint8Array[]>();
  readonly #addedByKey = new Map<number, SavedRegion[]>();
  readonly #store: ArchiveStore;
  #sizeBytes = 0;

  constructor(store: ArchiveStore) {
    this.#store = store;
  }

  /** Takes in what the store was given to keep. Throws a RangeError where that is cut short. */
  load(bytes: Uint8Array): void {
    const summary = summaryOf(bytes);
    this.#sizeBytes += bytes.length;
    this.#regions.push(bytes);
    this.#summaries.push(summary);
    addTo(this.#loadedByKey, summary.key, bytes);
  }

  /** Keeps a region for others, unless it is known. */
  add(region: SavedRegion): void {
    if (this.#sizeBytes > ARCHIVE_BYTES_MAX || this.#has(region)) return;
    const bytes = encodeRegion({ ...region, code: this.#store.pack(region.code) });
    this.#sizeBytes += bytes.length;
    addTo(this.#addedByKey, region.key, { ...region, places: [], hints: [], code: NO_CODE });
    this.#store.keep(bytes);
  }

  #has(region: SavedRegion): boolean {
    const known = [...(this.#addedByKey.get(region.key) ?? []), ...(this.#loadedByKey.get(region.key) ?? []).map(decodeRegion)];
    return known.some((other) => isSame(other, region));
  }

  /** What vCPUs must know of the loaded regions, as numbers that are cheap to send: of each its key, tag, pages and links. */
  index(): Int32Array {
    const words: number[] = [];
    for (const { key, blockTag, pages, links } of this.#summaries) words.push(key, blockTag, pages.length, ...pages, links.length, ...links);
    return Int32Array.from(words);
  }

  /** The first candidate that was made from what RAM holds now. */
  find({ candidates, entry, blockTag, pages }: SavedCode, ram: Uint8Array): SavedRegion | undefined {
    const isWanted = (region: SavedRegion) => region.entry === entry && region.blockTag === blockTag && isSameCode(region, ram, (page) => pages.get(page));
    for (const candidate of candidates) {
      const region = decodeRegion(this.#regions[candidate]!);
      if (isWanted(region)) return { ...region, code: this.#store.unpack(region.code) };
    }
    return undefined;
  }
}

const NO_CODE = new Uint8Array();

function addTo<Item>(lists: Map<number, Item[]>, key: number, item: Item): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}

function isSame(a: SavedRegion, b: SavedRegion): boolean {
  const areEqual = (x: Uint8Array, y: Uint8Array) => x.length === y.length && x.every((byte, index) => byte === y[index]);
  return a.entry === b.entry && a.blockTag === b.blockTag && a.runs.length === b.runs.length
    && a.runs.every(({ offset, bytes }, index) => offset === b.runs[index]!.offset && areEqual(bytes, b.runs[index]!.bytes));
}

/** Candidates that are tried for one entry at most, the latest first. */
const CANDIDATES_MAX = 4;

/** A region that may be the code at an entry. */
export interface Candidate {
  readonly number: number;
  readonly pages: readonly number[];
  readonly links: readonly number[];
}

/** What a vCPU knows of an archive. */
export class ArchiveIndex {
  readonly #byKey = new Map<number, Candidate[]>();

  constructor(words: Int32Array) {
    let at = 0;
    const list = () => {
      const count = words[at++]!;
      return [...words.subarray(at, (at += count))];
    };
    for (let number = 0; at < words.length; number++) {
      const key = tagged(words[at]!, words[at + 1]!);
      at += 2;
      addTo(this.#byKey, key, { number, pages: list(), links: list() });
    }
  }

  /** Regions that may be the code at a guest-physical address, the latest first. */
  candidates(ram: Uint8Array, gpa: number, blockTag: number): readonly Candidate[] {
    return this.#byKey.get(tagged(entryKey(ram, gpa), blockTag))?.slice(-CANDIDATES_MAX).reverse() ?? [];
  }

  has(ram: Uint8Array, gpa: number, blockTag: number): boolean {
    return this.#byKey.size > 0 && this.#byKey.has(tagged(entryKey(ram, gpa), blockTag));
  }
}

const tagged = (key: number, blockTag: number) => key ^ Math.imul(blockTag, 0x9e3779b1);
