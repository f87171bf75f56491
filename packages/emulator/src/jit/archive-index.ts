import { entryKey, type RegionSummary, SUMMARY, summaryBytes, summaryOf, wordCountOf } from './saved-region.ts';

/** Of a table's entries: what a region is found by; one more than its position, 0 where there is none; its number; and that of its first word. */
const ENTRY_WORDS = 4;

/** Encoded regions without their code, and an open hash table: those of one key stand in the order in which they were kept. */
export function makeTables(regions: readonly Uint8Array[]): ArchiveTables {
  const summaries = regions.map((region) => region.subarray(0, summaryBytes(region)));
  const bytes = new Uint8Array(new SharedArrayBuffer(summaries.reduce((sum, { length }) => sum + aligned(length), 0)));
  const entryCount = 2 ** Math.ceil(Math.log2(2 * regions.length + 2));
  const table = new Int32Array(new SharedArrayBuffer(entryCount * ENTRY_WORDS * 4));
  let [position, word] = [0, 0];
  summaries.forEach((summary, number) => {
    const view = new DataView(summary.buffer, summary.byteOffset);
    const key = tagged(view.getInt32(0, true), view.getInt32(4, true));
    let at = firstPlace(table, key);
    while (table[at + 1] !== 0) at = nextPlace(table, at);
    table.set([key, position + 1, number, word], at);
    bytes.set(summary, position);
    position += aligned(summary.length);
    word += wordCountOf(summary);
  });
  return { bytes, table };
}

const aligned = (sizeBytes: number) => (sizeBytes + 3) & ~3;
const tagged = (key: number, blockTag: number) => key ^ Math.imul(blockTag, 0x9e3779b1);
const firstPlace = (table: Int32Array, key: number) => (Math.imul(key, ENTRY_WORDS) >>> 0) & (table.length - ENTRY_WORDS);
const nextPlace = (table: Int32Array, at: number) => (at + ENTRY_WORDS) & (table.length - ENTRY_WORDS);

/** Candidates that are tried for one entry at most, the latest first. */
const CANDIDATES_MAX = 4;
const PAGE_BYTES = 4096;

/** What a vCPU may know of an archive: plain data, and all threads may have the same. */
export interface ArchiveTables {
  /** What `summaryOf` reads of regions, each from a multiple of four on. */
  readonly bytes: Uint8Array;
  /** Where they are. */
  readonly table: Int32Array;
}

/** A region that may be the code at an entry. It is read where it is: a booting vCPU asks for a thousand of them before V8 has optimized what does that. */
export class Candidate {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** Where its summary begins, in words. */
  readonly #at: number;
  /** Which of the archive's regions it is. */
  readonly number: number;
  /** The first of its words (REGION_WORDS). */
  readonly firstWord: number;
  readonly pageCount: number;
  readonly linkCount: number;

  constructor(bytes: Uint8Array, words: Int32Array, at: number, number: number, firstWord: number) {
    this.#bytes = bytes;
    this.#words = words;
    this.#at = at;
    this.number = number;
    this.firstWord = firstWord;
    this.pageCount = words[at + SUMMARY.pageCount]!;
    this.linkCount = words[at + SUMMARY.linkCount]!;
  }

  get summary(): RegionSummary {
    return summaryOf(this.#bytes.subarray(this.#at * 4));
  }
  /** A page it lies on, relative to the entry's. */
  page(index: number): number {
    return this.#words[this.#at + SUMMARY.headerWords + index]!;
  }
  /** A block that it leads to, by its offset from the entry's page. */
  link(index: number): number {
    return this.#words[this.#at + SUMMARY.headerWords + this.pageCount + index]!;
  }

  get isGrown(): boolean {
    return this.#words[this.#at + SUMMARY.isGrown] !== 0;
  }

  /** Whether a block at this offset of its page, with this BLOCK_TAG, may be its entry. */
  beginsAt(entry: number, blockTag: number): boolean {
    return this.#words[this.#at + SUMMARY.entry] === entry && this.#words[this.#at + SUMMARY.blockTag] === blockTag;
  }

  /** Whether RAM holds the code that the region was made from, its pages being where `pageStart` says. */
  hasCode(ram: Uint8Array, pageStart: (page: number) => number): boolean {
    const words = this.#words;
    const runs = this.#at + SUMMARY.headerWords + this.pageCount + this.linkCount;
    const end = runs + 2 * words[this.#at + SUMMARY.runCount]!;
    let from = end * 4;
    for (let run = runs; run < end; run += 2) {
      const start = pageStart(words[run]! >> 12);
      if (start < 0) return false;
      const at = start + (words[run]! & (PAGE_BYTES - 1));
      const lengthBytes = words[run + 1]!;
      for (let index = 0; index < lengthBytes; index++) if (ram[at + index] !== this.#bytes[from + index]) return false;
      from += lengthBytes;
    }
    return true;
  }
}

/** Finds regions by their keys. */
export class ArchiveIndex {
  readonly #tables: ArchiveTables;
  readonly #words: Int32Array;

  constructor(tables: ArchiveTables) {
    this.#tables = tables;
    this.#words = new Int32Array(tables.bytes.buffer, tables.bytes.byteOffset, tables.bytes.length / 4);
  }

  /** Regions with a key and tag, in the order in which they were kept. */
  withKey(key: number, blockTag: number): Candidate[] {
    const { table, bytes } = this.#tables;
    const wanted = tagged(key, blockTag);
    const found: Candidate[] = [];
    for (let at = firstPlace(table, wanted); table[at + 1] !== 0; at = nextPlace(table, at)) {
      if (table[at] === wanted) found.push(new Candidate(bytes, this.#words, (table[at + 1]! - 1) / 4, table[at + 2]!, table[at + 3]!));
    }
    return found;
  }

  /** Regions that may be the code at a guest-physical address, the latest first. */
  candidates(ram: Uint8Array, gpa: number, blockTag: number): Candidate[] {
    return this.withKey(entryKey(ram, gpa), blockTag).slice(-CANDIDATES_MAX).reverse();
  }

  /** Whether there are any: that is asked for each block. */
  has(ram: Uint8Array, gpa: number, blockTag: number): boolean {
    const { table } = this.#tables;
    const wanted = tagged(entryKey(ram, gpa), blockTag);
    for (let at = firstPlace(table, wanted); table[at + 1] !== 0; at = nextPlace(table, at)) if (table[at] === wanted) return true;
    return false;
  }
}
