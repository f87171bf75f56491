import type { AccessWidthBytes, Clock, Device, InterruptLine, IoHandler, SavedState, ScheduledCall } from '@hanok/machine';
import { registerTable } from './register-table.ts';
import { SavedFields } from './saved-fields.ts';

/** Where the board puts the block; the FADT says the same. */
export const ACPI_POWER_PORT = 0x600;
export const ACPI_POWER_SIZE_BYTES = 12;
/** Offsets in the block: PM1a event (status, enable), PM1a control, PM timer. */
const AcpiPowerOffset = { Pm1aStatus: 0, Pm1aEnable: 2, Pm1aControl: 4, PmTimer: 8 } as const;
/** The system control interrupt: active high and level-triggered, as the MADT's override says. */
export const ACPI_SCI_IRQ = 9;
/** SLP_TYP of soft-off; the DSDT's \_S5 names it. */
const ACPI_S5_SLEEP_TYPE = 5;

const PM_TIMER_HZ = 3_579_545;
const Pm1 = { Timer: 0x0001, GlobalLock: 0x0020, PowerButton: 0x0100, SleepButton: 0x0200, Rtc: 0x0400, Wake: 0x8000 } as const;
const STATUS_BITS = Pm1.Timer | Pm1.GlobalLock | Pm1.PowerButton | Pm1.SleepButton | Pm1.Rtc | Pm1.Wake;
const ENABLE_BITS = Pm1.Timer | Pm1.GlobalLock | Pm1.PowerButton | Pm1.SleepButton | Pm1.Rtc;
const CONTROL_SCI_EN = 0x0001;
const CONTROL_SLP_EN = 0x2000;
/** BM_RLD and SLP_TYP; GBL_RLS and SLP_EN read as zero. */
const CONTROL_KEPT = 0x1c02;

export interface AcpiPowerOptions {
  readonly clock: Clock;
  /** The SCI. */
  readonly line: InterruptLine;
  /** The guest asked for S5. */
  onPowerOff(): void;
}

/**
 * ACPI's fixed hardware (ACPI 6.5 §4.8): PM1a event and control blocks, the power button and the 32-bit PM timer. There
 * is no SMI command port, so the machine is always in ACPI mode and SCI_EN always set.
 */
export class AcpiPower implements IoHandler, Device {
  readonly name = 'acpi-power';
  readonly #options: AcpiPowerOptions;
  readonly #handler: IoHandler;
  #status = 0;
  #enable = 0;
  #control = 0;
  #halvesSeen = 0;
  #call: ScheduledCall | undefined;
  #paused = false;

  constructor(options: AcpiPowerOptions) {
    this.#options = options;
    this.#handler = registerTable([
      {
        name: 'PM1a_STS',
        offset: AcpiPowerOffset.Pm1aStatus,
        widthBytes: 2,
        read: () => this.#readStatus(),
        write: (value) => this.#clearStatus(value),
      },
      {
        name: 'PM1a_EN',
        offset: AcpiPowerOffset.Pm1aEnable,
        widthBytes: 2,
        read: () => this.#enable,
        write: (value, mask) => this.#writeEnable((this.#enable & ~mask) | value),
      },
      {
        name: 'PM1a_CNT',
        offset: AcpiPowerOffset.Pm1aControl,
        widthBytes: 2,
        read: () => this.#control | CONTROL_SCI_EN,
        write: (value, mask) => this.#writeControl((this.#control & ~mask) | value),
      },
      { name: 'PM_TMR', offset: AcpiPowerOffset.PmTimer, widthBytes: 4, read: () => this.#ticks() % 2 ** 32 },
    ]);
    this.reset();
  }

  read(offset: number, widthBytes: AccessWidthBytes): number {
    return this.#handler.read(offset, widthBytes);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    this.#handler.write(offset, value, widthBytes);
  }

  /** Somebody outside presses the button: a guest that listens begins to shut down. */
  pressPowerButton(): void {
    this.#status |= Pm1.PowerButton;
    this.#update();
  }

  reset(): void {
    this.#status = 0;
    this.#enable = 0;
    this.#control = 0;
    this.#halvesSeen = this.#halves();
    this.#update();
  }

  pause(): Promise<void> {
    this.#paused = true;
    this.#call?.cancel();
    return Promise.resolve();
  }

  resume(): void {
    this.#paused = false;
    this.#update();
  }

  stop(): Promise<void> {
    return this.pause();
  }

  save(): SavedState {
    return { version: 1, status: this.#readStatus(), enable: this.#enable, control: this.#control };
  }

  restore(state: SavedState): void {
    const fields = new SavedFields(this.name, state, 1);
    const [status, enable, control] = [
      fields.integer('status', 0xffff),
      fields.integer('enable', 0xffff),
      fields.integer('control', 0xffff),
    ];
    this.#status = status & STATUS_BITS;
    this.#enable = enable & ENABLE_BITS;
    this.#control = control & CONTROL_KEPT;
    this.#halvesSeen = this.#halves();
    this.#update();
  }

  /** Whole seconds apart from the rest, because their product in one would outgrow a double's 53 bits. */
  #ticks(): number {
    const nowNs = this.#options.clock.nowNs();
    const seconds = Math.floor(nowNs / 1e9);
    return seconds * PM_TIMER_HZ + Math.floor(((nowNs - seconds * 1e9) * PM_TIMER_HZ) / 1e9);
  }

  /** How often the timer's highest bit changed: each change sets TMR_STS. */
  #halves(): number {
    return Math.floor(this.#ticks() / 2 ** 31);
  }

  #readStatus(): number {
    const halves = this.#halves();
    if (halves !== this.#halvesSeen) this.#status |= Pm1.Timer;
    this.#halvesSeen = halves;
    return this.#status;
  }

  #clearStatus(value: number): void {
    this.#readStatus();
    this.#status &= ~value;
    this.#update();
  }

  #writeEnable(value: number): void {
    this.#enable = value & ENABLE_BITS;
    this.#update();
  }

  #writeControl(value: number): void {
    this.#control = value & CONTROL_KEPT;
    const sleepType = (value >> 10) & 7;
    if ((value & CONTROL_SLP_EN) !== 0 && sleepType === ACPI_S5_SLEEP_TYPE) this.#options.onPowerOff();
  }

  #update(): void {
    this.#call?.cancel();
    this.#call = undefined;
    if (this.#paused) return;
    const pending = (this.#readStatus() & this.#enable) !== 0;
    this.#options.line.set(pending);
    if (pending || (this.#enable & Pm1.Timer) === 0) return;
    const atNs = (((this.#halvesSeen + 1) * 2 ** 31) / PM_TIMER_HZ) * 1e9;
    // At least a microsecond, so that rounding never makes a call that finds nothing and asks for itself at once.
    this.#call = this.#options.clock.schedule(Math.max(1000, Math.ceil(atNs - this.#options.clock.nowNs())), () => this.#update());
  }
}
