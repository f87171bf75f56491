import type { Code } from '@hanok/wasm';
import type { ValueType } from '@hanok/x86';
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

  /** A block that more than one path reaches knows nothing of the registers' widths. */
  forgetWidths(): void {
    this.width.fill(64);
  }

  /** Loads every register the region names. */
  load(code: Code): void {
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
    this.load(code);
  }
}
