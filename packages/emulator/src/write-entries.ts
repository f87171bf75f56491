const PAGE_BYTES = 4096;

/** What `WriteEntries` has of a page where no entry lets it be written, and as its first where entries at more than two places may. */
export const NO_PLACE = 0;
export const MANY_PLACES = -1;
/** Added to the offset of an entry in its table, so that no place is NO_PLACE. */
export const WRITER_PLACE = 8;
/** Bytes a page has: two places, since a kernel maps its own code twice, or once more to patch it. */
export const WRITERS_BYTES = 8;

/**
 * At which places of a vCPU's TLBs, the same in each of its tables, entries may let it write a physical page, so that not all
 * are searched when the page gets code. `fill TLB` notes them.
 */
export class WriteEntries {
  static sizeBytes(ramBytes: number): number {
    return Math.ceil(ramBytes / PAGE_BYTES) * WRITERS_BYTES;
  }
  readonly #places: Int32Array;

  constructor(buffer: ArrayBufferLike, address: number, ramBytes: number) {
    this.#places = new Int32Array(buffer, address, WriteEntries.sizeBytes(ramBytes) / 4).fill(NO_PLACE);
  }

  /** The first place or the second (0 or 1), WRITER_PLACE added, if there is one; it is forgotten. */
  take(page: number, which: number): number {
    const index = (page * WRITERS_BYTES) / 4 + which;
    const place = this.#places[index]!;
    this.#places[index] = NO_PLACE;
    return place;
  }
}
