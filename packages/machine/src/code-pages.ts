const CODE = 1;
const WRITTEN = 2;

/**
 * Which pages of RAM hold code that an engine has translated, in shared memory: the engine marks pages, devices on
 * other threads report writes to them, and the engine drops what it translated before it delivers an interrupt.
 * Layout: a 32-bit flag "some page was written", then a byte a page.
 */
export class CodePages {
  static sizeBytes(ramBytes: number): number {
    return 4 + Math.ceil(ramBytes / 4096);
  }
  readonly #flag: Int32Array;
  readonly #pages: Uint8Array;

  constructor(buffer: ArrayBufferLike, ramBytes: number) {
    this.#flag = new Int32Array(buffer, 0, 1);
    this.#pages = new Uint8Array(buffer, 4, Math.ceil(ramBytes / 4096));
  }

  mark(page: number): void {
    Atomics.store(this.#pages, page, CODE);
  }
  unmark(page: number): void {
    Atomics.store(this.#pages, page, 0);
  }
  has(page: number): boolean {
    return this.#pages[page] !== 0;
  }

  /** A device wrote [gpa, gpa + lengthBytes). */
  deviceWrote(gpa: number, lengthBytes: number): void {
    for (let page = Math.floor(gpa / 4096); page * 4096 < gpa + lengthBytes; page++) {
      if (Atomics.load(this.#pages, page) === 0) continue;
      Atomics.or(this.#pages, page, WRITTEN);
      Atomics.store(this.#flag, 0, 1);
    }
  }

  /** Calls back for each code page that devices wrote since the last call. */
  takeWritten(drop: (page: number) => void): void {
    if (Atomics.load(this.#flag, 0) === 0) return;
    Atomics.store(this.#flag, 0, 0);
    for (let page = 0; page < this.#pages.length; page++) if (this.#pages[page]! & WRITTEN) drop(page);
  }
}
