import type { CodePages } from '@hanok/machine';
import type { BlockCache } from '../block-cache.ts';
import type { CpuState } from '../cpu-state.ts';
import { CPU, ENTER, SLOT } from '../layout.ts';
import type { Mmu } from '../mmu.ts';
import { RegionAges } from './region-ages.ts';
import type { RegionCache, RegionRequest } from './region-cache.ts';

/** When code is compiled. */
export interface CompilePolicy {
  /** How often a block runs before; twice as often each time code on its page was dropped, up to `doublingsMax` times. */
  readonly hotCount: number;
  readonly doublingsMax: number;
  /** Regions that wait are compiled together: this many, or after so many slices. */
  readonly batchRegions: number;
  readonly batchSlices: number;
  /** Guest instructions that the regions of a vCPU may be; by default INSTRUCTIONS_MAX. */
  readonly instructionsMax?: number;
}

export const COMPILE_POLICY: CompilePolicy = { hotCount: 1500, doublingsMax: 10, batchRegions: 16, batchSlices: 8 };
const NEVER = 0x7fffffff;
/** The limit of the code cache: a compiled instruction takes about 500 bytes of the host's memory. */
const INSTRUCTIONS_MAX = 500_000;
/** A block that ran this part of what makes it worth compiling is a likely target of a jump. */
const HOT_BLOCK_PART = 20;
const PAGE_BYTES = 4096;

/** Which code is hot, which of it is compiled, and what must be forgotten when a page is written. */
export class HotCode {
  readonly #state: CpuState;
  readonly #view: DataView;
  readonly #regions: RegionCache;
  readonly #codePages: CodePages;
  readonly #waiting: RegionRequest[] = [];
  /** Enter slots of the regions with code on a page. */
  readonly #slotsByPage = new Map<number, Set<number>>();
  readonly #ages = new RegionAges();
  readonly #dropsByPage = new Map<number, number>();
  readonly #policy: CompilePolicy;
  readonly #vcpu: number;
  #slices = 0;
  #mmu: Mmu | undefined;
  #blocks: BlockCache | undefined;

  constructor(state: CpuState, regions: RegionCache, codePages: CodePages, vcpu: number, policy: CompilePolicy) {
    this.#state = state;
    this.#view = new DataView(state.view.buffer);
    this.#regions = regions;
    this.#codePages = codePages;
    this.#policy = policy;
    this.#vcpu = vcpu;
  }

  connect(mmu: Mmu, blocks: BlockCache): void {
    this.#mmu = mmu;
    this.#blocks = blocks;
  }

  /** How often a new block on a page may run in the interpreter. */
  countdown(page: number): number {
    return this.#policy.hotCount << Math.min(this.#dropsByPage.get(page) ?? 0, this.#policy.doublingsMax);
  }

  /** The import `hot`: finds the code of a region while the address space it runs in is there. */
  note(slot: number): void {
    const view = this.#view;
    view.setInt32(slot + ENTER.countdown, NEVER, true);
    const entryPage = view.getUint32(slot + ENTER.page, true);
    const linear = this.#state.get(CPU.codePage);
    const starts = new Map([[0, entryPage * PAGE_BYTES]]);
    const pageStart = (page: number) => {
      const start = starts.get(page) ?? this.#mmu!.codePageStart(BigInt.asUintN(64, linear + BigInt(page * PAGE_BYTES)));
      if (!starts.has(page) && start >= 0) this.#mmu!.protectCode(start / PAGE_BYTES);
      starts.set(page, start);
      return start;
    };
    const hasRun = (offset: number) => {
      const start = pageStart(Math.floor(offset / PAGE_BYTES));
      return start >= 0 && this.#blocks!.isDecoded(start + (offset & (PAGE_BYTES - 1)));
    };
    const hotBlocks = (offset: number) => {
      const page = Math.floor(offset / PAGE_BYTES);
      const start = pageStart(page);
      if (start < 0) return [];
      const hot = this.#hotOffsets(start / PAGE_BYTES).map((inPage) => page * PAGE_BYTES + inPage);
      return hot.toSorted((a, b) => Math.abs(a - offset) - Math.abs(b - offset));
    };
    const code = this.#regions.discover({ pageStart, hasRun, hotBlocks, works: (row) => this.#blocks!.raises(row) === undefined }, view.getUint16(slot + SLOT.pageOffset, true));
    if (code) this.#waiting.push({ slot, code });
  }

  /** Where on a physical page blocks begin that are compiled or on the way to it. */
  #hotOffsets(page: number): number[] {
    const view = this.#view;
    const worth = this.countdown(page) / HOT_BLOCK_PART;
    const runs = (slot: number) => (view.getInt32(slot + ENTER.region, true) !== 0 ? Infinity : this.countdown(page) - view.getInt32(slot + ENTER.countdown, true));
    const hot = this.#blocks!.enterSlots(page).filter((slot) => runs(slot) >= worth);
    return hot.map((slot) => view.getUint16(slot + SLOT.pageOffset, true));
  }

  /** After each slice: compiles the code that became hot and is still what it was. */
  compile(): void {
    if (this.#waiting.length === 0) return;
    if (this.#waiting.length < this.#policy.batchRegions && ++this.#slices < this.#policy.batchSlices) return;
    this.#slices = 0;
    this.#regions.compile(this.#waiting.splice(0), ({ slot, code }, region) => {
      this.#view.setInt32(slot + ENTER.region, region, true);
      this.#ages.add(slot, code.blocks.reduce((sum, { instructions }) => sum + instructions.length, 0));
      for (const start of code.pages.values()) this.#noteSlot(start / PAGE_BYTES, slot);
    });
    this.#evict();
  }

  /** Drops the oldest regions where there is too much code. Those that are still hot are compiled again, and are young then. */
  #evict(): void {
    const { instructionsMax = INSTRUCTIONS_MAX } = this.#policy;
    for (let slot = this.#ages.oldest; slot !== undefined && this.#ages.instructionCount > instructionsMax; slot = this.#ages.oldest) this.dropRegion(slot);
  }

  #noteSlot(page: number, slot: number): void {
    const slots = this.#slotsByPage.get(page) ?? new Set();
    this.#slotsByPage.set(page, slots.add(slot));
    this.#mmu!.protectCode(page);
  }

  /** Forgets the region of an Enter slot; its block starts to count again. */
  dropRegion(slot: number): void {
    const region = this.#view.getInt32(slot + ENTER.region, true);
    if (region === 0) return;
    this.#regions.release(region);
    this.#ages.remove(slot);
    this.#view.setInt32(slot + ENTER.region, 0, true);
    this.#view.setInt32(slot + ENTER.countdown, this.#policy.hotCount, true);
  }

  /** Forgets the regions, made or waiting, with code on a page that changed. */
  dropPage(page: number): void {
    this.#dropsByPage.set(page, (this.#dropsByPage.get(page) ?? 0) + 1);
    for (const slot of this.#slotsByPage.get(page) ?? []) this.dropRegion(slot);
    this.#slotsByPage.delete(page);
    for (const request of this.#waiting.splice(0)) {
      if ([...request.code.pages.values()].includes(page * PAGE_BYTES)) this.#view.setInt32(request.slot + ENTER.countdown, this.#policy.hotCount, true);
      else this.#waiting.push(request);
    }
  }

  /** Forgets everything: the slots are about to be used again. */
  clear(): void {
    for (const [page, slots] of this.#slotsByPage) {
      this.#codePages.unmark(page, this.#vcpu);
      for (const slot of slots) this.dropRegion(slot);
    }
    this.#slotsByPage.clear();
    this.#waiting.length = 0;
  }
}
