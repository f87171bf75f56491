import type { AccessWidthBytes, ConsoleBackend, Device, InterruptLine, IoHandler, SavedState } from '@hanok/machine';
import { registerTable } from './register-table.ts';
import { SavedFields } from './saved-fields.ts';

export const COM1_PORT = 0x3f8;
export const COM1_IRQ = 4;
export const UART_SIZE_BYTES = 8;

/** Whether a vCPU need not wait until a write to a port has been done: what comes of it is seen by reading, or by an interrupt that comes at its own time. */
export const isPostedPort = (port: number): boolean => port >= COM1_PORT && port < COM1_PORT + UART_SIZE_BYTES;

const FIFO_SIZE_BYTES = 16;

const Ier = { RxData: 1, Thre: 2, LineStatus: 4, ModemStatus: 8 } as const;
const Iir = { ModemStatus: 0x0, None: 0x1, Thre: 0x2, RxData: 0x4, LineStatus: 0x6, RxTimeout: 0xc, FifoEnabled: 0xc0 } as const;
const Mcr = { Dtr: 1, Rts: 2, Out1: 4, Out2: 8, Loop: 16 } as const;
const Lsr = { DataReady: 1, Overrun: 2, Thre: 0x20, Temt: 0x40 } as const;
const LCR_DLAB = 0x80;
const FCR_ENABLE = 1;
/** CTS, DSR and DCD: the other end is there and ready. */
const MODEM_READY = 0xb0;
const TRIGGER_LEVELS = [1, 4, 8, 14];

export interface Uart16550Options {
  readonly name: string;
  readonly backend: ConsoleBackend;
  readonly line: InterruptLine;
}

/**
 * A National Semiconductor 16550A serial port (PC16550D data sheet). A byte is sent the moment it is written, unless
 * the backend asks to wait. Bytes for the guest are taken only as far as the FIFO has room, and only while the guest
 * listens (RTS set, or the receive interrupt enabled), so nothing typed early is lost.
 */
export class Uart16550 implements IoHandler, Device {
  readonly name: string;
  readonly #backend: ConsoleBackend;
  readonly #line: InterruptLine;
  readonly #handler: IoHandler;
  readonly #oneByte = new Uint8Array(1);
  #receive: number[] = [];
  #transmit: number[] = [];
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scratch = 0;
  #divisor = 12;
  #overrun = false;
  #threPending = false;
  #modemDelta = 0;
  #blocked = false;
  #refused = false;
  #paused = false;
  #drainedInPause = false;

  constructor(options: Uart16550Options) {
    this.name = options.name;
    this.#backend = options.backend;
    this.#line = options.line;
    this.#handler = registerTable([
      { name: 'RBR/THR/DLL', offset: 0, widthBytes: 1, read: () => this.#readData(), write: (value) => this.#writeData(value) },
      { name: 'IER/DLM', offset: 1, widthBytes: 1, read: () => this.#readIer(), write: (value) => this.#writeIer(value) },
      { name: 'IIR/FCR', offset: 2, widthBytes: 1, read: () => this.#readIir(), write: (value) => this.#writeFcr(value) },
      { name: 'LCR', offset: 3, widthBytes: 1, read: () => this.#lcr, write: (value) => void (this.#lcr = value) },
      { name: 'MCR', offset: 4, widthBytes: 1, read: () => this.#mcr, write: (value) => this.#writeMcr(value) },
      { name: 'LSR', offset: 5, widthBytes: 1, read: () => this.#readLsr() },
      { name: 'MSR', offset: 6, widthBytes: 1, read: () => this.#readMsr() },
      { name: 'SCR', offset: 7, widthBytes: 1, read: () => this.#scratch, write: (value) => void (this.#scratch = value) },
    ]);
    this.#backend.onInput((bytes) => this.#input(bytes));
    this.#backend.onDrain(() => this.#drained());
  }

  read(offset: number, widthBytes: AccessWidthBytes): number {
    return this.#handler.read(offset, widthBytes);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    this.#handler.write(offset, value, widthBytes);
  }

  reset(): void {
    this.#receive = [];
    this.#transmit = [];
    this.#ier = this.#fcr = this.#lcr = this.#mcr = this.#scratch = this.#modemDelta = 0;
    this.#divisor = 12;
    this.#overrun = this.#threPending = false;
    this.#line.set(false);
  }

  pause(): Promise<void> {
    this.#paused = true;
    return Promise.resolve();
  }

  resume(): void {
    this.#paused = false;
    if (this.#drainedInPause) this.#drained();
    else if (!this.#blocked && this.#transmit.length > 0) this.#flush();
    this.#drainedInPause = false;
    this.#askForInput();
  }

  stop(): Promise<void> {
    this.#paused = true;
    return Promise.resolve();
  }

  save(): SavedState {
    return {
      version: 1,
      receive: [...this.#receive],
      transmit: [...this.#transmit],
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      scratch: this.#scratch,
      divisor: this.#divisor,
      modemDelta: this.#modemDelta,
      overrun: this.#overrun,
      threPending: this.#threPending,
      transmitBusy: this.#blocked,
    };
  }

  restore(state: SavedState): void {
    const fields = new SavedFields(this.name, state, 1);
    const receive = fields.integers('receive', FIFO_SIZE_BYTES, 0xff, true);
    const transmit = fields.integers('transmit', FIFO_SIZE_BYTES, 0xff, true);
    const [ier, fcr, lcr] = [fields.integer('ier', 0xf), fields.integer('fcr', 0xff), fields.integer('lcr', 0xff)];
    const [mcr, scratch] = [fields.integer('mcr', 0x1f), fields.integer('scratch', 0xff)];
    const [divisor, modemDelta] = [fields.integer('divisor', 0xffff), fields.integer('modemDelta', 0xf)];
    const [overrun, threPending, busy] = [fields.boolean('overrun'), fields.boolean('threPending'), fields.boolean('transmitBusy')];
    this.#receive = receive;
    this.#transmit = transmit;
    this.#ier = ier;
    this.#fcr = fcr;
    this.#lcr = lcr;
    this.#mcr = mcr;
    this.#scratch = scratch;
    this.#divisor = divisor;
    this.#modemDelta = modemDelta;
    this.#overrun = overrun;
    this.#threPending = threPending;
    // The backend of this host waits for nothing: whatever the old one held up goes on with `resume`. It may have
    // offered input, though, before the state was in place.
    this.#blocked = busy;
    this.#drainedInPause = busy;
    this.#refused = true;
    this.#update();
  }

  // The host's side.

  #input(bytes: Uint8Array): number {
    const listening = (this.#mcr & Mcr.Rts) !== 0 || (this.#ier & Ier.RxData) !== 0;
    const open = listening && !this.#paused && (this.#mcr & Mcr.Loop) === 0;
    const taken = open ? Math.min(bytes.length, this.#receiveSizeBytes() - this.#receive.length) : 0;
    for (let index = 0; index < taken; index++) this.#receive.push(bytes[index]!);
    if (taken < bytes.length) this.#refused = true;
    if (taken > 0) this.#update();
    return taken;
  }

  /** Tells a backend that was refused when there is room again; waiting for an empty FIFO keeps the calls few. */
  #askForInput(): void {
    if (!this.#refused || this.#paused || this.#receive.length > 0 || (this.#mcr & Mcr.Loop) !== 0) return;
    if ((this.#mcr & Mcr.Rts) === 0 && (this.#ier & Ier.RxData) === 0) return;
    this.#refused = false;
    this.#backend.ready();
  }

  #drained(): void {
    if (this.#paused) {
      this.#drainedInPause = true;
      return;
    }
    this.#blocked = false;
    this.#flush();
  }

  #flush(): void {
    const bytes = Uint8Array.from(this.#transmit);
    this.#transmit = [];
    if (bytes.length > 0) this.#blocked = !this.#backend.write(bytes);
    if (!this.#blocked) this.#transmitterEmpty();
  }

  #transmitterEmpty(): void {
    this.#threPending = true;
    this.#update();
  }

  // The guest's side.

  #readData(): number {
    if ((this.#lcr & LCR_DLAB) !== 0) return this.#divisor & 0xff;
    const value = this.#receive.shift() ?? 0;
    this.#update();
    this.#askForInput();
    return value;
  }

  #writeData(value: number): void {
    if ((this.#lcr & LCR_DLAB) !== 0) {
      this.#divisor = (this.#divisor & 0xff00) | value;
      return;
    }
    // The line must fall and rise again: the interrupt controller sees edges.
    this.#threPending = false;
    this.#update();
    if ((this.#mcr & Mcr.Loop) !== 0) {
      if (this.#receive.length < this.#receiveSizeBytes()) this.#receive.push(value);
      else this.#overrun = true;
      this.#transmitterEmpty();
    } else if (this.#blocked || this.#paused) {
      if (this.#transmit.length < FIFO_SIZE_BYTES) this.#transmit.push(value);
    } else {
      this.#oneByte[0] = value;
      this.#blocked = !this.#backend.write(this.#oneByte.slice());
      if (!this.#blocked) this.#transmitterEmpty();
    }
  }

  #readIer(): number {
    return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor >> 8 : this.#ier;
  }

  #writeIer(value: number): void {
    if ((this.#lcr & LCR_DLAB) !== 0) {
      this.#divisor = (this.#divisor & 0xff) | (value << 8);
      return;
    }
    // Enabling the "transmitter empty" interrupt while it is empty raises it, which is how drivers start sending.
    if ((value & Ier.Thre) !== 0 && (this.#ier & Ier.Thre) === 0 && !this.#transmitBusy()) this.#threPending = true;
    this.#ier = value & 0xf;
    this.#update();
    this.#askForInput();
  }

  #readIir(): number {
    const cause = this.#cause();
    if (cause === Iir.Thre) {
      this.#threPending = false;
      this.#update();
    }
    return cause | (this.#fifoEnabled() ? Iir.FifoEnabled : 0);
  }

  #writeFcr(value: number): void {
    const toggled = ((value ^ this.#fcr) & FCR_ENABLE) !== 0;
    this.#fcr = value & 0xc9;
    if (toggled || (value & 2) !== 0) this.#receive = [];
    if (toggled || (value & 4) !== 0) this.#transmit = [];
    this.#update();
    this.#askForInput();
  }

  #writeMcr(value: number): void {
    const before = this.#modemStatus();
    this.#mcr = value & 0x1f;
    const after = this.#modemStatus();
    // Any change of CTS, DSR and DCD counts, but only the trailing edge of RI.
    this.#modemDelta |= (((before ^ after) & 0xb0) | (before & ~after & 0x40)) >> 4;
    this.#update();
    this.#askForInput();
  }

  #readLsr(): number {
    const value = (this.#receive.length > 0 ? Lsr.DataReady : 0) | (this.#overrun ? Lsr.Overrun : 0);
    this.#overrun = false;
    this.#update();
    return value | (this.#transmitBusy() ? 0 : Lsr.Thre | Lsr.Temt);
  }

  #readMsr(): number {
    const value = this.#modemStatus() | this.#modemDelta;
    this.#modemDelta = 0;
    this.#update();
    return value;
  }

  #modemStatus(): number {
    if ((this.#mcr & Mcr.Loop) === 0) return MODEM_READY;
    const wired = (from: number, to: number): number => ((this.#mcr & from) !== 0 ? to : 0);
    return wired(Mcr.Rts, 0x10) | wired(Mcr.Dtr, 0x20) | wired(Mcr.Out1, 0x40) | wired(Mcr.Out2, 0x80);
  }

  #transmitBusy(): boolean {
    return this.#blocked && (this.#mcr & Mcr.Loop) === 0;
  }

  #fifoEnabled(): boolean {
    return (this.#fcr & FCR_ENABLE) !== 0;
  }

  #receiveSizeBytes(): number {
    return this.#fifoEnabled() ? FIFO_SIZE_BYTES : 1;
  }

  /** The pending interrupt with the highest priority. Bytes under the trigger level have timed out at once. */
  #cause(): number {
    if ((this.#ier & Ier.LineStatus) !== 0 && this.#overrun) return Iir.LineStatus;
    if ((this.#ier & Ier.RxData) !== 0 && this.#receive.length > 0) {
      return !this.#fifoEnabled() || this.#receive.length >= TRIGGER_LEVELS[this.#fcr >> 6]! ? Iir.RxData : Iir.RxTimeout;
    }
    if ((this.#ier & Ier.Thre) !== 0 && this.#threPending) return Iir.Thre;
    if ((this.#ier & Ier.ModemStatus) !== 0 && this.#modemDelta !== 0) return Iir.ModemStatus;
    return Iir.None;
  }

  /** OUT2 gates the interrupt on a PC; in loopback the pin is disconnected. */
  #update(): void {
    const gate = (this.#mcr & Mcr.Out2) !== 0 && (this.#mcr & Mcr.Loop) === 0;
    this.#line.set(gate && this.#cause() !== Iir.None);
  }
}
