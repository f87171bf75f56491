import type { CodePages, GuestMemory, VcpuBus, VcpuGate } from '@hanok/machine';
import { ALIGNED_TLB, type CpuState } from './cpu-state.ts';
import type { DebugUnit } from './debug-unit.ts';
import { highHalf, joinHalves, lowHalf } from './halves.ts';
import { RESTART_FAULT } from './helper.ts';
import { CPU, STACK_ACCESS, TLB, vcpuBlockAddress } from './layout.ts';
import { type AccessKind, isCanonicalHalf, nextPage, PageWalker } from './page-walker.ts';
import { PhysicalAccess } from './physical-access.ts';
import { Tlb } from './tlb.ts';

/** Marks a recorded #GP that is #SS when the access was to the stack. */
export const NON_CANONICAL = 0x40000000;

/** What connects a vCPU's memory accesses to those of others. */
export interface SharedAccess {
  readonly codePages: CodePages;
  readonly gate: VcpuGate;
  /** Which vCPU this is. */
  readonly vcpu: number;
}

/** Linear memory: TLBs, their fills and flushes, and every access that the generated code does not make itself. */
export class Mmu {
  readonly walker: PageWalker;
  readonly tlb: Tlb;
  readonly #state: CpuState;
  readonly #memory: GuestMemory;
  readonly #physical: PhysicalAccess;
  readonly #codePages: CodePages;
  readonly #gate: VcpuGate;
  readonly #vcpu: number;
  /** Whether the access that is translated means the stack. */
  #onStack = false;
  #watch: DebugUnit | undefined;

  constructor(state: CpuState, memory: GuestMemory, bus: VcpuBus, { codePages, gate, vcpu }: SharedAccess, dropCode: (page: number) => void) {
    this.#state = state;
    this.#memory = memory;
    this.#physical = new PhysicalAccess(memory, bus, codePages, vcpu, dropCode);
    this.#codePages = codePages;
    this.#gate = gate;
    this.#vcpu = vcpu;
    this.walker = new PageWalker(state, memory);
    this.tlb = new Tlb(state, memory, codePages.vcpuCount, vcpu);
    state.setWord(CPU.codePages, codePages.address);
    state.setWord(CPU.writerBit, codePages.writerBit(vcpu));
  }

  /** Set while data breakpoints watch the accesses of instructions. */
  get watch(): DebugUnit | undefined {
    return this.#watch;
  }
  set watch(watch: DebugUnit | undefined) {
    this.#watch = watch;
    this.#state.setWord(CPU.watching, watch ? 1 : 0);
  }

  get #user(): boolean {
    return this.#state.cpl === 3;
  }

  /** Records a #PF or #GP in the state block; always 0. */
  #fault(low: number, high: number): 0 {
    const { walker } = this;
    this.#state.setWord(CPU.faultVector, walker.canonical ? 14 | 0x80000000 : this.#onStack ? 12 | 0x80000000 : 13 | 0x80000000 | NON_CANONICAL);
    this.#state.setWord(CPU.faultErrorCode, walker.canonical ? walker.errorCode : 0);
    if (walker.canonical) {
      this.#state.setWord(CPU.cr2, low);
      this.#state.setWord(CPU.cr2 + 4, high);
    }
    return 0;
  }

  /** Guest-physical address, or -1 with the exception recorded. */
  translate(low: number, high: number, kind: AccessKind, user: boolean): number {
    if (!this.walker.walk(low, high, kind, user)) {
      this.#fault(low, high);
      return -1;
    }
    return this.walker.gpa + (low & 0xfff);
  }

  /** Notes whether an access means the stack; its size. */
  #sizeOf(access: number): number {
    this.#onStack = (access & STACK_ACCESS) !== 0;
    return access & ~STACK_ACCESS;
  }

  /** Whether the alignment of an access is right, where it is checked; else an exception is recorded. */
  isAligned(low: number, alignmentBytes: number): boolean {
    if (this.#state.word(CPU.tlb) !== ALIGNED_TLB || !(low & (alignmentBytes - 1))) return true;
    this.#state.setWord(CPU.faultVector, 17 | 0x80000000);
    this.#state.setWord(CPU.faultErrorCode, 0);
    return false;
  }

  /** True with an exception recorded where an access breaks alignment, or hits a breakpoint outside a single step. */
  #refused(low: number, high: number, sizeBytes: number, write: boolean): boolean {
    if (sizeBytes <= 8 && isCanonicalHalf(high) && !this.isAligned(low, sizeBytes)) return true;
    if (!this.watch?.accessed(joinHalves(low, high), sizeBytes, write)) return false;
    this.#state.setWord(CPU.faultVector, RESTART_FAULT);
    return true;
  }

  #isWatched(low: number, high: number): boolean {
    return this.watch !== undefined && this.watch.watchesPage(joinHalves(low, high));
  }

  /** Where in wasm memory the TLB says that an access of the host's on the guest's behalf goes, or 0. */
  #hit(low: number, high: number, sizeBytes: number, tag: number): number {
    if ((low & 0xfff) + sizeBytes > 4096 || this.watch) return 0;
    return this.tlb.hit(low, high, tag);
  }

  /** As `read` and `write`, for helpers, which come back to the same pages; an area on one page in place, or 0. */
  hostRead(low: number, high: number, sizeBytes: number): number {
    return this.#hit(low, high, sizeBytes, TLB.tagRead) || this.read(low, high, sizeBytes);
  }
  hostArea(low: number, high: number, sizeBytes: number, write: boolean): number {
    return this.#hit(low, high, sizeBytes, write ? TLB.tagWrite : TLB.tagRead);
  }
  hostWrite(low: number, high: number, sizeBytes: number): number {
    const to = this.#hit(low, high, sizeBytes, TLB.tagWrite);
    if (to === 0) return this.write(low, high, sizeBytes);
    this.#physical.store(to, this.#state.blockAddress + CPU.scratch, sizeBytes);
    return 1;
  }

  /** The import `read`. Sizes may come with STACK_ACCESS. */
  read(low: number, high: number, access: number): number {
    const sizeBytes = this.#sizeOf(access);
    if (this.#refused(low, high, sizeBytes, false)) return 0;
    if ((low & 0xfff) + sizeBytes > 4096) return this.#gather(low, high, sizeBytes, 'read');
    const gpa = this.translate(low, high, 'read', this.#user);
    if (gpa < 0) return 0;
    if (gpa >= this.#memory.sizeBytes) return this.#copy(gpa, sizeBytes);
    this.#fill(low, high, gpa, 'read');
    return this.#memory.baseBytes + gpa;
  }

  /** The import `modify`: like `read`, with the right to write checked. */
  modify(low: number, high: number, sizeBytes: number): number {
    if (this.#refused(low, high, sizeBytes, true)) return 0;
    if ((low & 0xfff) + sizeBytes > 4096) return this.#gather(low, high, sizeBytes, 'write');
    const gpa = this.translate(low, high, 'write', this.#user);
    if (gpa < 0) return 0;
    if (gpa >= this.#memory.sizeBytes) return this.#copy(gpa, sizeBytes);
    this.#physical.beforeWrite(gpa);
    this.#fill(low, high, gpa, 'write');
    return this.#memory.baseBytes + gpa;
  }

  /** The import `write`: moves the scratch area's bytes to their place. */
  write(low: number, high: number, access: number): number {
    const sizeBytes = this.#sizeOf(access);
    if (this.#refused(low, high, sizeBytes, true)) return 0;
    const scratch = this.#state.blockAddress + CPU.scratch;
    const first = Math.min(sizeBytes, 4096 - (low & 0xfff));
    const gpa = this.translate(low, high, 'write', this.#user);
    if (gpa < 0) return 0;
    if (first < sizeBytes) {
      const next = nextPage(low, high);
      const second = this.translate(next.low, next.high, 'write', this.#user);
      if (second < 0) return 0;
      this.#physical.put(gpa, scratch, first);
      this.#physical.put(second, scratch + first, sizeBytes - first);
      return 1;
    }
    this.#physical.put(gpa, scratch, sizeBytes);
    if (gpa < this.#memory.sizeBytes) this.#fill(low, high, gpa, 'write');
    return 1;
  }

  /**
   * The import `lock`: begins a LOCKed access that is misaligned or misses the TLB. Where WebAssembly has no atomic
   * access for it, this vCPU is alone until `unlock`, and gets the operand in the scratch area. Memory-mapped I/O is
   * accessed as without LOCK.
   */
  lock(low: number, high: number, sizeBytes: number): number {
    if ((low & (sizeBytes - 1)) === 0) return this.modify(low, high, sizeBytes);
    if (this.#refused(low, high, sizeBytes, true)) return 0;
    this.#gate.close();
    const pointer = this.#collect(low, high, sizeBytes);
    if (pointer === 0) this.#gate.open();
    return pointer;
  }

  /** The import `unlock`: the scratch area's bytes to their place, and the end of being alone. */
  unlock(low: number, high: number, sizeBytes: number): number {
    this.write(low, high, sizeBytes);
    if ((low & (sizeBytes - 1)) !== 0) this.#gate.open();
    return 1;
  }

  /** Copies what is to be read and written to the scratch area, whatever memory it is. */
  #collect(low: number, high: number, sizeBytes: number): number {
    if ((low & 0xfff) + sizeBytes > 4096) return this.#gather(low, high, sizeBytes, 'write');
    const gpa = this.translate(low, high, 'write', this.#user);
    return gpa < 0 ? 0 : this.#copy(gpa, sizeBytes);
  }

  /** The import `regionRead`: compiled code reads as the interpreter does. */
  regionRead(low: number, high: number, sizeBytes: number): number {
    return this.#isWatched(low, high) ? 0 : this.read(low, high, sizeBytes);
  }

  /** The import `regionWrite`: 0 where the write would change code, maybe the region's own; the interpreter then makes it. */
  regionWrite(low: number, high: number, sizeBytes: number): number {
    const gpa = this.#writableGpa(low, high, sizeBytes);
    if (gpa < 0) return 0;
    this.#physical.put(gpa, this.#state.blockAddress + CPU.scratch, sizeBytes);
    if (gpa < this.#memory.sizeBytes) this.#fill(low, high, gpa, 'write');
    return 1;
  }

  /** The import `regionModify`: only plain RAM. */
  regionModify(low: number, high: number, sizeBytes: number): number {
    const gpa = this.#writableGpa(low, high, sizeBytes);
    if (gpa < 0 || gpa >= this.#memory.sizeBytes || !this.#codePages.allowWrites(gpa >>> 12, this.#vcpu)) return 0;
    this.#fill(low, high, gpa, 'write');
    return this.#memory.baseBytes + gpa;
  }

  /** The import `regionLock`: only aligned plain RAM. */
  regionLock(low: number, high: number, sizeBytes: number): number {
    return (low & (sizeBytes - 1)) === 0 ? this.regionModify(low, high, sizeBytes) : 0;
  }

  /** Where in RAM the page at a linear address lies that code is fetched from, or -1. No exception is recorded. */
  codePageStart(linear: bigint): number {
    const low = lowHalf(linear);
    const high = highHalf(linear);
    if (!this.walker.walk(low, high, 'fetch', this.#user)) return -1;
    const { gpa } = this.walker;
    if (gpa >= this.#memory.sizeBytes) return -1;
    this.#fill(low, high, gpa, 'fetch');
    return gpa;
  }

  /** The import `regionFetch`: the same as an address of wasm memory, or 0. */
  regionFetch(low: number, high: number): number {
    const start = this.codePageStart(joinHalves(low, high));
    return start < 0 ? 0 : this.#memory.baseBytes + start;
  }

  /** Where a write within one page and not to code goes, or -1. */
  #writableGpa(low: number, high: number, sizeBytes: number): number {
    if ((low & 0xfff) + sizeBytes > 4096 || this.#isWatched(low, high) || this.#refused(low, high, sizeBytes, true)) return -1;
    const gpa = this.translate(low, high, 'write', this.#user);
    return gpa >= 0 && gpa < this.#memory.sizeBytes && this.#codePages.has(gpa >>> 12) ? -1 : gpa;
  }

  /** Copies what lies at a guest-physical address to the scratch area. */
  #copy(gpa: number, sizeBytes: number): number {
    const scratch = this.#state.blockAddress + CPU.scratch;
    this.#physical.get(gpa, scratch, sizeBytes);
    return scratch;
  }

  /** Collects bytes of two pages in the scratch area. */
  #gather(low: number, high: number, sizeBytes: number, kind: AccessKind): number {
    const scratch = this.#state.blockAddress + CPU.scratch;
    const first = 4096 - (low & 0xfff);
    const next = nextPage(low, high);
    const gpa = this.translate(low, high, kind, this.#user);
    if (gpa < 0) return 0;
    const second = this.translate(next.low, next.high, kind, this.#user);
    if (second < 0) return 0;
    this.#physical.get(gpa, scratch, first);
    this.#physical.get(second, scratch + first, sizeBytes - first);
    return scratch;
  }

  /** Fetch for the block at a linear address: 0, or 1 with the exception recorded. Pages outside RAM hold no code. */
  fetch(low: number, high: number): number {
    const gpa = this.translate(low, high, 'fetch', this.#user);
    if (gpa < 0) return 1;
    if (gpa >= this.#memory.sizeBytes) {
      this.#state.setWord(CPU.faultVector, 6);
      return 1;
    }
    this.#fill(low, high, gpa, 'fetch');
    return 0;
  }

  #fill(low: number, high: number, gpa: number, kind: AccessKind): void {
    const codeOnly = this.#state.word(CPU.tlb) === ALIGNED_TLB || this.#isWatched(low, high);
    if (codeOnly && kind !== 'fetch') return;
    this.tlb.fill(low, high, gpa >>> 12, this.walker, kind === 'fetch');
  }

  /** To be called before code of a physical page is read to be translated: no vCPU writes it without a look any more. */
  protectCode(page: number): void {
    if (this.#codePages.isMarked(page, this.#vcpu)) return;
    if (this.#codePages.mark(page, this.#vcpu)) {
      this.#gate.close();
      this.#codePages.takeWriters(page, (vcpu) => (vcpu === this.#vcpu ? this.tlb.forbidWrites(page) : this.tlb.forbidWritesOf(vcpuBlockAddress(vcpu), page)));
      this.#gate.open();
    } else {
      this.tlb.forbidWrites(page);
      this.#codePages.disallowWrites(page, this.#vcpu);
    }
  }
}
