import type { Code } from '@hanok/wasm';
import type { ValueType } from '@hanok/x86';
import { emitRoundingShows } from '../float/rounding-shows.ts';
import { CPU } from '../layout.ts';

const GENERAL_COUNT = 16;
const VECTOR_COUNT = 16;

/** Masks of registers: general ones, then vectors. */
export const registerBit = (index: number) => 1 << index;
export const vectorBit = (index: number) => 1 << (GENERAL_COUNT + index);

/**
 * Wasm locals that stand for the vCPU's state while a region runs, and the code that loads them. What is
 * written goes to the state block at once: leaving a region costs nothing, and registers need not be kept for it.
 */
export class RegionState {
  /** The function's only parameter: address of the vCPU's block. */
  readonly cpu = 0;
  readonly newLocal: (type: ValueType) => number;
  /** Address of the TLB in force. */
  readonly tlb: number;
  /** RIP of the page the region lies in. */
  readonly codePage: number;
  /** Instructions the vCPU may still run. */
  readonly budget: number;
  readonly #general = new Int32Array(GENERAL_COUNT).fill(-1);
  readonly #vector = new Int32Array(VECTOR_COUNT).fill(-1);
  #roundingShows = -1;
  readonly #constants = new Map<string, { readonly bytes: Uint8Array; readonly local: number }>();
  /** Registers that are the same in the state block and in their locals here, by `registerBit`. */
  available = 0;
  /** Registers loaded when the region is entered. */
  #loadedAtEntry = 0;
  /** Bits of a general register that may be nonzero, as far as the code written so far in this block tells. */
  readonly width = new Uint8Array(GENERAL_COUNT).fill(64);

  constructor(newLocal: (type: ValueType) => number) {
    this.newLocal = newLocal;
    this.tlb = newLocal('i32');
    this.codePage = newLocal('i64');
    this.budget = newLocal('i32');
  }

  general(index: number): number {
    if (this.#general[index]! < 0) this.#general[index] = this.newLocal('i64');
    return this.#general[index]!;
  }
  vector(index: number): number {
    if (this.#vector[index]! < 0) this.#vector[index] = this.newLocal('v128');
    return this.#vector[index]!;
  }
  /** Whether rounding shows (`Emit.roundingShows`), kept while the region runs. */
  roundingShows(): number {
    if (this.#roundingShows < 0) this.#roundingShows = this.newLocal('i32');
    return this.#roundingShows;
  }
  loadRoundingShows(code: Code): void {
    if (this.#roundingShows < 0) return;
    emitRoundingShows(code, this.cpu);
    code.localSet(this.#roundingShows);
  }

  /** A vector constant in a local: V8 would make it anew wherever it is used. */
  vectorConstant(bytes: readonly number[]): number {
    const key = bytes.join();
    const known = this.#constants.get(key) ?? { bytes: Uint8Array.from(bytes), local: this.newLocal('v128') };
    this.#constants.set(key, known);
    return known.local;
  }

  /** A block that more than one path reaches knows nothing of the registers' widths. */
  forgetWidths(): void {
    this.width.fill(64);
  }

  /** Makes registers available: in a loop where the region is entered, else here. */
  provide(code: Code, registers: number, inLoop: boolean): void {
    const missing = registers & ~this.available;
    this.available |= registers;
    if (inLoop) this.#loadedAtEntry |= missing;
    else this.load(code, missing);
  }

  /** What must be loaded again behind a helper, given what is available there. */
  kept(available: number): number {
    return available | this.#loadedAtEntry;
  }

  load(code: Code, registers: number): void {
    for (let index = 0; index < GENERAL_COUNT; index++) {
      if (registers & registerBit(index)) code.localGet(0).memory('i64.load', CPU.gpr + index * 8).localSet(this.general(index));
    }
    for (let index = 0; index < VECTOR_COUNT; index++) {
      if (registers & vectorBit(index)) code.localGet(0).memory('v128.load', CPU.xmm + index * 16).localSet(this.vector(index));
    }
  }

  /** Loads what stays the same while the region runs, and the budget. */
  begin(code: Code): void {
    code.localGet(0).localGet(0).memory('i32.load', CPU.tlb).op('i32.add').localSet(this.tlb);
    code.localGet(0).memory('i64.load', CPU.codePage).localSet(this.codePage);
    code.localGet(0).memory('i32.load', CPU.budget).localSet(this.budget);
    for (const { bytes, local } of this.#constants.values()) code.v128(bytes).localSet(local);
    this.loadRoundingShows(code);
    this.load(code, this.#loadedAtEntry);
  }
}
