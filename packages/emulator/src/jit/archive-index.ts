import { entryKey, type RegionSummary, summaryBytes, summaryOf, wordCountOf } from './saved-region.ts';

/** Of a table's entries: what a region is found by; one more than its position, 0 where there is none; its number; and that of its first word. */
const ENTRY_WORDS = 4;

/** Encoded regions without their code, and an open hash table: those of one key stand in the order in which they were kept. */
export function makeTables(regions: readonly Uint8Array[]): ArchiveTables {
  const summaries = regions.map((region) => region.subarray(0, summaryBytes(region)));
  const bytes = new Uint8Array(new SharedArrayBuffer(summaries.reduce((sum, { length }) => sum + length, 0)));
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
    position += summary.length;
    word += wordCountOf(summary);
  });
  return { bytes, table };
}

const tagged = (key: number, blockTag: number) => key ^ Math.imul(blockTag, 0x9e3779b1);
const firstPlace = (table: Int32Array, key: number) => (Math.imul(key, ENTRY_WORDS) >>> 0) & (table.length - ENTRY_WORDS);
const nextPlace = (table: Int32Array, at: number) => (at + ENTRY_WORDS) & (table.length - ENTRY_WORDS);

/** Candidates that are tried for one entry at most, the latest first. */
const CANDIDATES_MAX = 4;

/** A region that may be the code at an entry. */
export interface Candidate extends RegionSummary {
  /** Which of the archive's regions it is. */
  readonly number: number;
  /** The first of its words (REGION_WORDS). */
  readonly firstWord: number;
}

/** What a vCPU may know of an archive: plain data, and all threads may have the same. */
export interface ArchiveTables {
  /** What `summaryOf` reads of regions. */
  readonly bytes: Uint8Array;
  /** Where they are. */
  readonly table: Int32Array;
}

/** Finds regions by their keys. */
export class ArchiveIndex {
  readonly #tables: ArchiveTables;

  constructor(tables: ArchiveTables) {
    this.#tables = tables;
  }

  /** Regions with a key and tag, in the order in which they were kept. */
  withKey(key: number, blockTag: number): Candidate[] {
    const { table, bytes } = this.#tables;
    const wanted = tagged(key, blockTag);
    const found: Candidate[] = [];
    for (let at = firstPlace(table, wanted); table[at + 1] !== 0; at = nextPlace(table, at)) {
      if (table[at] !== wanted) continue;
      found.push({ number: table[at + 2]!, firstWord: table[at + 3]!, ...summaryOf(bytes.subarray(table[at + 1]! - 1)) });
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
