/** What `WriteEntries` gives for a page that no entry lets be written, and for one that more than one may. */
export const NO_ENTRY = 0;
export const MANY_ENTRIES = -1;

/** Which TLB entry of a vCPU may let it write a physical page, so that not all are searched when the page gets code. */
export class WriteEntries {
  readonly #entries: Int32Array;

  constructor(pageCount: number) {
    this.#entries = new Int32Array(pageCount);
  }

  /** The entry at this word of memory lets the page be written now. */
  note(page: number, at: number): void {
    const known = this.#entries[page]!;
    if (known !== at) this.#entries[page] = known === NO_ENTRY ? at : MANY_ENTRIES;
  }

  /** The entry, if any; it is forgotten. */
  take(page: number): number {
    const at = this.#entries[page]!;
    this.#entries[page] = NO_ENTRY;
    return at;
  }
}
