import { DeliveryMode } from '@hanok/machine';
import type { AccessWidthBytes, Device, InterruptController, IoHandler, PostedInterrupts, SavedState } from '@hanok/machine';
import { InterruptPriority } from './interrupt-priority.ts';
import { matchesDestination, planIpi, x2apicLogicalDestination } from './local-apic-ipi.ts';
import type { ApicAddress, IpiMessage } from './local-apic-ipi.ts';
import { ApicTimer } from './local-apic-timer.ts';
import type { ApicTimerTime } from './local-apic-timer.ts';
import {
  ApicBase,
  apicBaseReserved,
  ApicError,
  IA32_APIC_BASE,
  IA32_TSC_DEADLINE,
  ICR_INDEX,
  LOCAL_APIC_BASE,
  Lvt,
  LVT_MASKED,
  LVT_WRITABLE,
  parseLocalApic,
  SVR_ENABLE,
  X2APIC_MSR_FIRST,
  X2APIC_MSR_LAST,
} from './local-apic-registers.ts';
import type { ApicRegister } from './local-apic-registers.ts';
import { apicRegisters, type ApicRegisterParts, type ApicValues } from './local-apic-table.ts';

export interface LocalApicOptions extends ApicTimerTime {
  readonly id: number;
  readonly bootProcessor: boolean;
  /** Width of guest-physical addresses: higher bits of IA32_APIC_BASE are reserved. */
  readonly physicalAddressBits: number;
  /** The end of a level-triggered interrupt, for the I/O APICs. */
  onEoi(vector: number): void;
  sendIpi(message: IpiMessage): void;
  /** How this APIC can be addressed changed; undefined while it is disabled. */
  onAddress?(address: ApicAddress | undefined): void;
}

/**
 * The local APIC of one vCPU (SDM vol. 3A chapter 11), in xAPIC and x2APIC mode. It lives in the vCPU's thread; other
 * threads reach it through `PostedInterrupts`. It is the handler of its 4 KiB page, too.
 */
export class LocalApic implements InterruptController, IoHandler, Device {
  readonly name: string;
  readonly #options: LocalApicOptions;
  readonly #timer: ApicTimer;
  readonly #registers: (ApicRegister | undefined)[] = [];
  readonly #priority = new InterruptPriority();
  readonly #lvt = new Uint32Array(LVT_WRITABLE.length);
  readonly #lintLevels = [false, false];
  #base = 0n;
  #enabled = true;
  #x2apic = false;
  readonly #values: ApicValues = { ldr: 0, dfr: 0xffffffff, svr: 0xff, icrLow: 0, icrHigh: 0, errorStatus: 0 };
  #errorsSeen = 0;
  #nmi = false;

  constructor(options: LocalApicOptions) {
    this.name = `local-apic-${options.id}`;
    this.#options = options;
    this.#timer = new ApicTimer(options, () => this.#deliverLvt(Lvt.Timer));
    for (const register of apicRegisters(this.#registerParts())) this.#registers[register.index] = register;
    this.reset();
  }

  // What the vCPU sees.

  highestPending(): number {
    return this.#priority.pending;
  }

  acknowledge(vector: number): void {
    this.#priority.acknowledge(vector);
  }

  readTaskPriority(): number {
    return this.#priority.taskPriority >> 4;
  }

  writeTaskPriority(value: number): void {
    this.#priority.setTaskPriority((value & 0xf) << 4);
  }

  /** True once for each non-maskable interrupt; several that come before it is taken are one. */
  takeNmi(): boolean {
    const nmi = this.#nmi;
    this.#nmi = false;
    return nmi;
  }

  get nmiPending(): boolean {
    return this.#nmi;
  }

  /** Some interrupt is requested, whatever its priority. */
  get hasRequests(): boolean {
    return this.#priority.requests.highest() >= 0;
  }
  get inServiceCount(): number {
    return this.#priority.inService.count;
  }
  get servesLevel(): boolean {
    return this.#priority.inService.meets(this.#priority.levels);
  }
  /** What a write of the EOI register does. */
  endOfInterrupt(): void {
    this.#endOfInterrupt();
  }

  /** IA32_APIC_BASE's global enable bit, which CPUID leaf 1 shows in EDX bit 9. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** Where the registers' page is, or -1 while there is none (disabled, or x2APIC mode). */
  get pageAddress(): number {
    return this.#enabled && !this.#x2apic ? Number(this.#base & ~0xfffn) : -1;
  }

  // Time.

  /** Fires the timer when due. Call it with `nowNs()` at or after `nextDeadlineNs()`. */
  tick(nowNs: number): void {
    if (nowNs >= this.#timer.dueNs) this.#timer.tick(nowNs);
  }

  /** When `tick` is needed next; Infinity when not at all. */
  nextDeadlineNs(): number {
    return this.#timer.dueNs;
  }

  /** To be called after the guest's time-stamp counter was set. */
  tscChanged(): void {
    this.#timer.tscChanged();
  }

  // Interrupts from outside.

  /** Moves what other threads posted into this APIC. */
  collect(posted: PostedInterrupts): void {
    if (posted.takeNmi()) this.#nmi = true;
    this.#priority.collect(posted, this.#softwareEnabled());
  }

  /** A fixed interrupt message arrives. */
  accept(vector: number, levelTriggered: boolean): void {
    if (!this.#softwareEnabled()) return;
    if (vector < 16) {
      this.#error(ApicError.ReceiveIllegalVector);
      return;
    }
    this.#priority.request(vector, levelTriggered);
  }

  /** The local interrupt pins: 0 is the legacy interrupt controller's, 1 usually NMI. */
  setLint(pin: 0 | 1, level: boolean): void {
    const rising = level && !this.#lintLevels[pin];
    this.#lintLevels[pin] = level;
    if (rising) this.#deliverLvt(pin === 0 ? Lvt.Lint0 : Lvt.Lint1);
  }

  /** Is this APIC meant by a message's destination? */
  accepts(destination: number, logical: boolean): boolean {
    return this.#enabled && matchesDestination(this.#address(), destination, logical);
  }

  // Registers.

  read(offset: number, widthBytes: AccessWidthBytes): number {
    if (!this.#enabled || this.#x2apic) return 0xffffffff;
    const byte = offset & 0xf;
    if (byte + widthBytes > 4) return 0;
    const register = this.#registers[offset >> 4];
    if (!register || register.only === 'x2apic') {
      this.#error(ApicError.IllegalRegister);
      return 0;
    }
    return (register.read?.() ?? 0) >>> (byte * 8);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    if (!this.#enabled || this.#x2apic || widthBytes !== 4 || (offset & 0xf) !== 0) return;
    const register = this.#registers[offset >> 4];
    if (!register || register.only === 'x2apic') this.#error(ApicError.IllegalRegister);
    else register.write?.(value >>> 0);
  }

  /** The value; `fault` for #GP(0); undefined when the MSR is none of the local APIC's. */
  readMsr(number: number): bigint | 'fault' | undefined {
    if (number === IA32_APIC_BASE) return this.#base;
    if (number === IA32_TSC_DEADLINE) return this.#timer.deadlineTsc;
    if (number < X2APIC_MSR_FIRST || number > X2APIC_MSR_LAST) return undefined;
    const register = this.#registers[number - X2APIC_MSR_FIRST];
    if (!this.#x2apic || !register?.read || register.only === 'xapic') return 'fault';
    if (register.index === ICR_INDEX) return (BigInt(this.#values.icrHigh) << 32n) | BigInt(this.#values.icrLow);
    return BigInt(register.read() >>> 0);
  }

  /** `fault` for #GP(0); undefined when the MSR is none of the local APIC's. */
  writeMsr(number: number, value: bigint): 'done' | 'fault' | undefined {
    if (number === IA32_APIC_BASE) return this.#writeBase(value);
    if (number === IA32_TSC_DEADLINE) {
      this.#timer.setDeadlineTsc(BigInt.asUintN(64, value));
      return 'done';
    }
    if (number < X2APIC_MSR_FIRST || number > X2APIC_MSR_LAST) return undefined;
    const register = this.#registers[number - X2APIC_MSR_FIRST];
    if (!this.#x2apic || !register?.write || register.only === 'xapic' || register.fixedInX2apic) return 'fault';
    const low = Number(BigInt.asUintN(32, value));
    const high = Number(BigInt.asUintN(32, value >> 32n));
    if ((low & (register.reserved ?? 0)) >>> 0 !== 0) return 'fault';
    if (register.index === ICR_INDEX) this.#values.icrHigh = high;
    else if (high !== 0) return 'fault';
    register.write(low);
    return 'done';
  }

  // Lifecycle.

  reset(): void {
    this.#setBase(BigInt(LOCAL_APIC_BASE) | BigInt(ApicBase.En | (this.#options.bootProcessor ? ApicBase.Bsp : 0)));
    this.#lintLevels.fill(false);
    this.init();
  }

  /** The effect of an INIT: the registers return to their power-on values, the mode stays (SDM vol. 3A §11.4.7.3). */
  init(): void {
    this.#priority.clear();
    this.#lvt.fill(LVT_MASKED);
    this.#timer.reset();
    this.#setLogical(this.#x2apic ? x2apicLogicalDestination(this.#options.id) : 0, 0xffffffff);
    this.#values.svr = 0xff;
    this.#values.icrLow = 0;
    this.#values.icrHigh = 0;
    this.#values.errorStatus = 0;
    this.#errorsSeen = 0;
    this.#nmi = false;
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  resume(): void {}

  stop(): Promise<void> {
    return Promise.resolve();
  }

  save(): SavedState {
    const timer = this.#timer.save();
    return {
      version: 1,
      ...timer,
      base: `0x${this.#base.toString(16)}`,
      irr: this.#priority.requests.save(),
      isr: this.#priority.inService.save(),
      tmr: this.#priority.levels.save(),
      lvt: Array.from(this.#lvt),
      lint: this.#lintLevels.map(Number),
      taskPriority: this.#priority.taskPriority,
      ldr: this.#values.ldr,
      dfr: this.#values.dfr,
      svr: this.#values.svr,
      icr: [this.#values.icrLow, this.#values.icrHigh],
      errors: [this.#values.errorStatus, this.#errorsSeen],
      nmi: this.#nmi,
    };
  }

  restore(state: SavedState): void {
    const saved = parseLocalApic(this.name, state, apicBaseReserved(this.#options.physicalAddressBits));
    this.#setBase(saved.base);
    this.#priority.requests.restore(saved.irr);
    this.#priority.inService.restore(saved.isr);
    this.#priority.levels.restore(saved.tmr);
    this.#priority.setTaskPriority(saved.taskPriority);
    this.#lvt.set(saved.lvt);
    this.#lintLevels.splice(0, 2, ...saved.lint);
    [this.#values.icrLow, this.#values.icrHigh] = saved.icr as [number, number];
    [this.#values.errorStatus, this.#errorsSeen] = saved.errors as [number, number];
    this.#setLogical(saved.ldr, saved.dfr);
    this.#values.svr = saved.svr;
    this.#nmi = saved.nmi;
    this.#timer.restore((this.#lvt[Lvt.Timer]! >> 17) & 3, (this.#lvt[Lvt.Timer]! & LVT_MASKED) !== 0, saved);
  }

  // Inside.

  #registerParts(): ApicRegisterParts {
    return {
      id: this.#options.id,
      values: this.#values,
      priority: this.#priority,
      timer: this.#timer,
      isX2apic: () => this.#x2apic,
      readLvt: (entry) => this.#lvt[entry]!,
      writeLvt: (entry, value) => this.#writeLvt(entry, value),
      endOfInterrupt: () => this.#endOfInterrupt(),
      setLogical: (destination, format) => this.#setLogical(destination, format),
      writeSvr: (value) => this.#writeSvr(value),
      latchErrors: () => this.#latchErrors(),
      writeIcr: (value) => this.#writeIcr(value),
      selfIpi: (vector) => this.#selfIpi(vector),
    };
  }

  #softwareEnabled(): boolean {
    return this.#enabled && (this.#values.svr & SVR_ENABLE) !== 0;
  }

  #endOfInterrupt(): void {
    const vector = this.#priority.end();
    if (vector >= 0 && this.#priority.levels.has(vector)) this.#options.onEoi(vector);
  }

  #writeSvr(value: number): void {
    this.#values.svr = value & 0x3ff;
    if ((value & SVR_ENABLE) !== 0) return;
    for (let entry = 0; entry < this.#lvt.length; entry++) this.#writeLvt(entry, this.#lvt[entry]!);
  }

  #writeLvt(entry: number, value: number): void {
    const masked = (this.#values.svr & SVR_ENABLE) === 0 ? LVT_MASKED : 0;
    const timer = entry === Lvt.Timer;
    // The timer may expire here, and that must be seen with the old mask and vector.
    if (timer) this.#timer.tick(this.#options.nowNs());
    this.#lvt[entry] = (value & LVT_WRITABLE[entry]!) | masked;
    if (timer) this.#timer.configure((value >> 17) & 3, (this.#lvt[entry]! & LVT_MASKED) !== 0);
  }

  #deliverLvt(entry: number): void {
    const lvt = this.#lvt[entry]!;
    if (!this.#enabled || (lvt & LVT_MASKED) !== 0) return;
    const mode = (lvt >> 8) & 7;
    const pin = entry === Lvt.Lint0 || entry === Lvt.Lint1;
    if (mode === DeliveryMode.Nmi) this.#nmi = true;
    else if (mode === DeliveryMode.Fixed) this.accept(lvt & 0xff, pin && (lvt & 0x8000) !== 0);
  }

  #writeIcr(low: number): void {
    this.#values.icrLow = (low & 0xcefff) >>> 0;
    const plan = planIpi(this.#address(), low, this.#x2apic ? this.#values.icrHigh : this.#values.icrHigh >>> 24);
    if (plan.illegalVector) this.#error(ApicError.SendIllegalVector);
    if (plan.toSelf) {
      if (((low >> 8) & 7) === DeliveryMode.Nmi) this.#nmi = true;
      else this.accept(low & 0xff, false);
    }
    if (plan.toOthers) this.#options.sendIpi(plan.toOthers);
  }

  #selfIpi(vector: number): void {
    if (vector < 16) this.#error(ApicError.SendIllegalVector);
    else this.accept(vector, false);
  }

  #error(bit: number): void {
    const first = (this.#errorsSeen & bit) === 0;
    this.#errorsSeen |= bit;
    // An error vector under 16 is an error, too: reporting it must not report itself for ever.
    if (first && (this.#lvt[Lvt.Error]! & 0xff) >= 16) this.#deliverLvt(Lvt.Error);
  }

  #latchErrors(): void {
    this.#values.errorStatus = this.#errorsSeen;
    this.#errorsSeen = 0;
  }

  #address(): ApicAddress {
    return { x2apic: this.#x2apic, id: this.#options.id, logicalDestination: this.#values.ldr, destinationFormat: this.#values.dfr };
  }

  /** The transitions of SDM vol. 3A figure 11-27; the others fault. */
  #writeBase(value: bigint): 'done' | 'fault' {
    const mode = Number(value & BigInt(ApicBase.En | ApicBase.Extd));
    const illegal = this.#x2apic ? mode === ApicBase.En : !this.#enabled && mode === (ApicBase.En | ApicBase.Extd);
    if (illegal || mode === ApicBase.Extd || (value & apicBaseReserved(this.#options.physicalAddressBits)) !== 0n) return 'fault';
    const wasX2apic = this.#x2apic;
    this.#setBase(value);
    if (!this.#enabled) this.init();
    else if (this.#x2apic && !wasX2apic) this.#setLogical(x2apicLogicalDestination(this.#options.id), this.#values.dfr);
    return 'done';
  }

  #setBase(base: bigint): void {
    this.#base = base;
    this.#enabled = (base & BigInt(ApicBase.En)) !== 0n;
    this.#x2apic = this.#enabled && (base & BigInt(ApicBase.Extd)) !== 0n;
    this.#priority.setEnabled(this.#enabled);
    this.#setLogical(this.#values.ldr, this.#values.dfr);
  }

  #setLogical(destination: number, format: number): void {
    this.#values.ldr = destination;
    this.#values.dfr = format;
    this.#options.onAddress?.(this.#enabled ? this.#address() : undefined);
  }
}
