import { BLOCK_TAG, CPU, SEGMENT, SEGMENT_INDEX, TLB_TABLE_BYTES, TLB } from './layout.ts';

/** Bits of CR0, CR4, EFER and RFLAGS (SDM vol. 3A §2.5, §2.2.1; vol. 1 §3.4.3). */
export const CR0 = { PE: 1n, MP: 2n, EM: 4n, TS: 8n, ET: 0x10n, NE: 0x20n, WP: 0x10000n, AM: 0x40000n, NW: 1n << 29n, CD: 1n << 30n, PG: 1n << 31n } as const;
export const CR4 = {
  VME: 1n, PVI: 2n, TSD: 4n, DE: 8n, PSE: 0x10n, PAE: 0x20n, MCE: 0x40n, PGE: 0x80n, PCE: 0x100n, OSFXSR: 0x200n, OSXMMEXCPT: 0x400n, UMIP: 0x800n,
  FSGSBASE: 1n << 16n, PCIDE: 1n << 17n, OSXSAVE: 1n << 18n, SMEP: 1n << 20n, SMAP: 1n << 21n,
} as const;
export const EFER = { SCE: 1n, LME: 0x100n, LMA: 0x400n, NXE: 0x800n } as const;
export const RFLAGS = {
  fixed: 2n, TF: 0x100n, IF: 0x200n, DF: 0x400n, IOPL: 0x3000n, NT: 0x4000n, RF: 0x10000n, VM: 0x20000n, AC: 0x40000n, ID: 0x200000n,
} as const;
export const ARITHMETIC_FLAGS = 0x8d5n;

/** Where the table of user code with alignment checked starts, which never holds data. */
export const ALIGNED_TLB = TLB.offset + 3 * TLB_TABLE_BYTES;

/** Access rights of a segment, as in a VMCS (SDM vol. 3C table 25-2). */
export const ACCESS = { accessed: 1, writable: 2, readable: 2, expandDown: 4, conforming: 4, code: 8, system: 0x10, present: 0x80, long: 0x2000, big: 0x4000, unusable: 0x10000 } as const;

/** A segment register's hidden part. */
export interface Segment {
  selector: number;
  base: bigint;
  limit: number;
  access: number;
}

/** Bits of control registers and RFLAGS as the numbers that `word` gives. */
const [LMA, VM, AC] = [Number(EFER.LMA), Number(RFLAGS.VM), Number(RFLAGS.AC)];
const [EM, TS, AM] = [Number(CR0.EM), Number(CR0.TS), Number(CR0.AM)];
const [OSFXSR, SMAP] = [Number(CR4.OSFXSR), Number(CR4.SMAP)];

/** Typed access to one vCPU's state block, and what must stay consistent when parts of it change. */
export class CpuState {
  readonly view: DataView;
  readonly blockAddress: number;
  /** Index of the state block's first 32-bit word. */
  readonly words: Uint32Array;

  constructor(buffer: ArrayBufferLike, blockAddress: number, sizeBytes: number) {
    this.view = new DataView(buffer, blockAddress, sizeBytes);
    this.words = new Uint32Array(buffer, blockAddress, sizeBytes / 4);
    this.blockAddress = blockAddress;
  }

  get(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }
  set(offset: number, value: bigint): void {
    this.view.setBigUint64(offset, value, true);
  }
  word(offset: number): number {
    return this.words[offset >> 2]!;
  }
  setWord(offset: number, value: number): void {
    this.words[offset >> 2] = value;
  }

  register(index: number): bigint {
    return this.get(CPU.gpr + index * 8);
  }
  setRegister(index: number, value: bigint): void {
    this.set(CPU.gpr + index * 8, value);
  }

  segment(index: number): Segment {
    const at = CPU.segments + index * SEGMENT.sizeBytes;
    return {
      selector: this.word(at + SEGMENT.selector), base: this.get(at + SEGMENT.base), limit: this.word(at + SEGMENT.limit), access: this.word(at + SEGMENT.access),
    };
  }
  setSegment(index: number, segment: Segment): void {
    const at = CPU.segments + index * SEGMENT.sizeBytes;
    this.setWord(at + SEGMENT.selector, segment.selector);
    this.set(at + SEGMENT.base, segment.base);
    this.setWord(at + SEGMENT.limit, segment.limit);
    this.setWord(at + SEGMENT.access, segment.access);
    this.updateMode();
  }

  get cpl(): number {
    return this.word(CPU.cpl);
  }
  setCpl(value: number): void {
    this.set(CPU.cpl, BigInt(value));
    this.updateMode();
  }
  get isLong(): boolean {
    return (this.word(CPU.efer) & LMA) !== 0;
  }
  get isProtected(): boolean {
    return (this.word(CPU.cr0) & 1) !== 0;
  }
  get isVirtual8086(): boolean {
    return (this.word(CPU.systemFlags) & VM) !== 0;
  }
  /** 16, 32 or 64. */
  get mode(): number {
    return this.word(CPU.blockMode);
  }

  /** Recomputes what generated code reads instead of segments, control registers and flags. */
  updateMode(): void {
    const csAccess = this.word(CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes + SEGMENT.access);
    const mode = this.isLong && csAccess & ACCESS.long ? 64 : csAccess & ACCESS.big ? 32 : 16;
    this.setWord(CPU.blockMode, mode);
    this.setWord(CPU.blockTag, mode | (this.word(CPU.blockTag) & (BLOCK_TAG.step | BLOCK_TAG.break)) | this.#floatTag());
    this.set(CPU.codeBase, mode === 64 ? 0n : this.get(CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes));
    this.set(CPU.codeLimit, mode === 64 ? (1n << 64n) - 1n : BigInt(this.word(CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes + SEGMENT.limit)));
    this.set(CPU.codeMask, mode === 64 ? (1n << 64n) - 1n : 0xffffffffn);
    const ssAccess = this.word(CPU.segments + SEGMENT_INDEX.SS * SEGMENT.sizeBytes + SEGMENT.access);
    this.set(CPU.stackMask, mode === 64 ? (1n << 64n) - 1n : ssAccess & ACCESS.big ? 0xffffffffn : 0xffffn);
    this.setWord(CPU.flatSegments, this.#flatSegments());
    this.selectTlb();
  }

  /** SDM vol. 3A §14.1.1, table 2-2. */
  #floatTag(): number {
    const cr0 = this.word(CPU.cr0);
    const pointers = !this.isProtected || this.isVirtual8086 ? BLOCK_TAG.linearPointers : 0;
    const x87 = pointers | (cr0 & (EM | TS) ? BLOCK_TAG.x87Absent : 0);
    if (cr0 & EM || !(this.word(CPU.cr4) & OSFXSR)) return x87 | BLOCK_TAG.sseUndefined;
    return cr0 & TS ? x87 | BLOCK_TAG.sseAbsent : x87;
  }

  #flatSegments(): number {
    let mask = 0;
    for (let index = 0; index < 6; index++) {
      const at = CPU.segments + index * SEGMENT.sizeBytes;
      const access = this.word(at + SEGMENT.access);
      const writableData = (access & (ACCESS.present | ACCESS.code | ACCESS.writable | ACCESS.expandDown)) === (ACCESS.present | ACCESS.writable);
      if (writableData && this.word(at) === 0 && this.word(at + SEGMENT.limit) === 0xffffffff) mask |= 1 << index;
    }
    return mask;
  }

  /** Chooses the TLB of the present privilege: user, user with alignment checked, supervisor, supervisor with SMAP suspended by RFLAGS.AC. */
  selectTlb(): void {
    const ac = (this.word(CPU.systemFlags) & AC) !== 0;
    let table = ac && this.word(CPU.cr0) & AM ? 3 : 0;
    if (this.cpl !== 3) table = this.word(CPU.cr4) & SMAP && !ac ? 1 : 2;
    this.setWord(CPU.tlb, TLB.offset + table * TLB_TABLE_BYTES);
  }
}
