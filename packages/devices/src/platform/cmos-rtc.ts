import type { AccessWidthBytes, Clock, Device, InterruptLine, IoHandler, SavedState, ScheduledCall } from '@hanok/machine';
import { calendarFromSeconds, nextAlarmSeconds, secondsFromCalendar } from './calendar.ts';
import { registerTable } from './register-table.ts';
import { SavedFields } from './saved-fields.ts';

export const CMOS_RTC_PORT = 0x70;
export const CMOS_RTC_SIZE_BYTES = 2;
export const CMOS_RTC_IRQ = 8;
/** The byte with the century, which the FADT names. */
const CMOS_CENTURY_INDEX = 0x32;

const NVRAM_SIZE_BYTES = 128;
const Index = { Second: 0, Minute: 2, Hour: 4, Weekday: 6, Day: 7, Month: 8, Year: 9, A: 10, B: 11, C: 12, D: 13 } as const;
const A_UIP = 0x80;
const B = { Set: 0x80, Periodic: 0x40, Alarm: 0x20, Update: 0x10, Binary: 4, Hours24: 2 } as const;
const C_IRQ = 0x80;
const D_BATTERY_GOOD = 0x80;
const HOUR_PM = 0x80;

/** The update begins 244 µs before the second ends (MC146818A data sheet, "Update-in-progress"). */
const UPDATE_NS = 244_000;
const SECOND_NS = 1e9;

export interface CmosRtcOptions {
  readonly clock: Clock;
  readonly line: InterruptLine;
}

/**
 * The clock and battery-backed memory of a PC (Motorola MC146818A data sheet), behind an index and a data port. It
 * shows the machine's wall clock, plus what the guest set it off by.
 */
export class CmosRtc implements IoHandler, Device {
  readonly name = 'cmos-rtc';
  readonly #clock: Clock;
  readonly #line: InterruptLine;
  readonly #handler: IoHandler;
  readonly #nvram = new Uint8Array(NVRAM_SIZE_BYTES);
  #index = 0;
  #offsetUs = 0;
  #weekdayOffset = 0;
  #flags = 0;
  #checkedNs = 0;
  #call: ScheduledCall | undefined;
  #paused = false;

  constructor(options: CmosRtcOptions) {
    this.#clock = options.clock;
    this.#line = options.line;
    this.#handler = registerTable([
      { name: 'index', offset: 0, widthBytes: 1, read: () => 0xff, write: (value) => void (this.#index = value & 0x7f) },
      { name: 'data', offset: 1, widthBytes: 1, read: () => this.#readByte(), write: (value) => this.#writeByte(value) },
    ]);
    this.#nvram[Index.A] = 0x26;
    this.#nvram[Index.B] = B.Hours24;
    this.#checkedNs = this.#nowNs();
  }

  read(offset: number, widthBytes: AccessWidthBytes): number {
    return this.#handler.read(offset, widthBytes);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    this.#handler.write(offset, value, widthBytes);
  }

  /** The battery keeps time and memory; a reset only stops the interrupts. */
  reset(): void {
    this.#index = 0;
    this.#nvram[Index.B]! &= ~(B.Periodic | B.Alarm | B.Update);
    this.#flags = 0;
    this.#reschedule();
  }

  pause(): Promise<void> {
    this.#paused = true;
    this.#call?.cancel();
    return Promise.resolve();
  }

  resume(): void {
    this.#paused = false;
    this.#reschedule();
  }

  stop(): Promise<void> {
    return this.pause();
  }

  save(): SavedState {
    this.#collectFlags();
    return {
      version: 1,
      index: this.#index,
      nvram: Array.from(this.#nvram),
      offsetUs: this.#offsetUs,
      weekdayOffset: this.#weekdayOffset,
      flags: this.#flags,
    };
  }

  restore(state: SavedState): void {
    const fields = new SavedFields(this.name, state, 1);
    const index = fields.integer('index', 0x7f);
    const nvram = fields.integers('nvram', NVRAM_SIZE_BYTES, 0xff);
    const offsetUs = fields.integer('offsetUs', Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER);
    const weekdayOffset = fields.integer('weekdayOffset', 6);
    const flags = fields.integer('flags', 0x70);
    this.#index = index;
    this.#nvram.set(nvram);
    this.#offsetUs = offsetUs;
    this.#weekdayOffset = weekdayOffset;
    this.#flags = flags & 0x70;
    this.#checkedNs = this.#nowNs();
    this.#reschedule();
  }

  #readByte(): number {
    switch (this.#index) {
      case Index.A:
        return (this.#nvram[Index.A]! & 0x7f) | (this.#updating() ? A_UIP : 0);
      case Index.C:
        return this.#readFlags();
      case Index.D:
        return D_BATTERY_GOOD;
      default:
        if (this.#isTime(this.#index) && !this.#halted()) this.#showTime();
        return this.#nvram[this.#index]!;
    }
  }

  #writeByte(value: number): void {
    const index = this.#index;
    if (index === Index.C || index === Index.D) return;
    this.#collectFlags();
    if (index === Index.A || index === Index.B) {
      this.#writeControl(index, value);
    } else if (this.#isTime(index)) {
      if (!this.#halted()) this.#showTime();
      this.#nvram[index] = value;
      if (!this.#halted()) this.#takeTime();
    } else {
      this.#nvram[index] = value;
    }
    this.#reschedule();
  }

  /** While SET or the divider's reset holds the clock, the time bytes are memory; they take effect when it goes on. */
  #writeControl(index: number, value: number): void {
    const wasHalted = this.#halted();
    if (!wasHalted) this.#showTime();
    this.#nvram[index] = index === Index.A ? value & 0x7f : value;
    if (wasHalted && !this.#halted()) this.#takeTime();
    if (index === Index.B && (value & B.Set) !== 0) this.#nvram[Index.B]! &= ~B.Update;
  }

  #isTime(index: number): boolean {
    return (index <= Index.Year && index !== 1 && index !== 3 && index !== 5) || index === CMOS_CENTURY_INDEX;
  }

  #halted(): boolean {
    return (this.#nvram[Index.B]! & B.Set) !== 0 || (this.#nvram[Index.A]! & 0x60) === 0x60;
  }

  #updating(): boolean {
    const nowNs = this.#nowNs();
    return !this.#halted() && nowNs - Math.floor(nowNs / SECOND_NS) * SECOND_NS >= SECOND_NS - UPDATE_NS;
  }

  #nowNs(): number {
    return this.#clock.wallNs() + this.#offsetUs * 1000;
  }

  /** Writes the present time into the time bytes, in the format that register B asks for. */
  #showTime(): void {
    const time = calendarFromSeconds(Math.floor(this.#nowNs() / SECOND_NS));
    const store = (index: number, value: number): void => void (this.#nvram[index] = this.#encode(value));
    store(Index.Second, time.second);
    store(Index.Minute, time.minute);
    this.#nvram[Index.Hour] = this.#encodeHour(time.hour);
    store(Index.Weekday, ((time.weekday - 1 + this.#weekdayOffset) % 7) + 1);
    store(Index.Day, time.day);
    store(Index.Month, time.month);
    store(Index.Year, time.year % 100);
    store(CMOS_CENTURY_INDEX, Math.floor(time.year / 100));
  }

  /** Makes the time bytes the present time. */
  #takeTime(): void {
    const load = (index: number): number => this.#decode(this.#nvram[index]!);
    const year = load(CMOS_CENTURY_INDEX) * 100 + load(Index.Year);
    const rest = { month: load(Index.Month), day: load(Index.Day), minute: load(Index.Minute), second: load(Index.Second) };
    // Years before 1900 and far ones overflow the host's calendar and our nanoseconds; no guest clock shows them.
    const seconds = secondsFromCalendar({
      year: Math.min(2200, Math.max(1900, year)),
      hour: this.#decodeHour(this.#nvram[Index.Hour]!),
      ...rest,
    });
    this.#offsetUs = Math.round(seconds * 1e6 - this.#clock.wallNs() / 1000);
    const weekday = load(Index.Weekday) - calendarFromSeconds(seconds).weekday;
    this.#weekdayOffset = ((weekday % 7) + 7) % 7;
    this.#checkedNs = this.#nowNs();
  }

  #encode(value: number): number {
    return (this.#nvram[Index.B]! & B.Binary) !== 0 ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(value: number): number {
    return (this.#nvram[Index.B]! & B.Binary) !== 0 ? value : (value >> 4) * 10 + (value & 15);
  }

  #encodeHour(hour: number): number {
    if ((this.#nvram[Index.B]! & B.Hours24) !== 0) return this.#encode(hour);
    return this.#encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? HOUR_PM : 0);
  }

  #decodeHour(value: number): number {
    if ((this.#nvram[Index.B]! & B.Hours24) !== 0) return this.#decode(value);
    return (this.#decode(value & ~HOUR_PM) % 12) + ((value & HOUR_PM) !== 0 ? 12 : 0);
  }

  // Interrupts. The flags of register C are worked out when somebody looks; only enabled ones cost a timer.

  #periodNs(): number {
    const rate = this.#nvram[Index.A]! & 15;
    if (rate === 0) return Infinity;
    return (SECOND_NS / 32768) * 2 ** ((rate <= 2 ? rate + 7 : rate) - 1);
  }

  #nextNs(flag: number, afterNs: number): number {
    if (flag === B.Periodic) {
      const periodNs = this.#periodNs();
      return periodNs === Infinity ? Infinity : (Math.floor(afterNs / periodNs) + 1) * periodNs;
    }
    if (this.#halted()) return Infinity;
    const nextSecond = Math.floor(afterNs / SECOND_NS) + 1;
    if (flag === B.Update) return nextSecond * SECOND_NS;
    const field = (index: number, decode: (value: number) => number): number | undefined =>
      this.#nvram[index]! >= 0xc0 ? undefined : decode(this.#nvram[index]!);
    const plain = (value: number): number => this.#decode(value);
    const alarm = { second: field(1, plain), minute: field(3, plain), hour: field(5, (value) => this.#decodeHour(value)) };
    return nextAlarmSeconds(alarm, nextSecond) * SECOND_NS;
  }

  /** Sets the flags of what happened since the last look. */
  #collectFlags(): void {
    const nowNs = this.#nowNs();
    for (const flag of [B.Periodic, B.Alarm, B.Update]) {
      if (this.#nextNs(flag, this.#checkedNs) <= nowNs) this.#flags |= flag;
    }
    this.#checkedNs = nowNs;
  }

  #readFlags(): number {
    this.#collectFlags();
    const value = this.#flags | (this.#interrupting() ? C_IRQ : 0);
    this.#flags = 0;
    this.#reschedule();
    return value;
  }

  #interrupting(): boolean {
    return (this.#flags & this.#nvram[Index.B]! & (B.Periodic | B.Alarm | B.Update)) !== 0;
  }

  /** Sets the line, and a timer for the next event that can change it. */
  #reschedule(): void {
    this.#call?.cancel();
    this.#call = undefined;
    if (this.#paused) return;
    this.#line.set(this.#interrupting());
    const waiting = this.#nvram[Index.B]! & ~this.#flags;
    const nowNs = this.#nowNs();
    let atNs = Infinity;
    for (const flag of [B.Periodic, B.Alarm, B.Update]) {
      if ((waiting & flag) !== 0) atNs = Math.min(atNs, this.#nextNs(flag, nowNs));
    }
    if (atNs === Infinity || this.#interrupting()) return;
    // A double holds wall time to a quarter of a microsecond: a shorter delay could come back before the event for ever.
    this.#call = this.#clock.schedule(Math.max(1000, atNs - nowNs), () => {
      this.#collectFlags();
      this.#reschedule();
    });
  }
}
