import type { Code } from '@hanok/wasm';
import type { ValueType } from '@hanok/x86';
import { emitRoundingShows } from '../float/rounding-shows.ts';
import { CPU } from '../layout.ts';

const GENERAL_COUNT = 16;
const VECTOR_COUNT = 16;

/** Wasm locals that stand for the vCPU's state while a region runs, and the code that moves them in and out. */
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
  /** Where the region is left for, and how: a REGION_END. */
  readonly rip: number;
  readonly end: number;
  readonly #general = new Int32Array(GENERAL_COUNT).fill(-1);
  readonly #vector = new Int32Array(VECTOR_COUNT).fill(-1);
  #roundingShows = -1;
  readonly #constants = new Map<string, { readonly bytes: Uint8Array; readonly local: number }>();
  readonly #writtenGeneral = new Set<number>();
  readonly #writtenVector = new Set<number>();
  /** Bits of a general register that may be nonzero, as far as the code written so far in this block tells. */
  readonly width = new Uint8Array(GENERAL_COUNT).fill(64);

  constructor(newLocal: (type: ValueType) => number) {
    this.newLocal = newLocal;
    this.tlb = newLocal('i32');
    this.codePage = newLocal('i64');
    this.budget = newLocal('i32');
    this.rip = newLocal('i64');
    this.end = newLocal('i32');
  }

  general(index: number): number {
    if (this.#general[index]! < 0) this.#general[index] = this.newLocal('i64');
    return this.#general[index]!;
  }
  vector(index: number): number {
    if (this.#vector[index]! < 0) this.#vector[index] = this.newLocal('v128');
    return this.#vector[index]!;
  }
  writtenGeneral(index: number): number {
    this.#writtenGeneral.add(index);
    return this.general(index);
  }
  writtenVector(index: number): number {
    this.#writtenVector.add(index);
    return this.vector(index);
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

  /** Loads every register the region names. */
  load(code: Code): void {
    this.loadRoundingShows(code);
    this.#general.forEach((local, index) => local >= 0 && code.localGet(0).memory('i64.load', CPU.gpr + index * 8).localSet(local));
    this.#vector.forEach((local, index) => local >= 0 && code.localGet(0).memory('v128.load', CPU.xmm + index * 16).localSet(local));
  }

  /** Stores every register the region writes. */
  store(code: Code): void {
    for (const index of this.#writtenGeneral) code.localGet(0).localGet(this.general(index)).memory('i64.store', CPU.gpr + index * 8);
    for (const index of this.#writtenVector) code.localGet(0).localGet(this.vector(index)).memory('v128.store', CPU.xmm + index * 16);
  }

  /** Loads what stays the same while the region runs, and the budget. */
  begin(code: Code): void {
    code.localGet(0).localGet(0).memory('i32.load', CPU.tlb).op('i32.add').localSet(this.tlb);
    code.localGet(0).memory('i64.load', CPU.codePage).localSet(this.codePage);
    code.localGet(0).memory('i32.load', CPU.budget).localSet(this.budget);
    for (const { bytes, local } of this.#constants.values()) code.v128(bytes).localSet(local);
    this.load(code);
  }
}
