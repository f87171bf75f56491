const PAGE_BYTES = 4096;

/** What `WriteEntries` gives for a page that no entry lets be written, and for one that entries at several places may. */
export const NO_PLACE = 0;
export const MANY_PLACES = -1;
/** Added to the offset of an entry in its table, so that no place is NO_PLACE. */
export const WRITER_PLACE = 8;

/**
 * At which place of a vCPU's TLBs, the same in each of its tables, entries may let it write a physical page, so that not all
 * are searched when the page gets code. `fill TLB` notes them.
 */
export class WriteEntries {
  static sizeBytes(ramBytes: number): number {
    return Math.ceil(ramBytes / PAGE_BYTES) * 4;
  }
  readonly #places: Int32Array;

  constructor(buffer: ArrayBufferLike, address: number, ramBytes: number) {
    this.#places = new Int32Array(buffer, address, WriteEntries.sizeBytes(ramBytes) / 4).fill(NO_PLACE);
  }

  /** The place, WRITER_PLACE added, if there is one; it is forgotten. */
  take(page: number): number {
    const place = this.#places[page]!;
    this.#places[page] = NO_PLACE;
    return place;
  }
}
