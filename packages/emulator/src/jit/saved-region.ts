import type { ValueType } from '@hanok/x86';
import type { BranchHint } from '@hanok/wasm';

/** A constant of a region that every machine has otherwise: the Enter slot of the block at an offset, or where in wasm memory a page lies. */
export interface Place {
  /** Where in the code its five bytes of LEB128 are. */
  readonly at: number;
  readonly kind: 'slot' | 'page';
  /** Offset of the block from the entry's page, or number of the page relative to it. */
  readonly of: number;
}

/** Guest code that a region was made from, on one page: where it begins, as an offset from the entry's page. */
export interface CodeRun {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A region apart from the machine it was compiled in: another one may have it where it has the same code. */
export interface SavedRegion {
  /** Offset in its page. */
  readonly entry: number;
  readonly blockTag: number;
  /** `entryKey` of its first bytes. */
  readonly key: number;
  readonly instructionCount: number;
  /** It was made larger, since it was entered often. */
  readonly isGrown: boolean;
  /** Pages it lies on, relative to the entry's. */
  readonly pages: readonly number[];
  readonly runs: readonly CodeRun[];
  readonly locals: readonly ValueType[];
  readonly hints: readonly BranchHint[];
  readonly places: readonly Place[];
  readonly code: Uint8Array;
}

const PAGE_BYTES = 4096;
/** Bytes at an entry that its key is made of, as far as they are on its page. */
const KEY_BYTES = 12;
const HASH_FACTOR = 0x01000193;
const LOCAL_TYPES: readonly ValueType[] = ['i32', 'i64', 'f32', 'f64', 'v128'];
const KINDS: readonly Place['kind'][] = ['slot', 'page'];
const HEADER_WORDS = 12;
/** Where in the header some of its words are; pages, links, offsets and lengths of runs follow, then the runs' bytes. */
export const SUMMARY = { blockTag: 1, pageCount: 2, linkCount: 3, entry: 4, runCount: 6, isGrown: 11, headerWords: HEADER_WORDS } as const;

/** A number that entries with other code hardly share: a hash of where in its page the entry is, and of its first bytes. */
export function entryKey(ram: Uint8Array, gpa: number): number {
  const offset = gpa & (PAGE_BYTES - 1);
  const end = Math.min(gpa + KEY_BYTES, gpa - offset + PAGE_BYTES);
  let key = 0x811c9dc5 ^ offset;
  for (let at = gpa; at < end; at++) key = Math.imul(key ^ ram[at]!, HASH_FACTOR);
  return key | 0;
}

/** Of a region's code 53 bits: two that share them by chance are kept as one. */
export function digestOf({ key, blockTag, isGrown, runs }: SavedRegion): number {
  let digest = key ^ blockTag ^ (isGrown ? HASH_FACTOR : 0);
  for (const { offset, bytes } of runs) {
    digest = Math.imul(digest ^ offset, HASH_FACTOR);
    for (const byte of bytes) digest = Math.imul(digest ^ byte, HASH_FACTOR);
  }
  return (digest >>> 0) * 2 ** 21 + (key & 0x1f_ffff);
}

/** Joins instructions to runs of code, none of which goes over the end of a page. */
export class CodeRuns {
  readonly #instructions = new Map<number, Uint8Array>();

  add(offset: number, bytes: Uint8Array): void {
    this.#instructions.set(offset, bytes);
  }

  runs(): CodeRun[] {
    const runs: { readonly offset: number; readonly bytes: number[] }[] = [];
    let end = Number.NaN;
    for (const [offset, bytes] of [...this.#instructions].toSorted(([a], [b]) => a - b)) {
      for (let index = 0; index < bytes.length; index++) {
        const at = offset + index;
        // Jumps into the middle of an instruction make instructions that overlap.
        if (at < end) continue;
        if (at !== end || at % PAGE_BYTES === 0) runs.push({ offset: at, bytes: [] });
        runs.at(-1)!.bytes.push(bytes[index]!);
        end = at + 1;
      }
    }
    return runs.map(({ offset, bytes }) => ({ offset, bytes: Uint8Array.from(bytes) }));
  }
}

/** A header of numbers (first the key and the tag), lists of them, and bytes; all numbers have 32 bits, little-endian. What a vCPU must know is in front. */
export function encodeRegion(region: SavedRegion): Uint8Array {
  const { entry, blockTag, key, instructionCount, isGrown, pages, runs, locals, hints, places, code } = region;
  const links = linksOf(places);
  const summary = [
    key, blockTag, pages.length, links.length, entry, instructionCount, runs.length, locals.length, hints.length, places.length, code.length, isGrown ? 1 : 0,
    ...pages, ...links, ...runs.flatMap(({ offset, bytes }) => [offset, bytes.length]),
  ];
  const rest = [
    ...locals.map((type) => LOCAL_TYPES.indexOf(type)), ...hints.map(({ offset, likely }) => offset * 2 + (likely ? 1 : 0)),
    ...places.flatMap(({ at, kind, of }) => [at, KINDS.indexOf(kind), of]),
  ];
  const parts = [bytesOf(summary), ...runs.map(({ bytes }) => bytes), bytesOf(rest), code];
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const bytesOf = (words: readonly number[]) => new Uint8Array(Int32Array.from(words).buffer);

/** What must be known of a region to enter it: what it was made from, and the blocks its branches lead to, by their offsets from the entry's page. */
export interface RegionSummary extends Pick<SavedRegion, 'entry' | 'blockTag' | 'isGrown' | 'pages' | 'runs'> {
  readonly links: readonly number[];
}

/** The blocks that places name, by their offsets from the entry's page. */
export const linksOf = (places: readonly Place[]): number[] => [...new Set(places.filter(({ kind }) => kind === 'slot').map(({ of }) => of))];

/** How many of a vCPU's words a region has: one for each page, and one for each block it names. */
export function wordCountOf(region: Uint8Array): number {
  const header = new DataView(region.buffer, region.byteOffset, region.byteLength);
  return header.getInt32(4 * SUMMARY.pageCount, true) + header.getInt32(4 * SUMMARY.linkCount, true);
}

/** Reads an encoded region from its beginning. */
class RegionReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  words(count: number): number[] {
    return Array.from({ length: count }, () => this.#view.getInt32((this.at += 4) - 4, true));
  }

  take(count: number): Uint8Array {
    const taken = this.#bytes.subarray(this.at, (this.at += count));
    if (taken.length !== count) throw new RangeError('a saved region is cut short');
    return taken;
  }
}

/** Throws a RangeError where bytes are missing. */
export function summaryOf(bytes: Uint8Array): RegionSummary {
  return readSummary(new RegionReader(bytes)).summary;
}

/** How many bytes `summaryOf` reads; without reading them, since that is asked of each region of an archive. */
export function summaryBytes(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lengths = HEADER_WORDS * 4 + wordCountOf(bytes) * 4;
  const runCount = view.getInt32(4 * SUMMARY.runCount, true);
  let end = lengths + 8 * runCount;
  for (let run = 0; run < runCount; run++) end += view.getInt32(lengths + 8 * run + 4, true);
  return end;
}

/** Throws a RangeError where bytes are missing. */
export function decodeRegion(bytes: Uint8Array): SavedRegion {
  const reader = new RegionReader(bytes);
  const { header, summary } = readSummary(reader);
  const [key, , , , , instructionCount, , localCount, hintCount, placeCount, codeBytes] = header;
  const { entry, blockTag, isGrown, pages, runs } = summary;
  const locals = reader.words(localCount).map((index) => LOCAL_TYPES[index]!);
  const hints = reader.words(hintCount).map((hint) => ({ offset: hint >> 1, likely: (hint & 1) !== 0 }));
  const words = reader.words(3 * placeCount);
  const places = Array.from({ length: placeCount }, (_, index): Place => ({ at: words[3 * index]!, kind: KINDS[words[3 * index + 1]!]!, of: words[3 * index + 2]! }));
  return { key, blockTag, entry, instructionCount, isGrown, pages, runs, locals, hints, places, code: reader.take(codeBytes) };
}

type Header = readonly [number, number, number, number, number, number, number, number, number, number, number, number];

function readSummary(reader: RegionReader): { readonly header: Header; readonly summary: RegionSummary } {
  const header = reader.words(HEADER_WORDS) as unknown as Header;
  const [, blockTag, pageCount, linkCount, entry, , runCount, , , , , isGrown] = header;
  const pages = reader.words(pageCount);
  const links = reader.words(linkCount);
  const lengths = reader.words(2 * runCount);
  const runs = Array.from({ length: runCount }, (_, index) => ({ offset: lengths[2 * index]!, bytes: reader.take(lengths[2 * index + 1]!) }));
  return { header, summary: { entry, blockTag, isGrown: isGrown !== 0, pages, links, runs } };
}
