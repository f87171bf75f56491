import { DeliveryMode } from '@hanok/machine';
import type { AccessWidthBytes, Device, InterruptController, IoHandler, PostedInterrupts, SavedState } from '@hanok/machine';
import { matchesDestination, planIpi, x2apicLogicalDestination } from './local-apic-ipi.ts';
import type { ApicAddress, IpiMessage } from './local-apic-ipi.ts';
import { ApicTimer } from './local-apic-timer.ts';
import type { ApicTimerTime } from './local-apic-timer.ts';
import { SavedFields } from './saved-fields.ts';
import { VectorSet } from './vector-set.ts';

export const LOCAL_APIC_BASE = 0xfee00000;
export const LOCAL_APIC_SIZE_BYTES = 0x1000;

export const IA32_APIC_BASE = 0x1b;
export const IA32_TSC_DEADLINE = 0x6e0;
const X2APIC_MSR_FIRST = 0x800;
const X2APIC_MSR_LAST = 0x8ff;

const BASE_BSP = 0x100;
const BASE_EXTD = 0x400;
const BASE_EN = 0x800;

const LVT_MASKED = 0x10000;
const SVR_ENABLE = 0x100;
/** 7 LVT entries, no suppression of EOI broadcasts (SDM vol. 3A §11.4.8). */
const VERSION = 0x15 | (6 << 16);

const ERROR_SEND_ILLEGAL_VECTOR = 0x20;
const ERROR_RECEIVE_ILLEGAL_VECTOR = 0x40;
const ERROR_ILLEGAL_REGISTER = 0x80;

/** LVT entries in the order of this class's table; the bits a guest can set in each (SDM vol. 3A figure 11-8). */
const Lvt = { Timer: 0, Thermal: 1, Performance: 2, Lint0: 3, Lint1: 4, Error: 5, Cmci: 6 } as const;
const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff, 0x107ff];
/** Delivery status and remote IRR: read-only, but no fault to write. */
const LVT_IGNORED = 0x5000;

export interface LocalApicOptions extends ApicTimerTime {
  readonly id: number;
  readonly bootProcessor: boolean;
  /** Width of guest-physical addresses: higher bits of IA32_APIC_BASE are reserved. */
  readonly physicalAddressBits: number;
  /** The end of a level-triggered interrupt, for the I/O APICs. */
  onEoi(vector: number): void;
  sendIpi(message: IpiMessage): void;
}

/** One register: its offset in the xAPIC page is `index` * 16, its x2APIC MSR number 0x800 + `index`. */
interface ApicRegister {
  readonly name: string;
  readonly index: number;
  readonly read?: () => number;
  readonly write?: (value: number) => void;
  /** Bits whose setting faults in x2APIC mode. */
  readonly reserved?: number;
  readonly only?: 'xapic' | 'x2apic';
  /** Writing faults in x2APIC mode. */
  readonly fixedInX2apic?: boolean;
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
  readonly #irr = new VectorSet();
  readonly #isr = new VectorSet();
  readonly #tmr = new VectorSet();
  readonly #lvt = new Uint32Array(7);
  readonly #lintLevels = [false, false];
  #base = 0n;
  #enabled = true;
  #x2apic = false;
  #taskPriority = 0;
  #ldr = 0;
  #dfr = 0xffffffff;
  #svr = 0xff;
  #icrLow = 0;
  #icrHigh = 0;
  #errorStatus = 0;
  #errorsSeen = 0;
  #inService = -1;
  #pending = -1;
  #nmi = false;

  constructor(options: LocalApicOptions) {
    this.name = `local-apic-${options.id}`;
    this.#options = options;
    this.#timer = new ApicTimer(options, () => this.#deliverLvt(Lvt.Timer));
    for (const register of this.#table()) this.#registers[register.index] = register;
    this.reset();
  }

  // What the vCPU sees.

  highestPending(): number {
    return this.#pending;
  }

  acknowledge(vector: number): void {
    this.#irr.remove(vector);
    this.#isr.add(vector);
    this.#update();
  }

  readTaskPriority(): number {
    return this.#taskPriority >> 4;
  }

  writeTaskPriority(value: number): void {
    this.#taskPriority = (value & 0xf) << 4;
    this.#update();
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
    for (let word = 0; word < 8; word++) {
      const { requests, levels } = posted.take(word);
      if (requests === 0 || !this.#softwareEnabled()) continue;
      this.#irr.words[word]! |= requests;
      this.#tmr.words[word] = (this.#tmr.words[word]! & ~requests) | (levels & requests);
    }
    this.#update();
  }

  /** A fixed interrupt message arrives. */
  accept(vector: number, levelTriggered: boolean): void {
    if (!this.#softwareEnabled()) return;
    if (vector < 16) {
      this.#error(ERROR_RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    this.#irr.add(vector);
    if (levelTriggered) this.#tmr.add(vector);
    else this.#tmr.remove(vector);
    this.#update();
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
      this.#error(ERROR_ILLEGAL_REGISTER);
      return 0;
    }
    return (register.read?.() ?? 0) >>> (byte * 8);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    if (!this.#enabled || this.#x2apic || widthBytes !== 4 || (offset & 0xf) !== 0) return;
    const register = this.#registers[offset >> 4];
    if (!register || register.only === 'x2apic') this.#error(ERROR_ILLEGAL_REGISTER);
    else register.write?.(value >>> 0);
  }

  /** The value; `fault` for #GP(0); undefined when the MSR is none of the local APIC's. */
  readMsr(number: number): bigint | 'fault' | undefined {
    if (number === IA32_APIC_BASE) return this.#base;
    if (number === IA32_TSC_DEADLINE) return this.#timer.deadlineTsc;
    if (number < X2APIC_MSR_FIRST || number > X2APIC_MSR_LAST) return undefined;
    const register = this.#registers[number - X2APIC_MSR_FIRST];
    if (!this.#x2apic || !register?.read || register.only === 'xapic') return 'fault';
    if (register.index === 0x30) return (BigInt(this.#icrHigh) << 32n) | BigInt(this.#icrLow);
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
    if (((low & (register.reserved ?? 0)) >>> 0) !== 0) return 'fault';
    if (register.index === 0x30) this.#icrHigh = high;
    else if (high !== 0) return 'fault';
    register.write(low);
    return 'done';
  }

  // Lifecycle.

  reset(): void {
    this.#base = BigInt(LOCAL_APIC_BASE | BASE_EN | (this.#options.bootProcessor ? BASE_BSP : 0)) & 0xffffffffn;
    this.#enabled = true;
    this.#x2apic = false;
    this.#lintLevels.fill(false);
    this.init();
  }

  /** The effect of an INIT: the registers return to their power-on values, the mode stays (SDM vol. 3A §11.4.7.3). */
  init(): void {
    for (const set of [this.#irr, this.#isr, this.#tmr]) set.clear();
    this.#lvt.fill(LVT_MASKED);
    this.#timer.reset();
    this.#taskPriority = 0;
    this.#ldr = this.#x2apic ? x2apicLogicalDestination(this.#options.id) : 0;
    this.#dfr = 0xffffffff;
    this.#svr = 0xff;
    this.#icrLow = 0;
    this.#icrHigh = 0;
    this.#errorStatus = 0;
    this.#errorsSeen = 0;
    this.#nmi = false;
    this.#update();
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
      irr: this.#irr.save(),
      isr: this.#isr.save(),
      tmr: this.#tmr.save(),
      lvt: Array.from(this.#lvt),
      lint: this.#lintLevels.map(Number),
      taskPriority: this.#taskPriority,
      ldr: this.#ldr,
      dfr: this.#dfr,
      svr: this.#svr,
      icr: [this.#icrLow, this.#icrHigh],
      errors: [this.#errorStatus, this.#errorsSeen],
      nmi: this.#nmi,
    };
  }

  restore(state: SavedState): void {
    const fields = new SavedFields(this.name, state, 1);
    const base = fields.uint64('base');
    if ((base & this.#baseReserved()) !== 0n || (base & 0xc00n) === BigInt(BASE_EXTD)) {
      throw new Error(`${this.name}: field "base" of the saved state has reserved bits set`);
    }
    const sets = (['irr', 'isr', 'tmr'] as const).map((field) => fields.integers(field, 8, 0xffffffff));
    if (sets.some((words) => (words[0]! & 0xffff) !== 0)) throw new Error(`${this.name}: the saved state has a vector under 16`);
    const lvt = fields.integers('lvt', 7, 0x7ffff).map((value, index) => value & LVT_WRITABLE[index]!);
    const lint = fields.integers('lint', 2, 1);
    const icr = fields.integers('icr', 2, 0xffffffff);
    const errors = fields.integers('errors', 2, 0xff);
    const registers = { taskPriority: fields.integer('taskPriority', 0xff), ldr: fields.integer('ldr', 0xffffffff) };
    const more = { dfr: fields.integer('dfr', 0xffffffff), svr: fields.integer('svr', 0x3ff), nmi: fields.boolean('nmi') };
    const initialCount = fields.integer('timerInitialCount', 0xffffffff);
    const divide = fields.integer('timerDivideConfiguration', 0xb);
    const remainingNs = fields.integer('timerRemainingNs', Number.MAX_SAFE_INTEGER, -1);
    const deadlineTsc = fields.uint64('timerDeadlineTsc');

    this.#setBase(base);
    [this.#irr, this.#isr, this.#tmr].forEach((set, index) => set.restore(sets[index]!));
    this.#lvt.set(lvt);
    this.#lintLevels.splice(0, 2, lint[0] === 1, lint[1] === 1);
    [this.#icrLow, this.#icrHigh] = icr as [number, number];
    [this.#errorStatus, this.#errorsSeen] = errors as [number, number];
    this.#taskPriority = registers.taskPriority;
    this.#ldr = registers.ldr;
    this.#dfr = more.dfr;
    this.#svr = more.svr;
    this.#nmi = more.nmi;
    this.#timer.restore((lvt[0]! >> 17) & 3, (lvt[0]! & LVT_MASKED) !== 0, initialCount, divide, remainingNs, deadlineTsc);
    this.#update();
  }

  // Inside.

  #table(): ApicRegister[] {
    const sets = (name: string, index: number, set: VectorSet): ApicRegister[] =>
      Array.from({ length: 8 }, (_, word) => ({ name: `${name}${word}`, index: index + word, read: () => set.words[word]! }));
    const lvt = (name: string, index: number, entry: number): ApicRegister => ({
      name,
      index,
      read: () => this.#lvt[entry]!,
      write: (value) => this.#writeLvt(entry, value),
      reserved: ~(LVT_WRITABLE[entry]! | LVT_IGNORED),
    });
    return [
      { name: 'ID', index: 0x02, read: () => (this.#x2apic ? this.#options.id : this.#options.id << 24) },
      { name: 'version', index: 0x03, read: () => VERSION },
      { name: 'TPR', index: 0x08, read: () => this.#taskPriority, write: (value) => this.#writeTpr(value), reserved: ~0xff },
      { name: 'APR', index: 0x09, only: 'xapic' },
      { name: 'PPR', index: 0x0a, read: () => this.#processorPriority() },
      { name: 'EOI', index: 0x0b, write: () => this.#endOfInterrupt(), reserved: ~0 },
      { name: 'RRD', index: 0x0c, only: 'xapic' },
      {
        name: 'LDR',
        index: 0x0d,
        read: () => this.#ldr,
        write: (value) => void (this.#ldr = (value & 0xff000000) >>> 0),
        fixedInX2apic: true,
      },
      { name: 'DFR', index: 0x0e, read: () => this.#dfr, write: (value) => void (this.#dfr = (value | 0x0fffffff) >>> 0), only: 'xapic' },
      { name: 'SVR', index: 0x0f, read: () => this.#svr, write: (value) => this.#writeSvr(value), reserved: ~0x3ff },
      ...sets('ISR', 0x10, this.#isr),
      ...sets('TMR', 0x18, this.#tmr),
      ...sets('IRR', 0x20, this.#irr),
      { name: 'ESR', index: 0x28, read: () => this.#errorStatus, write: () => this.#latchErrors(), reserved: ~0 },
      lvt('LVT CMCI', 0x2f, Lvt.Cmci),
      { name: 'ICR', index: 0x30, read: () => this.#icrLow, write: (value) => this.#writeIcr(value), reserved: 0xfff33000 },
      { name: 'ICR high', index: 0x31, read: () => this.#icrHigh, write: (value) => void (this.#icrHigh = value), only: 'xapic' },
      lvt('LVT timer', 0x32, Lvt.Timer),
      lvt('LVT thermal', 0x33, Lvt.Thermal),
      lvt('LVT performance', 0x34, Lvt.Performance),
      lvt('LVT LINT0', 0x35, Lvt.Lint0),
      lvt('LVT LINT1', 0x36, Lvt.Lint1),
      lvt('LVT error', 0x37, Lvt.Error),
      { name: 'initial count', index: 0x38, read: () => this.#timer.initialCount, write: (value) => this.#timer.setInitialCount(value) },
      { name: 'current count', index: 0x39, read: () => this.#timer.currentCount() },
      {
        name: 'divide configuration',
        index: 0x3e,
        read: () => this.#timer.divideConfiguration,
        write: (value) => this.#timer.setDivideConfiguration(value),
        reserved: ~0xb,
      },
      { name: 'SELF IPI', index: 0x3f, write: (value) => this.#selfIpi(value & 0xff), reserved: ~0xff, only: 'x2apic' },
    ];
  }

  #softwareEnabled(): boolean {
    return this.#enabled && (this.#svr & SVR_ENABLE) !== 0;
  }

  #processorPriority(): number {
    const service = this.#inService < 0 ? 0 : this.#inService & 0xf0;
    return this.#taskPriority >> 4 >= service >> 4 ? this.#taskPriority : service;
  }

  /** Finds what to deliver again; whatever changes IRR, ISR, TPR or the enable bit calls this. */
  #update(): void {
    this.#inService = this.#isr.highest();
    const requested = this.#irr.highest();
    this.#pending = this.#enabled && requested >> 4 > this.#processorPriority() >> 4 ? requested : -1;
  }

  #endOfInterrupt(): void {
    const vector = this.#inService;
    if (vector < 0) return;
    this.#isr.remove(vector);
    this.#update();
    if (this.#tmr.has(vector)) this.#options.onEoi(vector);
  }

  #writeTpr(value: number): void {
    this.#taskPriority = value & 0xff;
    this.#update();
  }

  #writeSvr(value: number): void {
    this.#svr = value & 0x3ff;
    if ((value & SVR_ENABLE) !== 0) return;
    for (let entry = 0; entry < this.#lvt.length; entry++) this.#writeLvt(entry, this.#lvt[entry]!);
  }

  #writeLvt(entry: number, value: number): void {
    const masked = (this.#svr & SVR_ENABLE) === 0 ? LVT_MASKED : 0;
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
    this.#icrLow = (low & 0xcefff) >>> 0;
    const plan = planIpi(this.#address(), low, this.#x2apic ? this.#icrHigh : this.#icrHigh >>> 24);
    if (plan.illegalVector) this.#error(ERROR_SEND_ILLEGAL_VECTOR);
    if (plan.toSelf) {
      if (((low >> 8) & 7) === DeliveryMode.Nmi) this.#nmi = true;
      else this.accept(low & 0xff, false);
    }
    if (plan.toOthers) this.#options.sendIpi(plan.toOthers);
  }

  #selfIpi(vector: number): void {
    if (vector < 16) this.#error(ERROR_SEND_ILLEGAL_VECTOR);
    else this.accept(vector, false);
  }

  #error(bit: number): void {
    const first = (this.#errorsSeen & bit) === 0;
    this.#errorsSeen |= bit;
    // An error vector under 16 is an error, too: reporting it must not report itself for ever.
    if (first && (this.#lvt[Lvt.Error]! & 0xff) >= 16) this.#deliverLvt(Lvt.Error);
  }

  #latchErrors(): void {
    this.#errorStatus = this.#errorsSeen;
    this.#errorsSeen = 0;
  }

  #address(): ApicAddress {
    return { x2apic: this.#x2apic, id: this.#options.id, logicalDestination: this.#ldr, destinationFormat: this.#dfr };
  }

  #baseReserved(): bigint {
    return ~(((1n << BigInt(this.#options.physicalAddressBits)) - 1n) & ~0x2ffn);
  }

  /** The transitions of SDM vol. 3A figure 11-27; the others fault. */
  #writeBase(value: bigint): 'done' | 'fault' {
    const mode = Number(value & 0xc00n);
    const illegal = this.#x2apic ? mode === BASE_EN : !this.#enabled && mode === (BASE_EN | BASE_EXTD);
    if (illegal || mode === BASE_EXTD || (value & this.#baseReserved()) !== 0n) return 'fault';
    const wasX2apic = this.#x2apic;
    this.#setBase(value);
    if (!this.#enabled) this.init();
    else if (this.#x2apic && !wasX2apic) this.#ldr = x2apicLogicalDestination(this.#options.id);
    this.#update();
    return 'done';
  }

  #setBase(base: bigint): void {
    this.#base = base;
    this.#enabled = (base & BigInt(BASE_EN)) !== 0n;
    this.#x2apic = this.#enabled && (base & BigInt(BASE_EXTD)) !== 0n;
  }
}
