import type { GuestMemory } from '@hanok/machine';
import { CR0, CR4, type CpuState, EFER, RFLAGS } from './cpu-state.ts';
import { CPU } from './layout.ts';
import { ENTRY } from './page-table.ts';

export type AccessKind = 'read' | 'write' | 'fetch';

const PRESENT = Number(ENTRY.present);
const WRITABLE = Number(ENTRY.writable);
const USER = Number(ENTRY.user);
const ACCESSED = Number(ENTRY.accessed);
const DIRTY = Number(ENTRY.dirty);
const LARGE = Number(ENTRY.large);
const GLOBAL = Number(ENTRY.global);
/** Of an entry's high half. */
const NO_EXECUTE = Number(ENTRY.noExecute >> 32n);
/** Physical addresses have 40 bits: these of an entry's high half must be zero. */
const RESERVED_HIGH = 0x000fff00;

const PSE_RESERVED = 0x200000;

const LMA = Number(EFER.LMA);
const NXE = Number(EFER.NXE);
const AC = Number(RFLAGS.AC);
const WP = Number(CR0.WP);
const PG = Number(CR0.PG);
const PSE = Number(CR4.PSE);
const PAE = Number(CR4.PAE);
const PGE = Number(CR4.PGE);
const SMEP = Number(CR4.SMEP);
const SMAP = Number(CR4.SMAP);

/** Whether bits 63 to 47 of a linear address are alike, its upper half given. */
export function isCanonicalHalf(high: number): boolean {
  return (high << 16) >> 16 === (high | 0);
}

/** Walks the guest's page tables. Results stay in fields until the next walk, so that a walk allocates nothing. */
export class PageWalker {
  /** Guest-physical address of the 4-KiB page. */
  gpa = 0;
  global = false;
  /** The page is writable for this access and already dirty: stores need no further look. */
  dirtyWritable = false;
  canonical = true;
  errorCode = 0;
  /** log2 of the size of the page that the last walk ended in: 12, 21, 22 or 30. */
  pageShift = 12;
  readonly #state: CpuState;
  readonly #ram: Int32Array;
  readonly #ramBytes: number;
  readonly #memory: GuestMemory;
  /** Where in `#ram` the entries of the walk lie, and what their low halves were. */
  readonly #path: number[] = [0, 0, 0, 0];
  readonly #seen: number[] = [0, 0, 0, 0];
  #depth = 0;
  /** Another vCPU changed an entry while it was used. */
  #changed = false;

  constructor(state: CpuState, memory: GuestMemory) {
    this.#state = state;
    this.#memory = memory;
    this.#ram = new Int32Array(memory.memory.buffer as ArrayBufferLike, memory.baseBytes, memory.sizeBytes / 4);
    this.#ramBytes = memory.sizeBytes;
  }

  /** What eight bytes in RAM hold, for guesses; undefined where they cannot be read. */
  peek(linear: bigint): bigint | undefined {
    const low = Number(linear & 0xffffffffn);
    if ((low & 0xfff) + 8 > 4096 || !this.walk(low, Number(linear >> 32n), 'read', this.#state.cpl === 3)) return undefined;
    return this.#memory.readU64(this.gpa + (low & 0xfff));
  }

  /** Translates; false with `errorCode` set for a page fault, or with `canonical` false. */
  walk(low: number, high: number, kind: AccessKind, user: boolean): boolean {
    this.canonical = true;
    const cr0 = this.#state.word(CPU.cr0);
    if ((cr0 & PG) === 0) {
      this.gpa = (low & 0xfffff000) >>> 0;
      this.global = false;
      this.pageShift = 12;
      this.dirtyWritable = true;
      return true;
    }
    const cr4 = this.#state.word(CPU.cr4);
    const long = (this.#state.word(CPU.efer) & LMA) !== 0;
    if (long && !isCanonicalHalf(high)) {
      this.canonical = false;
      return false;
    }
    this.errorCode = (kind === 'write' ? 2 : 0) | (user ? 4 : 0);
    const executeDisable = (this.#state.word(CPU.efer) & NXE) !== 0;
    if (kind === 'fetch' && (executeDisable || cr4 & SMEP)) this.errorCode |= 16;
    const { errorCode } = this;
    for (;;) {
      this.#depth = 0;
      this.#changed = false;
      this.errorCode = errorCode;
      const found = !long && (cr4 & PAE) === 0 ? this.#walk32(low, kind, user, cr0, cr4) : this.#walkPae(low, high, kind, user, cr0, cr4, long, executeDisable);
      if (!this.#changed) return found;
    }
  }

  #pass(at: number, seen: number): void {
    this.#path[this.#depth] = at;
    this.#seen[this.#depth++] = seen;
  }

  #walkPae(low: number, high: number, kind: AccessKind, user: boolean, cr0: number, cr4: number, long: boolean, executeDisable: boolean): boolean {
    let table = this.#tableAddress(this.#state.word(CPU.cr3) & (long ? 0xfffff000 : 0xffffffe0), this.#state.word(CPU.cr3 + 4) & 0xff);
    let level = long ? 4 : 3;
    let rights = USER | WRITABLE;
    let noExecute = 0;
    for (;;) {
      const index = level === 4 ? (high >>> 7) & 0x1ff : level === 3 ? (((high & 0x7f) << 2) | (low >>> 30)) & (long ? 0x1ff : 3) : (low >>> (level === 2 ? 21 : 12)) & 0x1ff;
      const at = table + index * 8;
      if (at + 8 > this.#ramBytes) return false;
      const entryLow = Atomics.load(this.#ram, at >>> 2);
      const entryHigh = Atomics.load(this.#ram, (at >>> 2) + 1);
      // Both halves must be of the same entry.
      if (Atomics.load(this.#ram, at >>> 2) !== entryLow) continue;
      if ((entryLow & PRESENT) === 0) return false;
      const large = (entryLow & LARGE) !== 0 && (level === 2 || (level === 3 && long));
      const badLarge = large && (entryLow & (level === 2 ? 0x1fe000 : 0x3fffe000)) !== 0;
      if ((entryHigh & RESERVED_HIGH) !== 0 || (!executeDisable && entryHigh & NO_EXECUTE) || badLarge || (level === 4 && entryLow & LARGE)) {
        this.errorCode |= 9;
        return false;
      }
      if (long || level < 3) {
        rights &= entryLow;
        noExecute |= entryHigh;
        this.#pass(at >>> 2, entryLow);
      }
      if (level === 1 || large) {
        const maskLow = level === 1 ? 0xfff : level === 2 ? 0x1fffff : 0x3fffffff;
        this.pageShift = level === 1 ? 12 : level === 2 ? 21 : 30;
        const frame = ((entryLow & ~maskLow & 0xfffff000) | (low & maskLow & ~0xfff)) >>> 0;
        this.gpa = frame + (entryHigh & 0xff) * 0x100000000;
        return this.#finish(entryLow, rights, (noExecute & NO_EXECUTE) !== 0, kind, user, cr0, cr4);
      }
      table = this.#tableAddress(entryLow & 0xfffff000, entryHigh & 0xff);
      level--;
    }
  }

  #walk32(low: number, kind: AccessKind, user: boolean, cr0: number, cr4: number): boolean {
    const directory = (this.#state.word(CPU.cr3) & 0xfffff000) >>> 0;
    const at = directory + (low >>> 22) * 4;
    if (at + 4 > this.#ramBytes) return false;
    const entry = this.#ram[at >>> 2]!;
    if ((entry & PRESENT) === 0) return false;
    this.#pass(at >>> 2, entry);
    if (entry & LARGE && cr4 & PSE) {
      this.pageShift = 22;
      // Bits 20 to 13 are address bits 39 to 32 (SDM vol. 3A table 4-4).
      if (entry & PSE_RESERVED) {
        this.errorCode |= 9;
        return false;
      }
      this.gpa = (((entry & 0xffc00000) | (low & 0x3ff000)) >>> 0) + ((entry >>> 13) & 0xff) * 0x100000000;
      return this.#finish(entry, entry, false, kind, user, cr0, cr4);
    }
    const leafAt = ((entry & 0xfffff000) >>> 0) + ((low >>> 12) & 0x3ff) * 4;
    if (leafAt + 4 > this.#ramBytes) return false;
    const leaf = this.#ram[leafAt >>> 2]!;
    if ((leaf & PRESENT) === 0) return false;
    this.#pass(leafAt >>> 2, leaf);
    this.pageShift = 12;
    this.gpa = (leaf & 0xfffff000) >>> 0;
    return this.#finish(leaf, entry & leaf, false, kind, user, cr0, cr4);
  }

  #tableAddress(low: number, high: number): number {
    return (low >>> 0) + high * 0x100000000;
  }

  /** Checks rights (SDM vol. 3A §4.6) and sets accessed and dirty bits. */
  #finish(leaf: number, rights: number, noExecute: boolean, kind: AccessKind, user: boolean, cr0: number, cr4: number): boolean {
    const userPage = (rights & USER) !== 0;
    const writable = (rights & WRITABLE) !== 0 || (!user && (cr0 & WP) === 0);
    const smap = !user && userPage && (cr4 & SMAP) !== 0 && (this.#state.word(CPU.systemFlags) & AC) === 0;
    let allowed = !user || userPage;
    if (kind === 'fetch') allowed &&= !noExecute && !(userPage && !user && cr4 & SMEP);
    else allowed &&= !smap && (kind === 'read' || writable);
    if (!allowed) {
      this.errorCode |= 1;
      return false;
    }
    const last = this.#depth - 1;
    for (let index = 0; index < this.#depth; index++) {
      const seen = this.#seen[index]!;
      const bits = ACCESSED | (index === last && kind === 'write' ? DIRTY : 0);
      if ((seen & bits) === bits) continue;
      // Only where the entry is still the one that was used: never in one that another vCPU has just cleared.
      if (Atomics.compareExchange(this.#ram, this.#path[index]!, seen, seen | bits) === seen) continue;
      this.#changed = true;
      return false;
    }
    this.global = (leaf & GLOBAL) !== 0 && (cr4 & PGE) !== 0;
    this.dirtyWritable = writable && !smap && (kind === 'write' || (leaf & DIRTY) !== 0);
    return true;
  }
}

/** The linear address of the next page, in halves. */
export function nextPage(low: number, high: number): { low: number; high: number } {
  const next = ((low & 0xfffff000) >>> 0) + 4096;
  return { low: next >>> 0, high: (high + (next > 0xffffffff ? 1 : 0)) | 0 };
}
