import type { CodePages, GuestMemory } from '@hanok/machine';
import { BlockDecoder, type BlockDecoderOptions, FAULTED } from './block-decoder.ts';
import { BlockIndex } from './block-index.ts';
import type { CpuState } from './cpu-state.ts';
import { hashPlace } from './hash-place.ts';
import type { InterpreterExports } from './interpreter.ts';
import type { HotCode } from './jit/hot-code.ts';
import { BLOCK_HASH, CPU, CROSS, SLOT, SPECIAL } from './layout.ts';
import type { Mmu } from './mmu.ts';

/** A decoded run of instructions: where its slots are, and under which address and tag it is found. */
interface Block {
  readonly firstSlot: number;
  readonly endSlot: number;
  readonly address: number;
  readonly tag: number;
}

export interface BlockCacheOptions extends BlockDecoderOptions {
  readonly codePages: CodePages;
  readonly vcpu: number;
}

/** Has guest code decoded into slots, finds it again by physical address, and drops it when its page is written. */
export class BlockCache {
  readonly #state: CpuState;
  readonly #memory: GuestMemory;
  readonly #decoder: BlockDecoder;
  readonly #codePages: CodePages;
  readonly #vcpu: number;
  readonly #view: DataView;
  readonly #blocksByPage = new Map<number, Block[]>();
  /** Blocks of one instruction that lies on two pages, by their first slots. */
  readonly #crossingBlocks = new Map<number, Block>();
  /** Every block: the hash table in memory forgets one of two that meet in it. */
  readonly #blocks = new BlockIndex<Block>();
  readonly #hotCode: HotCode;
  #mmu: Mmu | undefined;
  /** How often code was dropped because its page was written. */
  dropCount = 0;

  constructor(state: CpuState, options: BlockCacheOptions) {
    const { memory, codePages, vcpu, hotCode } = options;
    this.#state = state;
    this.#memory = memory;
    this.#codePages = codePages;
    this.#vcpu = vcpu;
    this.#hotCode = hotCode;
    this.#view = new DataView(memory.memory.buffer);
    this.#decoder = new BlockDecoder(state, options);
  }

  connect(mmu: Mmu, exports: InterpreterExports): void {
    this.#mmu = mmu;
    this.#decoder.connect(mmu, exports);
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
    this.#decoder.clear();
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
    if (!this.#decoder.hasRoom()) this.clear();
    const gpa = address - this.#memory.baseBytes;
    this.#mmu!.protectCode(gpa >>> 12);
    const first = this.#decoder.next;
    const secondPage = this.#decoder.decode(gpa, linearLow, linearHigh);
    if (secondPage === FAULTED) return undefined;
    const block = { firstSlot: first, endSlot: this.#decoder.next, address, tag };
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
}
