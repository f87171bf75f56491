import { Vector } from '@hanok/x86';
import { highHalf, lowHalf } from './halves.ts';
import { GuestFault, RESTART_FAULT, type SystemContext } from './helper.ts';
import { type DebugUnit, DR6 } from './debug-unit.ts';
import { type CpuState, RFLAGS } from './cpu-state.ts';
import { CPU, SEGMENT_INDEX, SLOT, STATUS } from './layout.ts';
import { type Mmu, NON_CANONICAL } from './mmu.ts';
import { HYPERVISOR_BIT, KVM_ERROR, KVM_LEAF_FIRST, KVM_LEAF_LAST, kvmCpuid } from './paravirt/kvm-abi.ts';
import type { KvmParavirt } from './paravirt/kvm-paravirt.ts';
import type { ExitTally, VcpuServices } from './system-services.ts';

const IA32_TIME_STAMP_COUNTER = 0x10;
const IA32_TSC_ADJUST = 0x3b;

/** Why generated code comes back with STATUS.Stop: `resume` goes on after a look at what waits. */
export type StopReason = 'halt' | 'shutdown' | 'resume';

/** What helpers see of a vCPU, and what they did to the flow of control. */
export class ExecutionContext implements SystemContext {
  readonly state: CpuState;
  readonly view: DataView;
  rip = 0n;
  nextRip = 0n;
  /** How generated code goes on after the helper. */
  status: number = STATUS.Next;
  stopReason: StopReason = 'halt';
  /** Since the slice began an event was delivered; debug traps of the instruction are lost with it. */
  delivered = false;
  /** The instruction decides about its own single-step trap. */
  stepsByNewFlags = false;
  /** Where a task switch that failed half-way has moved on to. */
  faultRip: bigint | undefined;
  /** Where debug exceptions wait for one instruction after SS was loaded. */
  stackShadowRip: bigint | undefined;
  readonly #mmu: Mmu;
  readonly #services: VcpuServices;
  readonly #paravirt: KvmParavirt | undefined;
  readonly #tally: ExitTally;
  readonly #memory: DataView;
  readonly #debug: DebugUnit;
  readonly #onDebugChange: () => void;
  #segment = 0;

  constructor(state: CpuState, mmu: Mmu, services: VcpuServices, paravirt: KvmParavirt | undefined, tally: ExitTally, memory: DataView, debug: DebugUnit, onDebugChange: () => void) {
    this.state = state;
    this.view = state.view;
    this.#mmu = mmu;
    this.#services = services;
    this.#paravirt = paravirt;
    this.#tally = tally;
    this.#memory = memory;
    this.#debug = debug;
    this.#onDebugChange = onDebugChange;
  }

  /** An NMI is in its handler. */
  get nmiBlocked(): boolean {
    return this.state.word(CPU.nmiBlocked) !== 0;
  }
  set nmiBlocked(value: boolean) {
    this.state.setWord(CPU.nmiBlocked, value ? 1 : 0);
  }

  /** A non-canonical address raises #SS instead of #GP where the stack segment was used (SDM vol. 3A §6.15, "#SS"). */
  chooseStackFault(): void {
    const vector = this.state.word(CPU.faultVector);
    if (vector & NON_CANONICAL && this.#segment === SEGMENT_INDEX.SS) {
      this.state.setWord(CPU.faultVector, Vector.SS | 0x80000000);
    }
  }

  /** Starts on behalf of the instruction in `slot` (an address of wasm memory). */
  begin(slot: number): void {
    const memory = this.#memory;
    this.beginAt(memory.getUint16(slot + SLOT.pageOffset, true), memory.getUint8(slot + SLOT.length), memory.getUint8(slot + SLOT.segment));
  }

  /** Starts on behalf of the instruction at an offset of the page that executes. */
  beginAt(pageOffset: number, lengthBytes: number, segment: number): void {
    this.#segment = segment;
    this.rip = BigInt.asUintN(64, this.state.get(CPU.codePage) + BigInt(pageOffset));
    this.nextRip = this.rip + BigInt(lengthBytes);
    if (this.state.mode === 16) this.nextRip &= 0xffffn;
    this.state.set(CPU.rip, this.rip);
    this.status = STATUS.Next;
  }

  recordFault({ vector, errorCode, rip }: GuestFault): void {
    this.state.setWord(CPU.faultVector, vector | (errorCode === undefined ? 0 : 0x80000000));
    this.state.setWord(CPU.faultErrorCode, errorCode ?? 0);
    this.faultRip = rip;
  }

  moveToFault(): void {
    if (this.faultRip !== undefined) this.state.set(CPU.rip, this.faultRip);
    this.faultRip = undefined;
  }

  raise(vector: number, errorCode?: number): never {
    throw new GuestFault(vector, errorCode);
  }

  #pendingFault(): never {
    this.chooseStackFault();
    const vector = this.state.word(CPU.faultVector);
    throw new GuestFault(vector & 0x1ff, vector & 0x80000000 ? this.state.word(CPU.faultErrorCode) : undefined);
  }

  get wasmMemory(): DataView {
    return this.#memory;
  }
  plainAddress(linear: bigint, lengthBytes: number, write: boolean): number {
    return this.#mmu.hostArea(lowHalf(linear), highHalf(linear), lengthBytes, write);
  }

  readMemory(linear: bigint, bits: 8 | 16 | 32 | 64): bigint {
    const at = this.#mmu.hostRead(lowHalf(linear), highHalf(linear), bits / 8);
    if (at === 0) this.#pendingFault();
    return readBits(this.#memory, at, bits);
  }

  writeMemory(linear: bigint, value: bigint, bits: 8 | 16 | 32 | 64): void {
    this.view.setBigUint64(CPU.scratch, BigInt.asUintN(64, value), true);
    if (this.#mmu.hostWrite(lowHalf(linear), highHalf(linear), bits / 8) === 0) this.#pendingFault();
  }

  probeWrite(linear: bigint, lengthBytes: number, alignmentBytes = 1): void {
    if (!this.#mmu.isAligned(Number(linear & 0xfn), alignmentBytes)) this.#pendingFault();
    this.#probe(linear);
    const last = linear + BigInt(lengthBytes - 1);
    if (last >> 12n !== linear >> 12n) this.#probe(BigInt.asUintN(this.state.mode === 64 ? 64 : 32, last & ~0xfffn));
  }

  #probe(linear: bigint): void {
    const user = this.state.cpl === 3;
    const gpa = this.#mmu.translate(lowHalf(linear), highHalf(linear), 'write', user);
    if (gpa < 0) this.#pendingFault();
  }

  #asSupervisor<T>(access: () => T): T {
    const { state } = this;
    const cpl = state.word(CPU.cpl);
    if (cpl === 0) return access();
    const tlb = state.word(CPU.tlb);
    state.setWord(CPU.cpl, 0);
    state.selectTlb();
    try {
      return access();
    } finally {
      state.setWord(CPU.cpl, cpl);
      state.setWord(CPU.tlb, tlb);
    }
  }

  readSystem(linear: bigint, bits: 8 | 16 | 32 | 64): bigint {
    return this.state.cpl === 0 ? this.readMemory(linear, bits) : this.#asSupervisor(() => this.readMemory(linear, bits));
  }
  writeSystem(linear: bigint, value: bigint, bits: 8 | 16 | 32 | 64): void {
    if (this.state.cpl === 0) this.writeMemory(linear, value, bits);
    else this.#asSupervisor(() => this.writeMemory(linear, value, bits));
  }

  jump(rip: bigint): void {
    this.state.set(CPU.rip, BigInt.asUintN(64, rip));
    if (this.status !== STATUS.Stop) this.status = STATUS.Jump;
  }

  stop(reason: StopReason): void {
    if (this.status !== STATUS.Jump) this.state.set(CPU.rip, this.nextRip);
    this.status = STATUS.Stop;
    this.stopReason = reason;
  }

  interruptWindow(): void {
    if (this.#services.interrupts.highestPending() >= 0) this.stop('resume');
  }
  unblockNmi(): void {
    if (this.nmiBlocked) this.stop('resume');
    this.nmiBlocked = false;
  }
  shadowStackLoad(): void {
    this.state.set(CPU.shadowRip, this.nextRip);
    this.stackShadowRip = this.nextRip;
  }
  eventDelivered(): void {
    this.delivered = true;
  }
  stepByNewFlags(): void {
    this.stepsByNewFlags = true;
    if (this.state.get(CPU.systemFlags) & RFLAGS.TF) this.debugTrap(DR6.BS);
  }
  debugTrap(bits: bigint): void {
    this.#debug.pending |= bits;
    this.stop('resume');
  }
  checkDebugAccess(): void {
    if (!this.#debug.detectsAccess) return;
    this.#debug.record(DR6.BD);
    this.raise(Vector.DB);
  }
  debugChanged(): void {
    this.#onDebugChange();
    this.stop('resume');
  }
  get breaksOnExecution(): boolean {
    return this.#debug.breaksOnExecution;
  }

  flushTlb(keepGlobal: boolean): void {
    this.#mmu.tlb.flush(keepGlobal);
  }
  flushPage(linear: bigint): void {
    this.#mmu.tlb.flushPage(lowHalf(linear), highHalf(linear));
  }

  #checkPort(port: number, widthBytes: number): void {
    if (this.#debug.usedPort(port, widthBytes)) throw new GuestFault(RESTART_FAULT);
  }
  readPort(port: number, widthBytes: 1 | 2 | 4): number {
    this.#tally.count('port read');
    this.#checkPort(port, widthBytes);
    return this.#services.bus.readPort(port, widthBytes);
  }
  writePort(port: number, value: number, widthBytes: 1 | 2 | 4): void {
    this.#tally.count('port write');
    this.#checkPort(port, widthBytes);
    this.#services.bus.writePort(port, value, widthBytes);
  }

  readExternalMsr(number: number): bigint | undefined {
    if (number === IA32_TIME_STAMP_COUNTER) return this.#services.timeStamp.read();
    if (number === IA32_TSC_ADJUST) return this.#services.timeStamp.adjust;
    const value = this.#services.interrupts.readMsr(number);
    return value === 'fault' ? undefined : (value ?? this.#paravirt?.readMsr(number));
  }

  writeExternalMsr(number: number, value: bigint): boolean {
    if (number === IA32_TIME_STAMP_COUNTER || number === IA32_TSC_ADJUST) {
      if (number === IA32_TSC_ADJUST) this.#services.timeStamp.adjust = value;
      else this.#services.timeStamp.write(value);
      this.#services.interrupts.tscChanged();
      this.#paravirt?.tscChanged();
      return true;
    }
    const done = this.#services.interrupts.writeMsr(number, value);
    return done === undefined ? this.#paravirt?.writeMsr(number, value) === true : done === 'done';
  }

  get cr4Features(): bigint {
    return this.#services.model.cr4Features;
  }
  cpuid(leaf: number, subleaf: number): readonly [number, number, number, number] {
    if (this.#paravirt && leaf >= KVM_LEAF_FIRST && leaf <= KVM_LEAF_LAST) return kvmCpuid(leaf);
    const [eax, ebx, ecx, edx] = this.#services.model.cpuid(leaf, subleaf, { apicId: this.#services.apicId, vcpuCount: this.#services.vcpuCount ?? 1 });
    return [eax, ebx, leaf === 1 && this.#paravirt ? ecx | HYPERVISOR_BIT : ecx, edx];
  }
  hypercall(number: bigint, args: readonly [bigint, bigint, bigint, bigint]): bigint | undefined {
    if (!this.#paravirt) return undefined;
    return this.state.cpl === 0 ? this.#paravirt.hypercall(number, args) : KVM_ERROR.EPERM;
  }
  randomWord(): bigint {
    return this.#services.randomWord();
  }
  readTaskPriority(): number {
    return this.#services.interrupts.readTaskPriority();
  }
  writeTaskPriority(value: number): void {
    this.#services.interrupts.writeTaskPriority(value);
  }
  count(kind: Parameters<SystemContext['count']>[0]): void {
    this.#tally.count(kind);
  }
}

function readBits(view: DataView, at: number, bits: 8 | 16 | 32 | 64): bigint {
  if (bits === 64) return view.getBigUint64(at, true);
  if (bits === 32) return BigInt(view.getUint32(at, true));
  return BigInt(bits === 16 ? view.getUint16(at, true) : view.getUint8(at));
}
