/**
 * Decoded blocks that were kept, as 32-bit words: a hash table of ENTRY_WORDS each (the hash of a block, and one more than
 * where its record begins, or 0) behind the number of its entries, then records.
 */
const ENTRY_WORDS = 2;
/** Of a record: its hash, its BLOCK_TAG, where in its page it begins, bytes of code, and words of its slots; the code and the slots follow. */
const RECORD = { hash: 0, tag: 1, offset: 2, codeBytes: 3, slotWords: 4, headerWords: 5 } as const;
/** Bytes at the beginning of a block that its hash is made of. */
const HASHED_BYTES = 12;
const HASH_FACTOR = 0x01000193;
const PAGE_BYTES = 4096;

/** What `KeptBlocks` may be given to note new blocks in: how many words are in use, and records. */
export const JOURNAL_WORDS = 4 * 2 ** 20;
const JOURNAL_START = 1;

/** Slots of blocks that this or another machine decoded, by the code they were decoded from. */
export class KeptBlocks {
  readonly #words: Int32Array;
  readonly #recordsAt: number;
  readonly #journal: Int32Array | undefined;
  /** Where the next record of the journal begins. */
  #next = JOURNAL_START;

  /**
   * @param words what `makeKeptBlocks` made
   * @param journal gets new blocks, as long as there is room
   */
  constructor(words: Int32Array | undefined, journal?: Int32Array) {
    this.#words = words ?? makeKeptBlocks(undefined, undefined);
    this.#recordsAt = 1 + this.#words[0]! * ENTRY_WORDS;
    this.#journal = journal;
    if (journal) journal[0] = JOURNAL_START;
  }

  /** Writes the slots of the block at a guest-physical address from `slot` (a byte address) on: where they end, or `slot` where it is not known. */
  copy(ram: Uint8Array, gpa: number, tag: number, target: Int32Array, slot: number): number {
    const words = this.#words;
    const end = gpa - (gpa % PAGE_BYTES) + PAGE_BYTES;
    const hash = hashOf(ram, gpa, end, tag);
    const mask = words[0]! - 1;
    for (let entry = hash & mask; ; entry = (entry + 1) & mask) {
      const place = words[1 + entry * ENTRY_WORDS + 1]!;
      if (place === 0) return slot;
      if (words[1 + entry * ENTRY_WORDS] !== hash || !this.#isAt(this.#recordsAt + place - 1, ram, gpa, end, tag)) continue;
      return this.#copySlots(this.#recordsAt + place - 1, target, slot);
    }
  }

  #isAt(record: number, ram: Uint8Array, gpa: number, end: number, tag: number): boolean {
    const words = this.#words;
    const codeBytes = words[record + RECORD.codeBytes]!;
    if (words[record + RECORD.tag] !== tag || words[record + RECORD.offset] !== gpa % PAGE_BYTES || gpa + codeBytes > end) return false;
    const code = record + RECORD.headerWords;
    for (let at = 0; at < codeBytes; at++) if (((words[code + (at >> 2)]! >> ((at & 3) * 8)) & 0xff) !== ram[gpa + at]) return false;
    return true;
  }

  #copySlots(record: number, target: Int32Array, slot: number): number {
    const words = this.#words;
    const from = record + RECORD.headerWords + ((words[record + RECORD.codeBytes]! + 3) >> 2);
    const count = words[record + RECORD.slotWords]!;
    for (let index = 0; index < count; index++) target[(slot >> 2) + index] = words[from + index]!;
    return slot + count * 4;
  }

  /** Notes a block that was decoded from `codeBytes` at an address to the slots from `slot` to `end`; it is kept once it is settled. */
  note(ram: Uint8Array, gpa: number, codeBytes: number, tag: number, source: Int32Array, slot: number, end: number): void {
    const journal = this.#journal;
    if (!journal) return;
    const codeWords = (codeBytes + 3) >> 2;
    const slotWords = (end - slot) >> 2;
    const start = this.#next;
    const next = start + RECORD.headerWords + codeWords + slotWords;
    if (next > journal.length) return;
    journal[start + RECORD.hash] = hashOf(ram, gpa, gpa - (gpa % PAGE_BYTES) + PAGE_BYTES, tag);
    journal[start + RECORD.tag] = tag;
    journal[start + RECORD.offset] = gpa % PAGE_BYTES;
    journal[start + RECORD.codeBytes] = codeBytes;
    journal[start + RECORD.slotWords] = slotWords;
    const code = start + RECORD.headerWords;
    journal.fill(0, code, code + codeWords);
    for (let at = 0; at < codeBytes; at++) journal[code + (at >> 2)]! |= ram[gpa + at]! << ((at & 3) * 8);
    for (let index = 0; index < slotWords; index++) journal[code + codeWords + index] = source[(slot >> 2) + index]!;
    this.#next = next;
  }

  /** After a slice: no page was written that blocks were decoded from, so that they are what their code says. */
  settle(): void {
    if (this.#journal) this.#journal[0] = this.#next;
  }

  /** Some page was written: forgets the blocks of this slice, any of which may have been decoded from what was there before. */
  unsettle(): void {
    if (this.#journal) this.#next = this.#journal[0]!;
  }
}

/** A number that blocks with other code, at other offsets or with other tags hardly share. */
function hashOf(ram: Uint8Array, gpa: number, pageEnd: number, tag: number): number {
  const end = Math.min(gpa + HASHED_BYTES, pageEnd);
  let hash = 0x811c9dc5 ^ (gpa % PAGE_BYTES) ^ Math.imul(tag, 0x9e3779b1);
  for (let at = gpa; at < end; at++) hash = Math.imul(hash ^ ram[at]!, HASH_FACTOR);
  return hash ^ (hash >>> 15);
}

/** Of a journal: how many words of records it has. */
export const journalWords = (journal: Int32Array): number => Math.max(0, journal[0]! - JOURNAL_START);

/** Kept blocks with those of a journal. */
export function makeKeptBlocks(kept: Int32Array | undefined, journal: Int32Array | undefined): Int32Array {
  const old = kept?.subarray(1 + kept[0]! * ENTRY_WORDS) ?? new Int32Array();
  const added = journal?.subarray(JOURNAL_START, JOURNAL_START + journalWords(journal)) ?? new Int32Array();
  const records = new Int32Array(old.length + added.length);
  records.set(old);
  records.set(added, old.length);
  const starts = [...recordStarts(records)];
  const entryCount = 2 ** Math.ceil(Math.log2(2 * starts.length + 2));
  const words = new Int32Array(1 + entryCount * ENTRY_WORDS + records.length);
  words[0] = entryCount;
  for (const start of starts) {
    let entry = records[start + RECORD.hash]! & (entryCount - 1);
    while (words[1 + entry * ENTRY_WORDS + 1] !== 0) entry = (entry + 1) & (entryCount - 1);
    words.set([records[start + RECORD.hash]!, start + 1], 1 + entry * ENTRY_WORDS);
  }
  words.set(records, 1 + entryCount * ENTRY_WORDS);
  return words;
}

function* recordStarts(records: Int32Array): Iterable<number> {
  for (let at = 0; at < records.length; ) {
    yield at;
    at += RECORD.headerWords + ((records[at + RECORD.codeBytes]! + 3) >> 2) + records[at + RECORD.slotWords]!;
  }
}
