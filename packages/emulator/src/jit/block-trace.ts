import type { Decoder } from '@hanok/x86';
import { ENTER, SLOT } from '../layout.ts';
import { leadsAnywhere, relativeTarget } from './control-flow.ts';

/** A trace ends at its region's block, but not after so many times as many blocks as it is to have. */
const BLOCKS_FACTOR = 4;
/** Instructions of a block that are looked at, at most. */
const STEPS_MAX = 64;
const PAGE_BYTES = 4096;
/** Where a jump led that seldom, it is not tried. */
const LIKELY_PART = 16;
const LIKELY_MAX = 6;
/** A vCPU has fewer Enter slots. */
const SLOTS_MAX = 2 ** 22;

/** One block was entered behind another. Addresses are the lower halves of linear ones. */
interface Step {
  readonly slot: number;
  readonly from: number;
  readonly to: number;
  count: number;
}

/** What ran in a trace, by the lower halves of linear addresses. */
export interface TracedCode {
  /** How often instructions did. */
  readonly runs: ReadonlyMap<number, number>;
  /** Where returns and indirect jumps led, the likeliest first. */
  readonly jumps: ReadonlyMap<number, readonly number[]>;
}

/** The blocks that the interpreter enters from a region's on, as a sample of what runs behind it. */
export class BlockTrace {
  /** The Enter slot that it is about, and the page it is entered on. */
  readonly slot: number;
  readonly linear: bigint;
  readonly #blocksMin: number;
  readonly #steps = new Map<number, Step>();
  #blockCount = 0;
  /** How often the region's block was entered. */
  #visits = 0;
  #last: { readonly slot: number; readonly at: number } | undefined;

  constructor(slot: number, linear: bigint, blocksMin: number) {
    this.slot = slot;
    this.linear = linear;
    this.#blocksMin = blocksMin;
  }

  /** A block is entered; whether the trace is at its end. */
  add(slot: number, at: number): boolean {
    const last = this.#last;
    this.#last = { slot, at };
    this.#blockCount++;
    if (last) this.#note(last.slot, last.at, slot, at);
    if (slot === this.slot) this.#visits++;
    if (this.#blockCount >= this.#blocksMin * BLOCKS_FACTOR) return true;
    return this.#blockCount >= this.#blocksMin && slot === this.slot && this.#visits > 1;
  }

  #note(slot: number, from: number, toSlot: number, to: number): void {
    const numberOf = (address: number) => (address / SLOT.sizeBytes) % SLOTS_MAX;
    const key = numberOf(slot) * SLOTS_MAX + numberOf(toSlot);
    const known = this.#steps.get(key);
    if (known) known.count++;
    else this.#steps.set(key, { slot, from, to, count: 1 });
  }

  /** Follows each block to where the next was entered. */
  code(view: DataView, ram: Uint8Array, decoder: Decoder): TracedCode {
    const runs = new Map<number, number>();
    const jumps = new Map<number, Map<number, number>>();
    for (const step of this.#steps.values()) followStep(step, { view, ram, decoder, runs, jumps });
    return { runs, jumps: new Map([...jumps].map(([at, counts]) => [at, likeliest(counts)])) };
  }
}

interface Following {
  readonly view: DataView;
  readonly ram: Uint8Array;
  readonly decoder: Decoder;
  readonly runs: Map<number, number>;
  readonly jumps: Map<number, Map<number, number>>;
}

function followStep({ slot, from, to, count }: Step, { view, ram, decoder, runs, jumps }: Following): void {
  const pageStart = view.getUint32(slot + ENTER.page, true) * PAGE_BYTES;
  let at = from;
  for (let steps = 0; steps < STEPS_MAX && (steps === 0 || at !== to); steps++) {
    if ((at - from + view.getUint16(slot + SLOT.pageOffset, true)) >= PAGE_BYTES) return;
    runs.set(at, (runs.get(at) ?? 0) + count);
    const decoded = decoder.decode(ram, pageStart + (at & (PAGE_BYTES - 1)), pageStart + PAGE_BYTES, 64);
    if (typeof decoded === 'string') return;
    if (leadsAnywhere(decoded)) {
      const counts = jumps.get(at) ?? new Map<number, number>();
      jumps.set(at, counts.set(to, (counts.get(to) ?? 0) + count));
      return;
    }
    const target = relativeTarget(decoded, at);
    if (decoded.row.options.ends || (target !== undefined && (target | 0) === to)) return;
    at = (at + decoded.lengthBytes) | 0;
  }
}

function likeliest(counts: ReadonlyMap<number, number>): number[] {
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const likely = [...counts].filter(([, count]) => count * LIKELY_PART >= all).toSorted(([, a], [, b]) => b - a);
  return likely.slice(0, LIKELY_MAX).map(([target]) => target);
}
