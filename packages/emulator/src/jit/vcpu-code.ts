import { type Decoded, type Decoder, INSTRUCTION_BYTES_MAX, RET, RIP_BASE, type Row } from '@hanok/x86';
import { alwaysRaises } from '../always-raised.ts';
import type { BlockCache } from '../block-cache.ts';
import type { Mmu } from '../mmu.ts';
import type { TracedCode } from './block-trace.ts';
import type { CodeSource } from './control-flow.ts';

const PAGE_BYTES = 4096;
/** How far from a region's entry its code may lie. */
const REACH_BYTES = 2 ** 31;

export interface VcpuCodeOptions extends Pick<CodeSource, 'ram' | 'decoder'> {
  readonly mmu: Mmu;
  readonly blocks: BlockCache;
  /** Where on a physical page hot blocks begin. */
  hotOffsets(page: number): number[];
  /** The page of the region's entry, its number in RAM and its linear address; and the entry's offset in it. */
  readonly entryPage: number;
  readonly entry: number;
  hasRegion(slot: number): boolean;
  /** What ran when that was looked at. */
  readonly traced: TracedCode | undefined;
  readonly linear: bigint;
  readonly blockTag: number;
}

/** Code around the entry of a region, as its vCPU sees it at this moment. */
export class VcpuCode implements CodeSource {
  readonly ram: Uint8Array;
  readonly decoder: Decoder;
  readonly #options: VcpuCodeOptions;
  readonly #starts: Map<number, number>;
  /** The lower half of where the entry's page is, by which traces name addresses. */
  readonly #low: number;

  constructor(options: VcpuCodeOptions) {
    this.ram = options.ram;
    this.decoder = options.decoder;
    this.#options = options;
    this.#starts = new Map([[0, options.entryPage * PAGE_BYTES]]);
    this.#low = Number(BigInt.asIntN(32, options.linear));
  }

  get entryGpa(): number {
    return this.#options.entryPage * PAGE_BYTES + this.#options.entry;
  }
  get blockTag(): number {
    return this.#options.blockTag;
  }

  pageStart(page: number): number {
    const known = this.#starts.get(page);
    if (known !== undefined) return known;
    const { mmu, linear } = this.#options;
    const start = mmu.codePageStart(BigInt.asUintN(64, linear + BigInt(page * PAGE_BYTES)));
    if (start >= 0) mmu.protectCode(start / PAGE_BYTES);
    this.#starts.set(page, start);
    return start;
  }

  slotOf(offset: number): number | undefined {
    const start = this.pageStart(Math.floor(offset / PAGE_BYTES));
    return start >= 0 ? this.#options.blocks.slotOf(start + (offset & (PAGE_BYTES - 1))) : undefined;
  }

  hasRegion(offset: number): boolean {
    const slot = this.slotOf(offset);
    return slot !== undefined && slot !== 0 && this.#options.hasRegion(slot);
  }

  /** Where it was seen to lead; else, through a pointer beside the code, as libraries are called, it leads where that points; else to hot blocks nearby, as a switch does. */
  jumpTargets(offset: number, decoded: Decoded): readonly number[] {
    const { traced } = this.#options;
    if (traced) return this.#tracedJumps(offset, traced);
    if (decoded.row.insn === RET) return [];
    if (decoded.isMemory && decoded.base === RIP_BASE && decoded.bits === 64) return this.#pointedTo(offset, decoded);
    const page = Math.floor(offset / PAGE_BYTES);
    const start = this.pageStart(page);
    if (start < 0) return [];
    const hot = this.#options.hotOffsets(start / PAGE_BYTES).map((inPage) => page * PAGE_BYTES + inPage);
    return hot.toSorted((a, b) => Math.abs(a - offset) - Math.abs(b - offset));
  }

  #tracedJumps(offset: number, { jumps }: TracedCode): readonly number[] {
    const low = this.#low;
    return (jumps.get((low + offset) | 0) ?? []).map((target) => (target - low) | 0).filter((target) => this.slotOf(target) !== undefined);
  }

  weightOf(offset: number): number {
    const { traced } = this.#options;
    if (!traced) return 1;
    // What is behind an instruction that crosses the end of a page was not looked at.
    const otherwise = (offset & (PAGE_BYTES - 1)) < INSTRUCTION_BYTES_MAX ? 1 : 0;
    return traced.runs.get((this.#low + offset) | 0) ?? otherwise;
  }

  #pointedTo(offset: number, { displacement, lengthBytes }: Decoded): readonly number[] {
    const { mmu, linear } = this.#options;
    const pointer = mmu.walker.peek(BigInt.asUintN(64, linear + BigInt(offset + lengthBytes) + displacement));
    if (pointer === undefined) return [];
    const target = Number(BigInt.asIntN(64, pointer - linear));
    return Math.abs(target) < REACH_BYTES && this.slotOf(target) !== undefined ? [target] : [];
  }

  works(row: Row): boolean {
    return alwaysRaises(row, this.#options.blockTag) === undefined;
  }
}
