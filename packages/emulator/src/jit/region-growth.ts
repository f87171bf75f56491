import type { CpuState } from '../cpu-state.ts';
import { CPU, ENTER, NO_REGIONS, REGION_OVERRUN_MAX, SLOT } from '../layout.ts';
import { BlockTrace } from './block-trace.ts';

/** Blocks of a trace. */
const TRACE_BLOCKS = 3000;
/** How many times as often a region is entered before it is made larger again, and how many times that is so. */
const GROWTH_FACTOR = 8;
const GROWTHS_MAX = 3;
/** How often a region is entered before it is tried again to make it larger. */
const GROW_LATER = 5000;
/** Stands for a count that is never reached. */
const NEVER = 0x7fff_ffff;

export interface GrowthPolicy {
  /** How often a region is entered from others before it is made again with what runs behind it; by default never. */
  readonly growCount?: number;
  /** How many blocks are looked at to find out what that is; by default TRACE_BLOCKS. */
  readonly traceBlocks?: number;
}

/** When regions are made larger, and the trace of the one that is about to be. */
export class RegionGrowth {
  readonly #state: CpuState;
  readonly #view: DataView;
  readonly #policy: GrowthPolicy;
  /** How often regions were made larger, by Enter slots. */
  readonly #growths = new Map<number, number>();
  #trace: BlockTrace | undefined;

  constructor(state: CpuState, policy: GrowthPolicy) {
    this.#state = state;
    this.#view = new DataView(state.view.buffer);
    this.#policy = policy;
  }

  /** A region is entered from now on, or another one: it counts its entries anew, and more of them each time it was made larger. */
  begin(slot: number, isGrown: boolean): void {
    if (isGrown) this.#growths.set(slot, Math.min((this.#growths.get(slot) ?? 0) + 1, GROWTHS_MAX));
    this.#count(slot);
  }
  isGrown(slot: number): boolean {
    return this.#growths.has(slot);
  }
  /** A slot has no region any more. */
  forget(slot: number): void {
    this.#growths.delete(slot);
  }
  clear(): void {
    this.#growths.clear();
    this.#trace = undefined;
  }

  #count(slot: number): void {
    const { growCount } = this.#policy;
    const count = growCount === undefined ? NEVER : growCount * GROWTH_FACTOR ** (this.#growths.get(slot) ?? 0);
    this.#view.setInt32(slot + ENTER.entriesLeft, count, true);
  }

  /** Has the interpreter tell what runs from a region on, unless there is a reason to wait. */
  trace(slot: number, waits: boolean): void {
    if (waits || this.#trace) {
      this.#view.setInt32(slot + ENTER.entriesLeft, GROW_LATER, true);
      return;
    }
    this.#trace = new BlockTrace(slot, this.#state.get(CPU.codePage), this.#policy.traceBlocks ?? TRACE_BLOCKS);
    this.#state.setWord(CPU.regionBudget, NO_REGIONS);
  }

  /** The interpreter enters a block while no region is entered: the trace, where this is its end and the region's block, in its address space. */
  entered(slot: number): BlockTrace | undefined {
    const trace = this.#trace;
    const codePage = this.#state.get(CPU.codePage);
    const at = (Number(BigInt.asIntN(32, codePage)) + this.#view.getUint16(slot + SLOT.pageOffset, true)) | 0;
    if (trace && !trace.add(slot, at)) return undefined;
    this.#trace = undefined;
    this.#state.setWord(CPU.regionBudget, REGION_OVERRUN_MAX);
    if (!trace) return undefined;
    this.#count(trace.slot);
    return trace.slot === slot && trace.linear === codePage ? trace : undefined;
  }

  /** With how many instructions left regions may be entered, in a slice with so many behind it. */
  regionBudget(behind: number): number {
    if (this.#trace) return NO_REGIONS;
    return behind > REGION_OVERRUN_MAX ? 0 : REGION_OVERRUN_MAX;
  }
}
