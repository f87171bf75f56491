import type { CodePages } from '@hanok/machine';
import { Decoder } from '@hanok/x86';
import type { BlockCache } from '../block-cache.ts';
import type { CpuState } from '../cpu-state.ts';
import type { InterpreterTables } from '../interpreter.ts';
import { NO_WHEREABOUTS } from '../code-epoch.ts';
import { GROUP_MISSES_MAX } from '../group-access.ts';
import { hashPlace } from '../hash-place.ts';
import { CPU, ENTER, REGION_HASH, SLOT } from '../layout.ts';
import type { Mmu } from '../mmu.ts';
import { ArchivedCode, type FoundRegion } from './archived-code.ts';
import { BlockCounts } from './block-counts.ts';
import type { BlockTrace } from './block-trace.ts';
import { COMPILE_POLICY, type CompilePolicy } from './compile-policy.ts';
import { GROWN_INSTRUCTIONS_MAX, REGION_INSTRUCTIONS_MAX } from './control-flow.ts';
import { recordCode } from './recorded-code.ts';
import type { CompiledArchive } from './region-archive.ts';
import { ModuleAges } from './module-ages.ts';
import type { RegionCache } from './region-cache.ts';
import { RegionGrowth } from './region-growth.ts';
import { ASKED } from './request-queue.ts';
import { type CompileRequest, OwnThreadCompiler, type RegionCompiler } from './region-compiler.ts';
import { VcpuCode } from './vcpu-code.ts';

/** The limit of all vCPUs' code caches, and that of one of a few or of many: a compiled instruction takes about 500 bytes of the host's memory. */
const MACHINE_INSTRUCTIONS_MAX = 1_200_000;
const INSTRUCTIONS_MAX = 500_000;
const INSTRUCTIONS_MIN = 150_000;
/** Requests without an answer at most: a guest that makes code faster than it is compiled must not fill the host's memory. */
export const REQUESTS_MAX = 256;
/** A block that ran this part of what makes it worth compiling is a likely target of a jump. */
const HOT_BLOCK_PART = 20;
const PAGE_BYTES = 4096;
/** How often a block that may be in the archive runs before it is looked for there, and before that is done again. */
const ARCHIVE_COUNT = 2;
const LOOK_AGAIN_COUNT = 64;
/** How many times as often a block must run again whose code had to go for want of room. */
const EVICTED_FACTOR = 8;
/** Groups of a region may miss GROUP_MISSES_MAX times in so many slices: then they cost a twentieth of what they save elsewhere. */
const MISSES_SLICES = 8;
/** Where an entry of REGION_HASH has the Enter slot. */
const REGION_SLOT = 12;

/** A region that is being compiled: the Enter slot of its first block, and where in RAM its pages start. */
interface Pending {
  readonly slot: number;
  readonly pageStarts: readonly number[];
  readonly isGrown: boolean;
}

/** A compiled region where it was put in, by the id of its request. */
interface Installed {
  readonly id: number;
  readonly slot: number;
  readonly tableIndex: number;
}

/** What HotCode takes of a vCPU's options. */
export interface HotCodeOptions {
  readonly image: InterpreterTables;
  readonly codePages: CodePages;
  readonly index?: number;
  readonly vcpuCount?: number;
  readonly compilePolicy?: CompilePolicy;
  readonly regionCompiler?: RegionCompiler;
}

/** Which code is hot, which of it is compiled, and what must be forgotten when a page is written. */
export class HotCode {
  readonly #state: CpuState;
  readonly #view: DataView;
  readonly #ram: Uint8Array;
  readonly #regions: RegionCache;
  readonly #compiler: RegionCompiler;
  readonly #codePages: CodePages;
  readonly #policy: CompilePolicy;
  readonly #vcpu: number;
  readonly #instructionsMax: number;
  readonly #decoder = new Decoder();
  /** By their ids. What was asked for and is not here any more is not wanted. */
  readonly #pending = new Map<number, Pending>();
  /** Requests whose answers have not come. */
  #unanswered = 0;
  #nextId = 0;
  /** Enter slots of the regions with code on a page. */
  readonly #slotsByPage = new Map<number, Set<number>>();
  readonly #ages = new ModuleAges((slot) => this.#view.getInt32(slot + ENTER.entriesLeft, true));
  readonly #counts: BlockCounts;
  /** Compiled regions that were taken after the last slice, and the ids of those that nobody wanted any more. */
  #unsettled: Installed[] = [];
  #unwanted: number[] = [];
  /** Enter slots of regions in which groups of accesses miss all the time. */
  readonly #ungrouped = new Set<number>();
  /** After how many slices groups of a region had missed so often, by Enter slots. */
  readonly #missedAt = new Map<number, number>();
  #sliceCount = 0;
  readonly #archived: ArchivedCode;
  readonly growth: RegionGrowth;
  #mmu: Mmu | undefined;
  #blocks: BlockCache | undefined;

  constructor(state: CpuState, ram: Uint8Array, regions: RegionCache, { image, codePages, index = 0, compilePolicy = COMPILE_POLICY, regionCompiler, vcpuCount = 1 }: HotCodeOptions) {
    this.#state = state;
    this.#view = new DataView(state.view.buffer);
    this.#ram = ram;
    this.#regions = regions;
    this.#compiler = regionCompiler ?? new OwnThreadCompiler({ ram, ...image }, compilePolicy);
    this.#codePages = codePages;
    this.#policy = compilePolicy;
    this.#vcpu = index;
    this.#instructionsMax = compilePolicy.instructionsMax ?? Math.max(INSTRUCTIONS_MIN, Math.min(INSTRUCTIONS_MAX, MACHINE_INSTRUCTIONS_MAX / vcpuCount));
    this.#counts = new BlockCounts(compilePolicy, vcpuCount);
    this.growth = new RegionGrowth(state, compilePolicy);
    this.#archived = new ArchivedCode(ram, state.blockAddress);
  }

  connect(mmu: Mmu, blocks: BlockCache): void {
    this.#mmu = mmu;
    this.#blocks = blocks;
    mmu.tlb.epochsEnd = () => {
      for (const slots of this.#slotsByPage.values()) for (const slot of slots) this.#view.setBigInt64(slot + ENTER.checked, NO_WHEREABOUTS, true);
    };
  }

  /** There is a block at a guest-physical address, with a new Enter slot: how often it may run in the interpreter. What the archive may have is looked for sooner, but not so where code was dropped often. */
  added(slot: number, gpa: number): number {
    const blockTag = this.#state.word(CPU.blockTag);
    this.#archived.leadTo(slot, gpa, blockTag);
    const page = Math.floor(gpa / PAGE_BYTES);
    const countdown = this.#counts.of(page);
    if (!this.#archived.mayHave(gpa, blockTag)) return countdown;
    return Math.min(countdown, ARCHIVE_COUNT * 2 ** this.#counts.dropsOf(page));
  }

  /** The import `hot`: finds a region, or its code, while the address space it runs in is there. */
  note(slot: number): void {
    const source = this.#sourceOf(slot);
    const mayBeArchived = !this.#ungrouped.has(slot) && this.#archived.isWorthTrying(slot) && this.#archived.mayHave(source.entryGpa, source.blockTag);
    const found = mayBeArchived ? this.#archived.find(slot, source) : undefined;
    if (found) this.#enter(slot, found);
    else if (mayBeArchived) this.#setCountdown(slot, this.#archived.isWorthTrying(slot) ? LOOK_AGAIN_COUNT : this.#counts.usual);
    else this.#ask(slot, source, false);
  }

  /** The import `grow`: finds a larger region, or begins to find out what runs behind the present one, to make it again with that. */
  grow(slot: number): void {
    const mayBeArchived = !this.growth.isGrown(slot) && !this.#ungrouped.has(slot);
    const found = mayBeArchived ? this.#archived.findGrown(this.#sourceOf(slot)) : undefined;
    if (found) this.#enter(slot, found);
    else this.growth.trace(slot, this.#unanswered === REQUESTS_MAX);
  }

  /** The import `entered`: the interpreter enters a block while no region is entered. */
  entered(slot: number): void {
    const trace = this.growth.entered(slot);
    if (trace) this.#ask(slot, this.#sourceOf(slot, trace), true);
  }

  #ask(slot: number, source: VcpuCode, isGrown: boolean): void {
    if (this.#unanswered === REQUESTS_MAX) {
      this.#setCountdown(slot, this.#counts.usual);
      return;
    }
    const { entryGpa, blockTag } = source;
    const instructionsMax = isGrown ? GROWN_INSTRUCTIONS_MAX : (this.#policy.regionInstructionsMax ?? REGION_INSTRUCTIONS_MAX);
    const code = recordCode(source, entryGpa % PAGE_BYTES, instructionsMax, { blockTag, isGrouped: !this.#ungrouped.has(slot), isGrown });
    this.#setCountdown(slot, ASKED);
    if (code) this.#request({ slot, pageStarts: [...code.pages.values()], isGrown }, code);
  }

  #sourceOf(slot: number, trace?: BlockTrace): VcpuCode {
    const view = this.#view;
    return new VcpuCode({
      traced: trace?.code(view, this.#ram, this.#decoder),
      ram: this.#ram, decoder: this.#decoder, mmu: this.#mmu!, blocks: this.#blocks!, hotOffsets: (page) => this.#hotOffsets(page),
      hasRegion: (slot) => !trace && view.getInt32(slot + ENTER.region, true) !== 0,
      entryPage: view.getUint32(slot + ENTER.page, true), entry: view.getUint16(slot + SLOT.pageOffset, true),
      linear: this.#state.get(CPU.codePage), blockTag: this.#state.word(CPU.blockTag),
    });
  }

  #request(pending: Pending, code: CompileRequest['code']): void {
    const id = this.#nextId++;
    this.#pending.set(id, pending);
    this.#unanswered++;
    this.#compiler.request({ id, slot: pending.slot, code });
  }

  #setCountdown(slot: number, count: number): void {
    this.#view.setInt32(slot + ENTER.countdown, count, true);
  }

  /** Where on a physical page blocks begin that are compiled or on the way to it. */
  #hotOffsets(page: number): number[] {
    const view = this.#view;
    const count = this.#counts.of(page);
    const worth = count / HOT_BLOCK_PART;
    const runs = (slot: number) => (view.getInt32(slot + ENTER.region, true) !== 0 ? Infinity : count - view.getInt32(slot + ENTER.countdown, true));
    const hot = this.#blocks!.enterSlots(page).filter((slot) => runs(slot) >= worth);
    return hot.map((slot) => view.getUint16(slot + SLOT.pageOffset, true));
  }

  /** After each slice: takes what is compiled and still what it was. */
  takeCompiled(): void {
    this.#sliceCount++;
    this.#settle();
    if (this.#unanswered === 0 && this.#archived.isOpen) return;
    for (let module = this.#compiler.take(); module; module = this.#compiler.take()) {
      this.#unanswered -= module.regions.length;
      this.#regions.add(module, (id) => this.#pending.has(id), (...region) => this.#install(...region));
      for (const { id } of module.regions) if (!this.#pending.delete(id)) this.#unwanted.push(id);
    }
    if (this.#compiler.archive && !this.#archived.isOpen) this.#openArchive(this.#compiler.archive);
    this.#evict();
  }

  #openArchive({ tables, parts }: CompiledArchive): void {
    const regionCount = parts.reduce((sum, part) => sum + part.regionCount, 0);
    this.#counts.foundArchive(regionCount);
    this.#archived.open(tables, regionCount, this.#regions.addArchive(parts));
  }

  /** Regions whose code outlived a slice were made from what was there all the time. */
  #settle(): void {
    if (this.#unsettled.length + this.#unwanted.length === 0) return;
    const isThere = ({ slot, tableIndex }: Installed) => this.#view.getInt32(slot + ENTER.region, true) === tableIndex;
    const [kept, dropped] = [this.#unsettled.filter(isThere), this.#unsettled.filter((region) => !isThere(region))];
    this.#compiler.settle({ kept: kept.map(({ id }) => id), dropped: [...dropped.map(({ id }) => id), ...this.#unwanted] });
    this.#unsettled = [];
    this.#unwanted = [];
  }

  #install(id: number, tableIndex: number, instructionCount: number, moduleNumber: number): void {
    const { slot, pageStarts, isGrown } = this.#pending.get(id)!;
    this.#counts.compiledOne();
    this.#unsettled.push({ id, slot, tableIndex });
    this.#enter(slot, { tableIndex, pageStarts, isGrown });
    this.#ages.add(slot, moduleNumber, instructionCount);
  }

  /** From now on the block of a slot is entered by a region, or another one. */
  #enter(slot: number, { tableIndex, pageStarts, isGrown }: FoundRegion): void {
    this.#release(slot);
    this.growth.begin(slot, isGrown);
    this.#view.setInt32(slot + ENTER.region, tableIndex, true);
    this.#view.setUint16(slot + ENTER.missesLeft, GROUP_MISSES_MAX, true);
    this.#view.setBigInt64(slot + ENTER.checked, NO_WHEREABOUTS, true);
    for (const start of pageStarts) this.#noteSlot(start / PAGE_BYTES, slot);
  }

  /** Drops regions where there is too much code, a module at a time: the oldest that was not entered lately. What was not used enough to stay has to be hotter than other code to come back. */
  #evict(): void {
    while (this.#ages.instructionCount > this.#instructionsMax) {
      for (const slot of this.#ages.next()) {
        this.dropRegion(slot);
        this.#setCountdown(slot, this.#counts.usual * EVICTED_FACTOR);
      }
    }
  }

  #noteSlot(page: number, slot: number): void {
    const slots = this.#slotsByPage.get(page) ?? new Set();
    this.#slotsByPage.set(page, slots.add(slot));
    this.#mmu!.protectCode(page);
  }

  /** Forgets the region of an Enter slot; its block starts to count again. */
  dropRegion(slot: number): void {
    this.growth.forget(slot);
    if (this.#release(slot)) this.#setCountdown(slot, this.#counts.usual);
  }

  /** Takes the region of an Enter slot out, if it has one. */
  #release(slot: number): boolean {
    const region = this.#view.getInt32(slot + ENTER.region, true);
    if (region === 0) return false;
    this.#forgetEntry(slot);
    if (!this.#archived.release(region)) {
      this.#regions.release(region);
      this.#ages.remove(slot);
    }
    this.#view.setInt32(slot + ENTER.region, 0, true);
    return true;
  }

  /** The import `ungroup`: where that comes soon after the last time, the region is compiled again with each access on its own. */
  ungroup(slot: number): void {
    const before = this.#missedAt.get(slot) ?? Number.NEGATIVE_INFINITY;
    this.#missedAt.set(slot, this.#sliceCount);
    if (this.#sliceCount - before > MISSES_SLICES) {
      this.#view.setUint16(slot + ENTER.missesLeft, GROUP_MISSES_MAX, true);
      return;
    }
    this.#ungrouped.add(slot);
    this.dropRegion(slot);
    this.#setCountdown(slot, 1);
  }

  /** Generated code enters the region of an Enter slot without a look at the slot where it finds it in the hash table. */
  #forgetEntry(slot: number): void {
    const view = this.#view;
    const address = this.#ram.byteOffset + view.getUint32(slot + ENTER.page, true) * PAGE_BYTES + view.getUint16(slot + SLOT.pageOffset, true);
    const at = hashPlace(this.#state.blockAddress, address, REGION_HASH);
    if (view.getInt32(at + REGION_SLOT, true) === slot) view.setBigInt64(at, 0n, true);
  }

  /** Forgets the regions, made or waiting, with code on a page that changed. */
  dropPage(page: number): void {
    this.#counts.droppedPage(page);
    for (const slot of this.#slotsByPage.get(page) ?? []) this.dropRegion(slot);
    this.#slotsByPage.delete(page);
    for (const [id, { slot, pageStarts }] of this.#pending) {
      if (!pageStarts.includes(page * PAGE_BYTES)) continue;
      this.#pending.delete(id);
      this.#setCountdown(slot, this.#counts.usual);
    }
  }

  /** Forgets everything: the slots are about to be used again. */
  clear(): void {
    for (const [page, slots] of this.#slotsByPage) {
      this.#codePages.unmark(page, this.#vcpu);
      for (const slot of slots) this.dropRegion(slot);
    }
    this.#slotsByPage.clear();
    this.#pending.clear();
    this.#archived.clear();
    this.#ungrouped.clear();
    this.growth.clear();
    this.#missedAt.clear();
    const { offset, entryCount, entryBytes } = REGION_HASH;
    new Uint8Array(this.#view.buffer, this.#state.blockAddress + offset, entryCount * entryBytes).fill(0);
  }
}
