import type { CodePages, GuestMemory } from '@hanok/machine';
import { type Decoded, Decoder, type ModeBits, type Row } from '@hanok/x86';
import { type AlwaysRaised, alwaysRaises } from './always-raised.ts';
import { joinHalves } from './halves.ts';
import { hashPlace } from './hash-place.ts';
import { BlockIndex } from './block-index.ts';
import type { CpuState } from './cpu-state.ts';
import { DECODE_END } from './decode-known.ts';
import type { InterpreterExports, InterpreterTables } from './interpreter.ts';
import type { HotCode } from './jit/hot-code.ts';
import { endsRegion } from './jit/traits.ts';
import { ARENA, BLOCK_HASH, BLOCK_TAG, CPU, CROSS, ENTER, SLOT, SPECIAL } from './layout.ts';
import type { Mmu } from './mmu.ts';
import { nextPage } from './page-walker.ts';
import { shapeTraits } from './shape-traits.ts';
import { ShapeTable } from './shape-table.ts';
import { SlotWriter } from './slot-writer.ts';
import type { UnknownEncoding } from './unknown-encoding.ts';

const BLOCK_INSTRUCTIONS_MAX = 16;
/** How many bytes of an unknown encoding are reported. */
const UNKNOWN_BYTES = 8;

/** A decoded run of instructions: where its slots are, and under which address and tag it is found. */
interface Block {
  readonly firstSlot: number;
  readonly endSlot: number;
  readonly address: number;
  readonly tag: number;
}

export interface BlockCacheOptions {
  readonly memory: GuestMemory;
  readonly image: InterpreterTables;
  readonly codePages: CodePages;
  readonly vcpu: number;
  readonly hotCode: HotCode;
  readonly onUnknown: (unknown: UnknownEncoding) => void;
  /** Whether an instruction breakpoint stands at a linear address. */
  readonly breaksAt: (linear: bigint) => boolean;
}

/** Decodes guest code into slots, finds it again by physical address, and drops it when its page is written. */
export class BlockCache {
  readonly #state: CpuState;
  readonly #memory: GuestMemory;
  readonly #writer: SlotWriter;
  readonly #codePages: CodePages;
  readonly #vcpu: number;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #ram: Uint8Array;
  readonly #decoder = new Decoder();
  readonly #blocksByPage = new Map<number, Block[]>();
  /** Blocks of one instruction that lies on two pages, by their first slots. */
  readonly #crossingBlocks = new Map<number, Block>();
  /** Every block: the hash table in memory forgets one of two that meet in it. */
  readonly #blocks = new BlockIndex<Block>();
  readonly #crossing = new Uint8Array(32);
  readonly #onUnknown: (unknown: UnknownEncoding) => void;
  readonly #hotCode: HotCode;
  readonly #shapes: ShapeTable;
  #decodeKnown: InterpreterExports['decodeKnown'] | undefined;
  readonly #breaksAt: (linear: bigint) => boolean;
  #next: number;
  #mmu: Mmu | undefined;
  /** How often code was dropped because its page was written. */
  dropCount = 0;

  constructor(state: CpuState, { memory, image, codePages, vcpu, hotCode, onUnknown, breaksAt }: BlockCacheOptions) {
    this.#state = state;
    this.#memory = memory;
    this.#codePages = codePages;
    this.#vcpu = vcpu;
    this.#onUnknown = onUnknown;
    this.#breaksAt = breaksAt;
    this.#hotCode = hotCode;
    const buffer = memory.memory.buffer as ArrayBufferLike;
    this.#view = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#shapes = new ShapeTable(buffer, state.blockAddress);
    this.#writer = new SlotWriter(buffer, image);
    this.#ram = new Uint8Array(buffer, memory.baseBytes, memory.sizeBytes);
    this.#next = state.blockAddress + ARENA.offset;
  }

  connect(mmu: Mmu, { decodeKnown }: Pick<InterpreterExports, 'decodeKnown'>): void {
    this.#mmu = mmu;
    this.#decodeKnown = decodeKnown;
  }

  #clearHash(): void {
    const start = this.#state.blockAddress + BLOCK_HASH.offset;
    new Uint8Array(this.#view.buffer, start, BLOCK_HASH.entryCount * BLOCK_HASH.entryBytes).fill(0);
  }

  /** Forgets everything. */
  clear(): void {
    this.#clearHash();
    for (const page of this.#blocksByPage.keys()) this.#codePages.unmark(page, this.#vcpu);
    this.#hotCode.clear();
    this.#blocksByPage.clear();
    this.#blocks.clear();
    this.#crossingBlocks.clear();
    this.#next = this.#state.blockAddress + ARENA.offset;
  }

  /** After each slice: drops the code of pages that others wrote. */
  takeWritten(): void {
    this.#codePages.takeWritten(this.#vcpu, (page) => this.dropPage(page));
  }

  /** Drops all code on a physical page. Slots that still execute find their way back through the lookup. */
  dropPage(page: number): void {
    // The list stays: see BlockIndex.
    const blocks = this.#blocksByPage.get(page)?.splice(0);
    this.#codePages.unmark(page, this.#vcpu);
    this.#hotCode.dropPage(page);
    if (!blocks?.length) return;
    this.dropCount++;
    for (const block of blocks) this.#dropBlock(block);
  }

  #dropBlock(block: Block): void {
    const entry = this.#hashEntry(block.address);
    if (this.#view.getInt32(entry + 8, true) === block.firstSlot) {
      this.#view.setBigInt64(entry, -1n, true);
    }
    if (this.#blocks.get(block.address, block.tag) === block) this.#blocks.delete(block.address, block.tag);
    if (this.#view.getUint16(block.firstSlot + SLOT.handler, true) === SPECIAL.Enter) this.#hotCode.dropRegion(block.firstSlot);
    for (let slot = block.firstSlot; slot < block.endSlot; slot += SLOT.sizeBytes) {
      this.#view.setUint16(slot + SLOT.handler, SPECIAL.Relookup, true);
    }
  }

  /** Enter slots of the blocks that begin on a physical page. */
  enterSlots(page: number): number[] {
    const pageStart = this.#memory.baseBytes + page * 4096;
    const here = (this.#blocksByPage.get(page) ?? []).filter(({ address }) => address >= pageStart && address < pageStart + 4096);
    return here.map(({ firstSlot }) => firstSlot).filter((slot) => this.#view.getUint16(slot + SLOT.handler, true) === SPECIAL.Enter);
  }

  /** Enter slot of the block, decoded as code is now, that begins at a guest-physical address: 0 where it has none, undefined where there is no block. */
  slotOf(gpa: number): number | undefined {
    const block = this.#blocks.get(this.#memory.baseBytes + gpa, this.#state.word(CPU.blockTag));
    if (!block) return undefined;
    return this.#view.getUint16(block.firstSlot + SLOT.handler, true) === SPECIAL.Enter ? block.firstSlot : 0;
  }

  #hasRoom(): boolean {
    return this.#next + (BLOCK_INSTRUCTIONS_MAX + 4) * SLOT.sizeBytes <= this.#state.blockAddress + ARENA.offset + ARENA.sizeBytes;
  }

  /** What an instruction raises whatever its operands are, or undefined. */
  #raises(row: Row): AlwaysRaised | undefined {
    return alwaysRaises(row, this.#state.word(CPU.blockTag));
  }

  /** Whether a block is where generated code finds it: fewer than there are, but seen at once. */
  #isInHash(address: number, tag: number): boolean {
    const at = this.#hashEntry(address) >> 2;
    return this.#words[at] === (address | 0) && this.#words[at + 1] === tag;
  }

  #enter(at: number, gpa: number): void {
    const slot = this.#special(SPECIAL.Enter, at);
    this.#view.setUint32(slot + ENTER.page, gpa >>> 12, true);
    this.#view.setInt32(slot + ENTER.countdown, this.#hotCode.added(slot, gpa), true);
  }

  #hashEntry(address: number): number {
    return hashPlace(this.#state.blockAddress, address, BLOCK_HASH);
  }

  /** The import `decode`: the first slot of the block at an address of wasm memory, or 0 with an exception recorded. */
  decode(address: number, linearLow: number, linearHigh: number): number {
    const tag = this.#state.word(CPU.blockTag);
    const block = this.#blocks.get(address, tag) ?? this.#make(address >>> 0, tag, linearLow, linearHigh);
    if (!block) return 0;
    const entry = this.#hashEntry(block.address);
    this.#view.setUint32(entry, block.address, true);
    this.#view.setUint32(entry + 4, tag, true);
    this.#view.setInt32(entry + 8, block.firstSlot, true);
    return block.firstSlot;
  }

  #make(address: number, tag: number, linearLow: number, linearHigh: number): Block | undefined {
    if (!this.#hasRoom()) this.clear();
    const gpa = address - this.#memory.baseBytes;
    this.#mmu!.protectCode(gpa >>> 12);
    const first = this.#next;
    const secondPage = this.#decodeRun(gpa, linearLow, linearHigh);
    if (secondPage === -2) return undefined;
    const block = { firstSlot: first, endSlot: this.#next, address, tag };
    this.#blocks.set(address, tag, block);
    this.#register(gpa >>> 12, block);
    if (secondPage >= 0) this.#register(secondPage, block);
    if (this.#view.getUint16(first + SLOT.handler, true) === SPECIAL.Cross) this.#crossingBlocks.set(first, block);
    return block;
  }

  #register(page: number, block: Block): void {
    const list = this.#blocksByPage.get(page);
    if (list) list.push(block);
    else this.#blocksByPage.set(page, [block]);
  }

  /** Fills slots; the page of a crossing instruction's second half, -1 when there is none, -2 when it faults. */
  #decodeRun(gpa: number, linearLow: number, linearHigh: number): number {
    const mode = this.#state.mode as ModeBits;
    const pageEnd = gpa - (gpa & 0xfff) + 4096;
    const tag = this.#state.word(CPU.blockTag);
    const step = (tag & BLOCK_TAG.step) !== 0;
    const max = step ? 1 : BLOCK_INSTRUCTIONS_MAX;
    let at = gpa;
    const first = this.#next;
    const breaks = !step && (tag & BLOCK_TAG.break) !== 0;
    const isPlain = mode === 64 && !step && !breaks;
    if (isPlain) this.#enter(at & 0xfff, gpa);
    for (let count = 0; count < max && at < pageEnd; count++) {
      if (isPlain) {
        const known = this.#decodeKnown!(this.#state.blockAddress, this.#memory.baseBytes + at, this.#memory.baseBytes + pageEnd, this.#next, max - count, count);
        const end = known & ~DECODE_END.mask;
        count += (end - this.#next) / SLOT.sizeBytes;
        if (end !== this.#next) at = this.#behind(end - SLOT.sizeBytes, gpa);
        this.#next = end;
        if ((known & DECODE_END.mask) === DECODE_END.Ends) {
          this.#special(SPECIAL.Relookup, at, gpa);
          return -1;
        }
        if ((known & DECODE_END.mask) === DECODE_END.Last) break;
      }
      if (breaks && this.#breaksAt(joinHalves(linearLow, mode === 64 ? linearHigh : 0) + BigInt(at - gpa))) {
        if (count > 0) break;
        this.#special(SPECIAL.Break, at);
      }
      // Code that is decoded already need not be decoded again: the block ends with a link to it.
      if (count > 0 && this.#isInHash(this.#memory.baseBytes + at, tag)) break;
      const decoded = this.#decoder.decode(this.#ram, at, pageEnd, mode);
      if (typeof decoded === 'string') {
        if (decoded === 'more') {
          if (count > 0) break;
          this.#next = first;
          return this.#decodeCrossing(at, linearLow, linearHigh, mode);
        }
        this.#special(decoded === 'undefined' ? SPECIAL.Undefined : SPECIAL.TooLong, at);
        if (decoded === 'undefined') this.#reportUnknown(this.#ram.slice(at, Math.min(at + UNKNOWN_BYTES, pageEnd)), gpa, at, linearLow, linearHigh);
        return -1;
      }
      const raises = this.#raises(decoded.row);
      if (raises !== undefined) {
        this.#special(raises, at);
        return -1;
      }
      this.#slot(decoded, at & 0xfff);
      if (isPlain) this.#shapes.add(this.#ram, at, decoded, shapeTraits(decoded), this.#bytes.subarray(this.#next - SLOT.sizeBytes, this.#next));
      at += decoded.lengthBytes;
      if (decoded.row.options.ends) {
        this.#special(SPECIAL.Relookup, at, gpa);
        return -1;
      }
      // Compiled code leaves after such instructions; it can take over again right behind them.
      if (mode === 64 && endsRegion(decoded)) break;
    }
    this.#special(SPECIAL.Continue, at, gpa);
    return -1;
  }

  /** Where the code goes on behind the instruction in a slot, on the page of `gpa`. */
  #behind(slot: number, gpa: number): number {
    return gpa - (gpa & 0xfff) + this.#view.getUint16(slot + SLOT.pageOffset, true) + this.#view.getUint8(slot + SLOT.length);
  }

  /** `bytes` at `gpa` are no instruction; the run began at `start` on the same page. */
  #reportUnknown(bytes: Uint8Array, start: number, gpa: number, linearLow: number, linearHigh: number): void {
    const mode = this.#state.mode as ModeBits;
    const page = joinHalves(linearLow & ~0xfff, mode === 64 ? linearHigh : 0);
    this.#onUnknown({ bytes, address: page | BigInt(gpa & 0xfff), mode, before: this.#ram.slice(start, gpa) });
  }

  /** An instruction over the page's end: its own block, behind a check that the second page has not moved. */
  #decodeCrossing(gpa: number, linearLow: number, linearHigh: number, mode: ModeBits): number {
    const next = nextPage(linearLow, linearHigh);
    const second = this.#mmu!.translate(next.low, mode === 64 ? next.high : 0, 'fetch', this.#state.cpl === 3);
    if (second < 0) return -2;
    if (second < this.#memory.sizeBytes) this.#mmu!.protectCode(second >>> 12);
    const firstBytes = 4096 - (gpa & 0xfff);
    this.#crossing.fill(0xff);
    this.#crossing.set(this.#ram.subarray(gpa, gpa + firstBytes));
    if (second < this.#memory.sizeBytes) this.#crossing.set(this.#ram.subarray(second, second + 16 - firstBytes), firstBytes);
    const decoded = this.#decoder.decode(this.#crossing, 0, 16, mode);
    const check = this.#special(SPECIAL.Cross, gpa);
    this.#view.setFloat64(check + CROSS.address, second, true);
    if (second < this.#memory.sizeBytes) this.#view.setUint32(check + CROSS.page, this.#memory.baseBytes + second, true);
    if (typeof decoded === 'string') {
      this.#special(decoded === 'too-long' ? SPECIAL.TooLong : SPECIAL.Undefined, gpa);
      if (decoded === 'undefined') this.#reportUnknown(this.#crossing.slice(0, UNKNOWN_BYTES), gpa, gpa, linearLow, linearHigh);
    } else {
      const raises = this.#raises(decoded.row);
      if (raises === undefined) this.#slot(decoded, gpa & 0xfff);
      else this.#special(raises, gpa);
      this.#special(SPECIAL.Relookup, gpa + decoded.lengthBytes, gpa);
    }
    return second < this.#memory.sizeBytes ? second >>> 12 : -1;
  }

  /** The import `cross`: whether the second page of the instruction behind `slot` is still the one it was decoded from. */
  cross(slot: number): number {
    const nextLinear = (this.#state.get(CPU.codePage) + this.#state.get(CPU.codeBase) + 4096n) & this.#state.get(CPU.codeMask);
    const low = Number(nextLinear & 0xfffff000n);
    const second = this.#mmu!.translate(low, Number(nextLinear >> 32n), 'fetch', this.#state.cpl === 3);
    if (second >= 0 && second === this.#view.getFloat64(slot + CROSS.address, true)) return 1;
    const block = this.#crossingBlocks.get(slot);
    if (block) this.#dropBlock(block);
    return 0;
  }

  #special(handler: number, at: number, blockStart = at): number {
    const slot = this.#next;
    this.#next += SLOT.sizeBytes;
    this.#clear(slot);
    this.#view.setUint16(slot + SLOT.handler, handler, true);
    // Past the page's last byte the offset is 4096 or more, relative to the page the block began in.
    this.#view.setUint16(slot + SLOT.pageOffset, at - blockStart + (blockStart & 0xfff), true);
    return slot;
  }

  #clear(slot: number): void {
    this.#words.fill(0, slot / 4, (slot + SLOT.sizeBytes) / 4);
  }

  #slot(d: Decoded, pageOffset: number): void {
    this.#writer.write(this.#next, d, pageOffset);
    this.#next += SLOT.sizeBytes;
  }
}
