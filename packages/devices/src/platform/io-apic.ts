import { DeliveryMode } from '@hanok/machine';
import type { AccessWidthBytes, Device, InterruptLine, IoHandler, MsiSink, SavedState } from '@hanok/machine';
import { registerTable } from './register-table.ts';
import { SavedFields } from './saved-fields.ts';

export const IO_APIC_BASE = 0xfec00000;
export const IO_APIC_SIZE_BYTES = 0x1000;
export const IO_APIC_LINE_COUNT = 24;

/** Version 0x20 is the first with an EOI register; bits 16-23 hold the last redirection entry. */
const VERSION = 0x20 | ((IO_APIC_LINE_COUNT - 1) << 16);

const ENTRY_LOGICAL = 0x800;
const ENTRY_REMOTE_IRR = 0x4000;
const ENTRY_LEVEL = 0x8000;
const ENTRY_MASKED = 0x10000;
/** All but delivery status and remote IRR; delivery is immediate, so that status is always idle. */
const ENTRY_WRITABLE_LOW = 0x1afff;
const ENTRY_WRITABLE_HIGH = 0xff000000;

/**
 * An I/O APIC with 24 lines (Intel 82093AA data sheet, with the EOI register of later ones). Lines carry "asserted",
 * not a voltage, so the polarity bit is kept for the guest and has no effect.
 */
export class IoApic implements IoHandler, Device {
  readonly name = 'io-apic';
  readonly #sink: MsiSink;
  readonly #handler: IoHandler;
  readonly #low = new Uint32Array(IO_APIC_LINE_COUNT);
  readonly #high = new Uint32Array(IO_APIC_LINE_COUNT);
  readonly #levels = new Uint8Array(IO_APIC_LINE_COUNT);
  #select = 0;
  #id = 0;

  constructor(sink: MsiSink) {
    this.#sink = sink;
    this.#handler = registerTable([
      { name: 'IOREGSEL', offset: 0x00, widthBytes: 4, read: () => this.#select, write: (value) => void (this.#select = value & 0xff) },
      {
        name: 'IOWIN',
        offset: 0x10,
        widthBytes: 4,
        read: () => this.#readSelected(),
        write: (value, mask) => this.#writeSelected(value, mask),
      },
      { name: 'EOI', offset: 0x40, widthBytes: 4, write: (value) => this.eoi(value & 0xff) },
    ]);
    this.reset();
  }

  read(offset: number, widthBytes: AccessWidthBytes): number {
    return this.#handler.read(offset, widthBytes);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    this.#handler.write(offset, value, widthBytes);
  }

  /** The input with that number (0 to 23): the global system interrupt, as ACPI counts them. */
  line(index: number): InterruptLine {
    if (!Number.isInteger(index) || index < 0 || index >= IO_APIC_LINE_COUNT) {
      throw new Error(`io-apic: there is no line ${index}; use 0 to ${IO_APIC_LINE_COUNT - 1}`);
    }
    return { set: (level) => this.#setLine(index, level) };
  }

  /** A local APIC ended a level-triggered interrupt with this vector; lines that are still asserted interrupt again. */
  eoi(vector: number): void {
    for (let index = 0; index < IO_APIC_LINE_COUNT; index++) {
      const low = this.#low[index]!;
      if ((low & 0xff) !== vector || (low & ENTRY_LEVEL) === 0) continue;
      this.#low[index] = low & ~ENTRY_REMOTE_IRR;
      this.#serviceLevel(index);
    }
  }

  reset(): void {
    this.#low.fill(ENTRY_MASKED);
    this.#high.fill(0);
    this.#levels.fill(0);
    this.#select = 0;
    this.#id = 0;
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  resume(): void {}

  stop(): Promise<void> {
    return Promise.resolve();
  }

  save(): SavedState {
    return {
      version: 1,
      select: this.#select,
      id: this.#id,
      low: Array.from(this.#low),
      high: Array.from(this.#high),
      levels: Array.from(this.#levels),
    };
  }

  restore(state: SavedState): void {
    const fields = new SavedFields(this.name, state, 1);
    const select = fields.integer('select', 0xff);
    const id = fields.integer('id', 15);
    const low = fields.integers('low', IO_APIC_LINE_COUNT, 0x1ffff);
    const high = fields.integers('high', IO_APIC_LINE_COUNT, 0xffffffff);
    const levels = fields.integers('levels', IO_APIC_LINE_COUNT, 1);
    this.#select = select;
    this.#id = id;
    this.#low.set(low.map((value) => value & (ENTRY_WRITABLE_LOW | ENTRY_REMOTE_IRR)));
    this.#high.set(high.map((value) => value & ENTRY_WRITABLE_HIGH));
    this.#levels.set(levels);
  }

  #readSelected(): number {
    if (this.#select === 0) return this.#id << 24;
    if (this.#select === 1) return VERSION;
    if (this.#select === 2) return this.#id << 24;
    const index = (this.#select - 0x10) >> 1;
    if (this.#select < 0x10 || index >= IO_APIC_LINE_COUNT) return 0xffffffff;
    return (this.#select & 1) === 0 ? this.#low[index]! : this.#high[index]!;
  }

  #writeSelected(value: number, mask: number): void {
    if (mask !== 0xffffffff) return;
    const index = (this.#select - 0x10) >> 1;
    if (this.#select === 0) this.#id = (value >>> 24) & 15;
    if (this.#select < 0x10 || index >= IO_APIC_LINE_COUNT) return;
    if ((this.#select & 1) !== 0) {
      this.#high[index] = value & ENTRY_WRITABLE_HIGH;
      return;
    }
    // An entry that becomes edge-triggered forgets that a processor still serves it, which is how guests without an
    // EOI register get out of a stuck line.
    const remote = (value & ENTRY_LEVEL) !== 0 ? this.#low[index]! & ENTRY_REMOTE_IRR : 0;
    this.#low[index] = (value & ENTRY_WRITABLE_LOW) | remote;
    this.#serviceLevel(index);
  }

  #setLine(index: number, level: boolean): void {
    const rising = level && this.#levels[index] === 0;
    this.#levels[index] = level ? 1 : 0;
    if (!rising) return;
    if ((this.#low[index]! & ENTRY_LEVEL) !== 0) this.#serviceLevel(index);
    else if ((this.#low[index]! & ENTRY_MASKED) === 0) this.#send(index);
  }

  #serviceLevel(index: number): void {
    const low = this.#low[index]!;
    if (this.#levels[index] === 0 || (low & ENTRY_LEVEL) === 0 || (low & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) !== 0) return;
    const mode = (low >> 8) & 7;
    // Only these wait for an EOI; the others act once per assertion.
    if (mode === DeliveryMode.Fixed || mode === DeliveryMode.LowestPriority) this.#low[index] = low | ENTRY_REMOTE_IRR;
    this.#send(index);
  }

  /** The message in MSI form (SDM vol. 3A §11.11): level-triggered ones are always assertions. */
  #send(index: number): void {
    const low = this.#low[index]!;
    const destination = this.#high[index]! >>> 24;
    const redirect = ((low >> 8) & 7) === DeliveryMode.LowestPriority ? 8 : 0;
    const address = (0xfee00000 | (destination << 12) | redirect | ((low & ENTRY_LOGICAL) !== 0 ? 4 : 0)) >>> 0;
    const level = (low & ENTRY_LEVEL) !== 0 ? 0xc000 : 0;
    this.#sink.send(address, (low & 0x7ff) | level);
  }
}
