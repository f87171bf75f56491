const PAGE_BYTES = 4096;

/** What `WriteEntries` gives for a page that no entry lets be written, and for one that more than one may. */
export const NO_ENTRY = 0;
export const MANY_ENTRIES = -1;

/**
 * Which TLB entry of a vCPU may let it write a physical page, as the index of a 32-bit word of memory, so that not all are
 * searched when the page gets code. `fill TLB` notes them.
 */
export class WriteEntries {
  static sizeBytes(ramBytes: number): number {
    return Math.ceil(ramBytes / PAGE_BYTES) * 4;
  }
  readonly #entries: Int32Array;

  constructor(buffer: ArrayBufferLike, address: number, ramBytes: number) {
    this.#entries = new Int32Array(buffer, address, WriteEntries.sizeBytes(ramBytes) / 4).fill(NO_ENTRY);
  }

  /** The entry, if any; it is forgotten. */
  take(page: number): number {
    const at = this.#entries[page]!;
    this.#entries[page] = NO_ENTRY;
    return at;
  }
}
