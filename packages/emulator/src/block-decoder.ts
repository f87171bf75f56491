import type { GuestMemory } from '@hanok/machine';
import { type Decoded, Decoder, type ModeBits } from '@hanok/x86';
import { alwaysRaises } from './always-raised.ts';
import type { CpuState } from './cpu-state.ts';
import { DECODE_END } from './decode-known.ts';
import { joinHalves } from './halves.ts';
import { hashPlace } from './hash-place.ts';
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

const PAGE_BYTES = 4096;
const BLOCK_INSTRUCTIONS_MAX = 16;
/** How many bytes of an unknown encoding are reported. */
const UNKNOWN_BYTES = 8;
/** What `decode` gives beside a page: the block lies on one; and its fetch raised an exception. */
const ONE_PAGE = -1;
export const FAULTED = -2;

export interface BlockDecoderOptions {
  readonly memory: GuestMemory;
  readonly image: InterpreterTables;
  readonly hotCode: HotCode;
  readonly onUnknown: (unknown: UnknownEncoding) => void;
  /** Whether an instruction breakpoint stands at a linear address. */
  readonly breaksAt: (linear: bigint) => boolean;
}

/** A block that is being decoded, on one page: where it begins, how far it is, and how many instructions it has and may have. */
interface Run {
  readonly gpa: number;
  readonly linearLow: number;
  readonly linearHigh: number;
  readonly pageEnd: number;
  readonly mode: ModeBits;
  readonly max: number;
  at: number;
  count: number;
}

/** Decodes blocks of guest code into slots, one behind the other. */
export class BlockDecoder {
  readonly #state: CpuState;
  readonly #memory: GuestMemory;
  readonly #writer: SlotWriter;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #ram: Uint8Array;
  readonly #decoder = new Decoder();
  readonly #crossing = new Uint8Array(32);
  readonly #onUnknown: (unknown: UnknownEncoding) => void;
  readonly #breaksAt: (linear: bigint) => boolean;
  readonly #hotCode: HotCode;
  readonly #shapes: ShapeTable;
  #decodeKnown: InterpreterExports['decodeKnown'] | undefined;
  #mmu: Mmu | undefined;
  #next: number;

  constructor(state: CpuState, { memory, image, hotCode, onUnknown, breaksAt }: BlockDecoderOptions) {
    this.#state = state;
    this.#memory = memory;
    this.#onUnknown = onUnknown;
    this.#breaksAt = breaksAt;
    this.#hotCode = hotCode;
    const buffer = memory.memory.buffer as ArrayBufferLike;
    this.#view = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#ram = new Uint8Array(buffer, memory.baseBytes, memory.sizeBytes);
    this.#shapes = new ShapeTable(buffer, state.blockAddress);
    this.#writer = new SlotWriter(buffer, image);
    this.#next = state.blockAddress + ARENA.offset;
  }

  connect(mmu: Mmu, { decodeKnown }: InterpreterExports): void {
    this.#mmu = mmu;
    this.#decodeKnown = decodeKnown;
  }

  /** Where the next block's slots begin. */
  get next(): number {
    return this.#next;
  }
  /** Whether another block has room. */
  hasRoom(): boolean {
    return this.#next + (BLOCK_INSTRUCTIONS_MAX + 4) * SLOT.sizeBytes <= this.#state.blockAddress + ARENA.offset + ARENA.sizeBytes;
  }
  /** The slots of all blocks may be used again. */
  clear(): void {
    this.#next = this.#state.blockAddress + ARENA.offset;
  }

  /** Decodes the block at a guest-physical address: the page of a crossing instruction's second half, ONE_PAGE or FAULTED. */
  decode(gpa: number, linearLow: number, linearHigh: number): number {
    const mode = this.#state.mode as ModeBits;
    const tag = this.#state.word(CPU.blockTag);
    const isStep = (tag & BLOCK_TAG.step) !== 0;
    const breaks = !isStep && (tag & BLOCK_TAG.break) !== 0;
    const isPlain = mode === 64 && !isStep && !breaks;
    const first = this.#next;
    if (isPlain) this.#enter(gpa);
    const run: Run = { gpa, linearLow, linearHigh, at: gpa, count: 0, max: isStep ? 1 : BLOCK_INSTRUCTIONS_MAX, pageEnd: gpa - (gpa % PAGE_BYTES) + PAGE_BYTES, mode };
    let end: number = DECODE_END.None;
    while (end === DECODE_END.None) {
      if (isPlain) end = this.#fillKnown(run);
      else if (this.#isAtEnd(run, tag) || (breaks && this.#putBreak(run))) end = DECODE_END.Last;
      if (end === DECODE_END.None) end = this.#fillNext(run, isPlain);
    }
    if (end === DECODE_END.Crosses) {
      this.#next = first;
      return this.#decodeCrossing(run);
    }
    if (end !== DECODE_END.Raises) this.#special(end === DECODE_END.Ends ? SPECIAL.Relookup : SPECIAL.Continue, run.at, gpa);
    return ONE_PAGE;
  }

  /** Whether nothing is left to decode, or a block begins that is there already: this one ends with a link to it. */
  #isAtEnd({ count, max, at, pageEnd }: Run, tag: number): boolean {
    if (count === max || at >= pageEnd) return true;
    const address = this.#memory.baseBytes + at;
    const place = hashPlace(this.#state.blockAddress, address, BLOCK_HASH) >> 2;
    return count > 0 && this.#words[place] === (address | 0) && this.#words[place + 1] === tag;
  }

  /** Fills slots with instructions of known shapes; why no more of them, a DECODE_END. */
  #fillKnown(run: Run): number {
    const { baseBytes } = this.#memory;
    const result = this.#decodeKnown!(this.#state.blockAddress, baseBytes + run.at, baseBytes + run.pageEnd, this.#next, run.max - run.count, run.count);
    const end = result & ~DECODE_END.mask;
    const last = end - SLOT.sizeBytes;
    if (end !== this.#next) run.at = run.pageEnd - PAGE_BYTES + this.#view.getUint16(last + SLOT.pageOffset, true) + this.#view.getUint8(last + SLOT.length);
    run.count += (end - this.#next) / SLOT.sizeBytes;
    this.#next = end;
    return result & DECODE_END.mask;
  }

  /** Puts a mark before an instruction with a breakpoint, which begins its block: true where the block must end before it. */
  #putBreak(run: Run): boolean {
    if (!this.#breaksAt(linearOf(run))) return false;
    if (run.count === 0) this.#special(SPECIAL.Break, run.at);
    return run.count > 0;
  }

  /** Fills a slot with the next instruction; whether the block ends with it or before it, a DECODE_END. */
  #fillNext(run: Run, isPlain: boolean): number {
    const { at, mode } = run;
    const decoded = this.#decoder.decode(this.#ram, at, run.pageEnd, mode);
    if (decoded === 'more') return run.count > 0 ? DECODE_END.Last : DECODE_END.Crosses;
    if (typeof decoded === 'string') {
      this.#special(decoded === 'undefined' ? SPECIAL.Undefined : SPECIAL.TooLong, at);
      if (decoded === 'undefined') this.#reportUnknown(this.#ram.slice(at, Math.min(at + UNKNOWN_BYTES, run.pageEnd)), run);
      return DECODE_END.Raises;
    }
    const raises = alwaysRaises(decoded.row, this.#state.word(CPU.blockTag));
    if (raises !== undefined) {
      this.#special(raises, at);
      return DECODE_END.Raises;
    }
    this.#slot(decoded, at);
    if (isPlain) this.#shapes.add(this.#ram, at, decoded, shapeTraits(decoded), this.#bytes.subarray(this.#next - SLOT.sizeBytes, this.#next));
    run.at += decoded.lengthBytes;
    run.count++;
    if (decoded.row.options.ends) return DECODE_END.Ends;
    // Compiled code leaves after such instructions; it can take over again right behind them.
    return mode === 64 && endsRegion(decoded) ? DECODE_END.Last : DECODE_END.None;
  }

  /** `bytes`, with which the rest of a run begins, are no instruction. */
  #reportUnknown(bytes: Uint8Array, run: Run): void {
    this.#onUnknown({ bytes, address: linearOf(run), mode: run.mode, before: this.#ram.slice(run.gpa, run.at) });
  }

  /** An instruction over the page's end: its own block, behind a check that the second page has not moved. */
  #decodeCrossing(run: Run): number {
    const { gpa, mode, linearLow, linearHigh } = run;
    const next = nextPage(linearLow, linearHigh);
    const second = this.#mmu!.translate(next.low, mode === 64 ? next.high : 0, 'fetch', this.#state.cpl === 3);
    if (second < 0) return FAULTED;
    if (second < this.#memory.sizeBytes) this.#mmu!.protectCode(second >>> 12);
    const firstBytes = PAGE_BYTES - (gpa % PAGE_BYTES);
    this.#crossing.fill(0xff);
    this.#crossing.set(this.#ram.subarray(gpa, gpa + firstBytes));
    if (second < this.#memory.sizeBytes) this.#crossing.set(this.#ram.subarray(second, second + 16 - firstBytes), firstBytes);
    const decoded = this.#decoder.decode(this.#crossing, 0, 16, mode);
    const check = this.#special(SPECIAL.Cross, gpa);
    this.#view.setFloat64(check + CROSS.address, second, true);
    if (second < this.#memory.sizeBytes) this.#view.setUint32(check + CROSS.page, this.#memory.baseBytes + second, true);
    if (typeof decoded === 'string') {
      this.#special(decoded === 'too-long' ? SPECIAL.TooLong : SPECIAL.Undefined, gpa);
      if (decoded === 'undefined') this.#reportUnknown(this.#crossing.slice(0, UNKNOWN_BYTES), run);
    } else {
      const raises = alwaysRaises(decoded.row, this.#state.word(CPU.blockTag));
      if (raises === undefined) this.#slot(decoded, gpa);
      else this.#special(raises, gpa);
      this.#special(SPECIAL.Relookup, gpa + decoded.lengthBytes, gpa);
    }
    return second < this.#memory.sizeBytes ? second >>> 12 : ONE_PAGE;
  }

  #enter(gpa: number): void {
    const slot = this.#special(SPECIAL.Enter, gpa);
    this.#view.setUint32(slot + ENTER.page, gpa >>> 12, true);
    this.#view.setInt32(slot + ENTER.countdown, this.#hotCode.added(slot, gpa), true);
  }

  #special(handler: number, at: number, blockStart = at): number {
    const slot = this.#next;
    this.#next += SLOT.sizeBytes;
    this.#words.fill(0, slot / 4, (slot + SLOT.sizeBytes) / 4);
    this.#view.setUint16(slot + SLOT.handler, handler, true);
    // Past the page's last byte the offset is 4096 or more, relative to the page the block began in.
    this.#view.setUint16(slot + SLOT.pageOffset, at - blockStart + (blockStart % PAGE_BYTES), true);
    return slot;
  }

  #slot(decoded: Decoded, gpa: number): void {
    this.#writer.write(this.#next, decoded, gpa % PAGE_BYTES);
    this.#next += SLOT.sizeBytes;
  }
}

/** Linear address of the next instruction. */
const linearOf = ({ gpa, at, mode, linearLow, linearHigh }: Run): bigint => joinHalves(linearLow, mode === 64 ? linearHigh : 0) + BigInt(at - gpa);
