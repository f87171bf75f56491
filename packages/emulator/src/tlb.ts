import type { GuestMemory } from '@hanok/machine';
import { nextEpoch } from './code-epoch.ts';
import type { CpuState } from './cpu-state.ts';
import type { InterpreterExports } from './interpreter.ts';
import { LargePages } from './large-pages.ts';
import { CPU, FILL_LOG, GLOBAL_ENTRY, TLB, TLB_TABLE_BYTES } from './layout.ts';
import { machineMemory } from './machine-memory.ts';
import { FILL } from './tlb-fill.ts';
import { MANY_PLACES, NO_PLACE, WRITER_PLACE, WriteEntries } from './write-entries.ts';

const ENTRY_WORDS = TLB.entryBytes / 4;
const PAGE_WORD = TLB.page / 4;
/** Of the tags at an entry's start. */
const TAG_WORDS = 4;
const TABLES_BYTES = TLB.tableCount * TLB_TABLE_BYTES;

/** A translation that a walk of the page tables found. */
export interface Translation {
  readonly global: boolean;
  /** Stores need no further look. */
  readonly dirtyWritable: boolean;
  /** log2 of the size of the page it is of. */
  readonly pageShift: number;
}

/** The TLBs of a vCPU, which generated code reads and fills (`defineTlbFill`), as the host sees them. */
export class Tlb {
  readonly #state: CpuState;
  readonly #words: Uint32Array;
  readonly #locals: Uint32Array;
  readonly #globals: Uint32Array;
  readonly #largePages: LargePages;
  readonly #writeEntries: WriteEntries;
  #fill: InterpreterExports['fillTlb'] = () => {};
  /** Epochs begin again: whatever holds one must forget it. */
  epochsEnd: () => void = () => {};

  constructor(state: CpuState, memory: GuestMemory, vcpuCount: number, vcpu: number) {
    const buffer = memory.memory.buffer as ArrayBufferLike;
    const writeEntries = machineMemory(vcpuCount, memory.sizeBytes).writeEntriesAddress(vcpu);
    this.#state = state;
    this.#words = new Uint32Array(buffer);
    this.#locals = new Uint32Array(buffer, state.blockAddress + FILL_LOG.local, FILL_LOG.entryCount);
    this.#globals = new Uint32Array(buffer, state.blockAddress + FILL_LOG.global, FILL_LOG.entryCount);
    this.#largePages = new LargePages(buffer, state.blockAddress);
    this.#writeEntries = new WriteEntries(buffer, writeEntries, memory.sizeBytes);
    state.setWord(CPU.ramAddress, memory.baseBytes);
    state.setWord(CPU.ramBytes, memory.sizeBytes);
    state.setWord(CPU.writeEntries, writeEntries);
    this.#sweep(false);
  }

  connect({ fillTlb }: InterpreterExports): void {
    this.#fill = fillTlb;
  }

  /** Entries filled since the start, modulo 2^32. */
  get fillCount(): number {
    return this.#state.word(CPU.fillCount);
  }

  /** Where in wasm memory an access to one page goes by the tag at that offset of an entry, or 0. */
  hit(low: number, high: number, tag: number): number {
    const at = (this.#state.blockAddress + this.#state.word(CPU.tlb) + tlbOffset(low)) >> 2;
    const words = this.#words;
    if (words[at + tag / 4] !== (low & 0xfffff000) >>> 0 || words[at + tag / 4 + 1] !== high >>> 0) return 0;
    return (low + words[at + TLB.addend / 4]!) >>> 0;
  }

  /** Makes an entry in the TLB of the present privilege. */
  fill(low: number, high: number, page: number, { global, dirtyWritable, pageShift }: Translation, isFetch: boolean): void {
    if (pageShift > 12) this.#largePages.note(low, high, pageShift);
    const bits = (isFetch ? FILL.fetch : 0) | (global ? FILL.global : 0) | (dirtyWritable ? FILL.writable : 0);
    this.#fill(this.#state.blockAddress, low, high, page, bits);
  }

  /** Makes an entry hold nothing. */
  #forget(at: number): void {
    const words = this.#words;
    for (let tag = at; tag < at + TAG_WORDS; tag++) words[tag] = 0xffffffff;
  }

  #forgetUnless(at: number, keepGlobal: boolean): void {
    if (!keepGlobal || (this.#words[at + PAGE_WORD]! & GLOBAL_ENTRY) === 0) this.#forget(at);
  }

  /** Takes the right to write from an entry if it is one of this page. */
  #forgetWrites(at: number, page: number): void {
    if ((this.#words[at + PAGE_WORD]! & ~GLOBAL_ENTRY) !== page) return;
    this.#words[at + TLB.tagWrite / 4] = 0xffffffff;
    this.#words[at + TLB.tagWrite / 4 + 1] = 0xffffffff;
  }

  /** True when some tag of the entry is this page's. */
  #holds(at: number, low: number, high: number): boolean {
    const words = this.#words;
    for (let tag = 0; tag < TAG_WORDS; tag += 2) if (words[at + tag] === low && words[at + tag + 1] === high) return true;
    return false;
  }

  /** Takes from this vCPU the right to write a physical page without a look. */
  forbidWrites(page: number): void {
    const [first, second] = [this.#writeEntries.take(page, 0), this.#writeEntries.take(page, 1)];
    if (first === MANY_PLACES) this.forbidWritesOf(this.#state.blockAddress, page);
    else if (first !== NO_PLACE) this.#forgetWritesAt(first, page);
    if (second !== NO_PLACE) this.#forgetWritesAt(second, page);
  }

  /** Takes the right to write a page from the entries at one place. */
  #forgetWritesAt(place: number, page: number): void {
    const first = (this.#state.blockAddress + TLB.offset + place - WRITER_PLACE) >> 2;
    for (let table = 0; table < TLB.tableCount; table++) this.#forgetWrites(first + (table * TLB_TABLE_BYTES) / 4, page);
  }

  /** The same for another vCPU, which is stopped: that with its block at this address. */
  forbidWritesOf(blockAddress: number, page: number): void {
    const words = this.#words;
    for (const [counter, log] of [[CPU.loggedLocalFills, FILL_LOG.local], [CPU.loggedGlobalFills, FILL_LOG.global]] as const) {
      const count = words[(blockAddress + counter) >> 2]!;
      if (count === FILL_LOG.entryCount) return this.#forbidAllWritesOf(blockAddress, page);
      const first = (blockAddress + log) >> 2;
      for (let index = first; index < first + count; index++) this.#forgetWrites(words[index]!, page);
    }
  }

  #forbidAllWritesOf(blockAddress: number, page: number): void {
    const start = (blockAddress + TLB.offset) >> 2;
    const end = start + TABLES_BYTES / 4;
    for (let at = start; at < end; at += ENTRY_WORDS) this.#forgetWrites(at, page);
  }

  /** What was found by way of translations until now may be elsewhere. */
  #beginEpoch(): void {
    const epoch = nextEpoch(this.#state.word(CPU.codeEpoch));
    this.#state.setWord(CPU.codeEpoch, epoch);
    if (epoch === 0) this.epochsEnd();
  }

  /** CR3 loads keep global translations; everything else drops all. */
  flush(keepGlobal: boolean): void {
    this.#beginEpoch();
    this.#flushLogged(CPU.loggedLocalFills, this.#locals, true);
    if (keepGlobal) return;
    this.#flushLogged(CPU.loggedGlobalFills, this.#globals, false);
    this.#largePages.clear();
  }

  /** Drops what a part of FILL_LOG names, or looks at all entries where it was too short. */
  #flushLogged(counter: number, log: Uint32Array, keepGlobal: boolean): void {
    const count = this.#state.word(counter);
    if (count === FILL_LOG.entryCount) this.#sweep(keepGlobal);
    else for (let index = 0; index < count; index++) this.#forgetUnless(log[index]!, keepGlobal);
    this.#state.setWord(counter, 0);
  }

  #sweep(keepGlobal: boolean): void {
    const start = (this.#state.blockAddress + TLB.offset) >> 2;
    const end = start + (TLB.tagExecute + TABLES_BYTES) / 4;
    for (let at = start; at < end; at += ENTRY_WORDS) this.#forgetUnless(at, keepGlobal);
  }

  /** INVLPG. A large page is cached by 4 KiB in many entries: they are not looked for one by one. */
  flushPage(low: number, high: number): void {
    this.#beginEpoch();
    if (this.#largePages.mayHold(low, high)) {
      this.flush(false);
      return;
    }
    const pageLow = (low & 0xfffff000) >>> 0;
    for (let table = 0; table < (TLB.tagExecute + TABLES_BYTES) / TLB_TABLE_BYTES; table++) {
      const at = (this.#state.blockAddress + TLB.offset + table * TLB_TABLE_BYTES + tlbOffset(low)) >> 2;
      if (this.#holds(at, pageLow, high)) this.#forget(at);
    }
  }
}

/** Offset of a linear address's entry in a TLB, as generated code finds it. */
const tlbOffset = (low: number) => ((low >>> 12) & (TLB.entryCount - 1)) * TLB.entryBytes;
