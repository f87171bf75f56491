import { REGISTER_COUNT } from './register-bits.ts';

/** Pairs of a general register and how many of its bits may be nonzero. */
export type Widths = readonly (readonly [register: number, bits: number])[];

/** Bits of the general registers that may be nonzero, as far as the code written so far in a block tells. */
export class RegisterWidths {
  readonly #bits = new Uint8Array(REGISTER_COUNT).fill(64);
  #read: [number, number][] = [];
  #written = new Set<number>();

  /** From here on notes what is asked and what is set. */
  watch(): void {
    this.#read = [];
    this.#written = new Set();
  }
  /** What the code written since depends on. */
  get read(): Widths {
    return this.#read;
  }
  /** What it set. */
  get written(): Widths {
    return [...this.#written].map((register) => [register, this.#bits[register]!]);
  }

  get(register: number): number {
    if (!this.#written.has(register)) this.#read.push([register, this.#bits[register]!]);
    return this.#bits[register]!;
  }
  set(register: number, bits: number): void {
    this.#bits[register] = bits;
    this.#written.add(register);
  }
  /** Whatever was known may have changed. */
  forget(): void {
    for (let register = 0; register < REGISTER_COUNT; register++) this.set(register, 64);
  }

  /** Whether registers have these widths. */
  are(widths: Widths): boolean {
    return widths.every(([register, bits]) => this.#bits[register] === bits);
  }
  apply(widths: Widths): void {
    for (const [register, bits] of widths) this.#bits[register] = bits;
  }
  save(): Uint8Array {
    return this.#bits.slice();
  }
  restore(saved: Uint8Array): void {
    this.#bits.set(saved);
  }
}
