import type { Code, FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { ACTIVITY_WORD } from './activity.ts';
import { ALIGNED_TLB, CR0, CR4, EFER, RFLAGS } from './cpu-state.ts';
import { CPU, LARGE_PAGES, TLB } from './layout.ts';
import { ENTRY, FRAME_BITS } from './page-table.ts';
import type { AccessKind } from './page-walker.ts';
import { FILL } from './tlb-fill.ts';

const PAGE_BYTES = 4096;
/** Physical addresses have 40 bits: these of an entry must be zero. */
const RESERVED = 0x000f_ff00_0000_0000n;
/** Which bits of the linear address index the tables of the four levels, from the root. */
const SHIFTS = [39, 30, 21, 12] as const;

/** Functions (cpu, linear) → the TLB entry that now translates the access, or 0 where the host has to look (`PageWalker`). */
export type WalkFunctions = Readonly<Record<AccessKind, number>>;

/**
 * Defines walks of 4-level page tables (SDM vol. 3A §4.5) for what most misses of the TLB are: accesses that are allowed, in
 * tables that need no accessed or dirty bit set. Everything else is left to the host: other paging modes, faults, those bits,
 * memory that is not RAM.
 */
export function defineWalks(module: ModuleBuilder, fill: number, recordsActivity: boolean): WalkFunctions {
  const [read, write, fetch] = (['read', 'write', 'fetch'] as const).map((kind) => new Walk(module, kind, fill, recordsActivity).define()) as [number, number, number];
  return { read, write, fetch };
}

const [CPU_LOCAL, LINEAR] = [0, 1];

class Walk {
  readonly #f: FunctionBuilder;
  readonly #code: Code;
  readonly #kind: AccessKind;
  readonly #fill: number;
  readonly #recordsActivity: boolean;
  readonly #entry: number;
  /** What all entries of the path allow, and what any of them forbids. */
  readonly #allowed: number;
  readonly #forbidden: number;
  /** Guest-physical address of the next table, in the end of the page. */
  readonly #address: number;
  readonly #bits: number;
  readonly #before: number;
  #slowDepth = 0;

  constructor(module: ModuleBuilder, kind: AccessKind, fill: number, recordsActivity: boolean) {
    const f = module.function(module.type(['i32', 'i64'], ['i32']));
    f.name = `walk for ${kind}`;
    this.#f = f;
    this.#code = f.code;
    this.#kind = kind;
    this.#fill = fill;
    this.#recordsActivity = recordsActivity;
    this.#entry = f.local('i64');
    this.#allowed = f.local('i64');
    this.#forbidden = f.local('i64');
    this.#address = f.local('i64');
    this.#bits = f.local('i32');
    this.#before = f.local('i32');
  }

  define(): number {
    const code = this.#code;
    this.#recordActivity(() => code.i32(ACTIVITY_WORD.TlbMiss));
    code.block();
    this.#slowDepth = code.depth;
    this.#checkMode();
    code.localGet(CPU_LOCAL).memory('i64.load', CPU.cr3).i64(FRAME_BITS).op('i64.and').localSet(this.#address);
    code.block(); // left with the page in `#address`
    for (const shift of SHIFTS) this.#level(shift);
    code.op('end');
    this.#checkRights();
    this.#fillEntry();
    code.op('end');
    this.#restoreActivity();
    code.i32(0);
    return this.#f.index;
  }

  #slowIf(): void {
    this.#code.brIf(this.#code.depth - this.#slowDepth);
  }

  /** Says for a profile what happens; what `push` pushes. */
  #recordActivity(push: () => Code): void {
    if (!this.#recordsActivity) return;
    const code = this.#code;
    code.localGet(CPU_LOCAL).memory('i32.load', CPU.activity).localSet(this.#before);
    code.localGet(CPU_LOCAL);
    push().memory('i32.store', CPU.activity);
  }
  #restoreActivity(): void {
    if (this.#recordsActivity) this.#code.localGet(CPU_LOCAL).localGet(this.#before).memory('i32.store', CPU.activity);
  }

  #checkMode(): void {
    const code = this.#code;
    const long = Number(EFER.LMA | EFER.NXE);
    code.localGet(CPU_LOCAL).memory('i32.load', CPU.efer).i32(long).op('i32.and').i32(long).op('i32.ne');
    this.#slowIf();
    code.localGet(LINEAR).i64(16).op('i64.shl').i64(16).op('i64.shr_s').localGet(LINEAR).op('i64.ne');
    this.#slowIf();
    if (this.#kind === 'fetch') return;
    code.localGet(CPU_LOCAL).memory('i32.load', CPU.tlb).i32(ALIGNED_TLB).op('i32.eq').localGet(CPU_LOCAL).memory('i32.load', CPU.watching).op('i32.or');
    this.#slowIf();
  }

  /** Reads the entry of one level; leaves the block around the levels at the page. */
  #level(shift: number): void {
    const code = this.#code;
    const entry = this.#entry;
    this.#checkInRam();
    code.localGet(this.#address).op('i32.wrap_i64').localGet(CPU_LOCAL).memory('i32.load', CPU.ramAddress).op('i32.add');
    code.localGet(LINEAR).i64(shift - 3).op('i64.shr_u').op('i32.wrap_i64').i32(0xff8).op('i32.and').op('i32.add').memory('i64.atomic.load').localTee(entry);
    code.i64(RESERVED | ENTRY.present).op('i64.and').i64(ENTRY.present).op('i64.ne');
    this.#slowIf();
    const join = (local: number, op: 'i64.and' | 'i64.or') => {
      if (shift !== SHIFTS[0]) code.localGet(local).localGet(entry).op(op).localSet(local);
      else code.localGet(entry).localSet(local);
    };
    join(this.#allowed, 'i64.and');
    join(this.#forbidden, 'i64.or');
    if (shift === 39) {
      code.localGet(entry).i64(ENTRY.large).op('i64.and').i64(0n).op('i64.ne');
      this.#slowIf();
    } else if (shift > 12) this.#largePage(shift);
    code.localGet(entry).i64(FRAME_BITS).op('i64.and').localSet(this.#address);
  }

  #checkInRam(): void {
    this.#code.localGet(this.#address).localGet(CPU_LOCAL).memory('i64.load32_u', CPU.ramBytes).op('i64.ge_u');
    this.#slowIf();
  }

  /** Where the entry maps a page of 2 or 1 GiB, this is the end of the walk. */
  #largePage(shift: number): void {
    const code = this.#code;
    const entry = this.#entry;
    const offsetBits = (1n << BigInt(shift)) - 1n;
    const frameBits = FRAME_BITS & ~offsetBits;
    code.localGet(entry).i64(ENTRY.large).op('i64.and').i64(0n).op('i64.ne').if();
    // Bit 12 is the page attribute table's.
    code.localGet(entry).i64(offsetBits & ~0x1fffn).op('i64.and').i64(0n).op('i64.ne');
    this.#slowIf();
    code.localGet(entry).i64(frameBits).op('i64.and').localGet(LINEAR).i64(offsetBits & ~0xfffn).op('i64.and').op('i64.or').localSet(this.#address);
    this.#noteLargePage(shift);
    code.br(1).op('end');
  }

  /** As `LargePages.note`. */
  #noteLargePage(shift: number): void {
    const isHuge = shift === 30;
    const code = this.#code.localGet(CPU_LOCAL);
    code.localGet(LINEAR).i64(shift).op('i64.shr_u').localGet(LINEAR).i64(isHuge ? 44 : 35).op('i64.shr_u').op('i64.xor').op('i32.wrap_i64').i32(LARGE_PAGES.bucketCount - 1).op('i32.and').op('i32.add');
    code.i32(1).memory('i32.store8', LARGE_PAGES.offset + (isHuge ? LARGE_PAGES.bucketCount : 0));
  }

  /** SDM vol. 3A §4.6. */
  #checkRights(): void {
    const code = this.#code;
    const has = (local: number, bit: bigint) => code.localGet(local).i64(bit).op('i64.and').i64(0n).op('i64.ne');
    const lacks = (local: number, bit: bigint) => code.localGet(local).i64(bit).op('i64.and').op('i64.eqz');
    this.#checkInRam();
    lacks(this.#allowed, ENTRY.accessed);
    this.#slowIf();
    const isUser = () => code.localGet(CPU_LOCAL).memory('i32.load', CPU.cpl).i32(3).op('i32.eq');
    isUser().if();
    lacks(this.#allowed, ENTRY.user);
    this.#slowIf();
    code.op('else');
    has(this.#allowed, ENTRY.user).if();
    if (this.#kind === 'fetch') code.localGet(CPU_LOCAL).memory('i32.load', CPU.cr4).i32(Number(CR4.SMEP)).op('i32.and');
    else {
      code.localGet(CPU_LOCAL).memory('i32.load', CPU.cr4).i32(Number(CR4.SMAP)).op('i32.and').op('i32.eqz');
      code.localGet(CPU_LOCAL).memory('i32.load', CPU.systemFlags).i32(Number(RFLAGS.AC)).op('i32.and').op('i32.or').op('i32.eqz');
    }
    this.#slowIf();
    code.op('end').op('end');
    if (this.#kind === 'fetch') {
      code.localGet(this.#forbidden).i64(0n).op('i64.lt_s');
      this.#slowIf();
      return;
    }
    has(this.#entry, ENTRY.dirty);
    has(this.#allowed, ENTRY.writable);
    isUser().localGet(CPU_LOCAL).memory('i32.load', CPU.cr0).i32(Number(CR0.WP)).op('i32.and').op('i32.or').op('i32.eqz');
    code.op('i32.or').op('i32.and').localTee(this.#bits);
    if (this.#kind === 'write') {
      code.op('i32.eqz');
      this.#slowIf();
    } else code.op('drop');
  }

  #fillEntry(): void {
    const code = this.#code;
    const isGlobal = () => code.localGet(this.#entry).i64(ENTRY.global).op('i64.and').i64(0n).op('i64.ne').localGet(CPU_LOCAL).memory('i32.load', CPU.cr4).i32(Number(CR4.PGE)).op('i32.and').i32(0).op('i32.ne').op('i32.and');
    code.localGet(CPU_LOCAL).localGet(LINEAR).localGet(this.#address).i64(12).op('i64.shr_u').op('i32.wrap_i64');
    if (this.#kind === 'fetch') code.i32(FILL.fetch);
    else code.localGet(this.#bits).i32(Math.log2(FILL.writable)).op('i32.shl');
    isGlobal().i32(Math.log2(FILL.global)).op('i32.shl').op('i32.or');
    code.call(this.#fill).localSet(this.#bits);
    if (this.#kind === 'write') {
      // A page with translated code is written by the host alone.
      code.localGet(this.#bits).memory('i64.load', TLB.tagWrite).localGet(LINEAR).i64(-PAGE_BYTES).op('i64.and').op('i64.ne');
      this.#slowIf();
    }
    this.#restoreActivity();
    code.localGet(this.#bits).op('return');
  }
}
