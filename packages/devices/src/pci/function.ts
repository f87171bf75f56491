import type { MsiSink, SavedState } from '@hanok/machine';
import { Bar } from './bar.ts';
import type { BarDeclaration } from './bar.ts';
import { ConfigSpace } from './config-space.ts';
import type { Capability } from './config-space.ts';
import { PciCommand, PciRegister, PciStatus } from './constants.ts';
import { MSIX_ENTRY_SIZE_BYTES, Msix } from './msix.ts';
import type { MsixLayout } from './msix.ts';
import { StateReader } from './saved-state.ts';

const STATE_VERSION = 1;
const CAPABILITIES_START = 0x40;
const CAPABILITIES_END = 0x100;

export interface PciFunctionDeclaration {
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revisionId?: number;
  /** Base class, subclass and interface in 24 bits. */
  readonly classCode: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  readonly bars?: readonly BarDeclaration[];
  readonly capabilities?: readonly Capability[];
  readonly msix?: MsixLayout;
  /** 1 to 4 for INTA to INTD. */
  readonly interruptPin?: number;
  /** The guest switched bus mastering on: work that waited for it may start. */
  onBusMaster?(): void;
}

/** What the bus gives a function that was added to it. */
export interface PciSlot {
  readonly interruptLine: number;
  readonly msi: MsiSink;
  /** Drives the function's INTx wire. */
  setIntx(level: boolean): void;
  /** A BAR or the memory-space enable changed. */
  remap(): void;
}

/** One PCI function with a type 0 header (PCI Local Bus 3.0 §6.1). */
export class PciFunction {
  readonly name: string;
  readonly config = new ConfigSpace();
  readonly bars: readonly Bar[];
  readonly msix: Msix | undefined;
  readonly interruptPin: number;
  readonly #onBusMaster: (() => void) | undefined;
  #slot: PciSlot | undefined;
  #intx = false;

  constructor(declaration: PciFunctionDeclaration) {
    const { name, msix } = declaration;
    this.name = name;
    this.interruptPin = declaration.interruptPin ?? 0;
    this.#onBusMaster = declaration.onBusMaster && (() => declaration.onBusMaster!());
    if (msix) this.msix = new Msix(msix, { config: this.config, sink: () => this.#sink(), changed: () => this.#updateIntx() });
    this.bars = (declaration.bars ?? []).map(
      (bar) => new Bar(name, this.msix && msix?.barIndex === bar.index ? withMsix(bar, this.msix, msix) : bar),
    );
    this.#declareHeader(declaration);
    const capabilities = [...(declaration.capabilities ?? []), ...(this.msix ? [this.msix.capability] : [])];
    this.#declareCapabilities(capabilities);
  }

  /** Called by the bus. */
  attach(slot: PciSlot): void {
    if (this.#slot) throw new Error(`${this.name} is on a PCI bus already; create another function`);
    this.#slot = slot;
    this.reset();
  }

  get memoryEnabled(): boolean {
    return (this.config.peek(PciRegister.Command, 2) & PciCommand.MemorySpace) !== 0;
  }

  /** False while the function may not read or write memory (§6.2.2). */
  get busMaster(): boolean {
    return (this.config.peek(PciRegister.Command, 2) & PciCommand.BusMaster) !== 0;
  }

  /** The function's own wish; the wire follows unless INTx is disabled or MSI-X is in use. */
  setIntx(level: boolean): void {
    this.#intx = level;
    this.#updateIntx();
  }

  /** Power-on state with the BARs assigned and enabled, as firmware leaves it. */
  reset(): void {
    this.config.reset();
    this.msix?.reset();
    for (const bar of this.bars) bar.assign(this.config);
    this.config.poke(PciRegister.Command, this.bars.length > 0 ? PciCommand.MemorySpace : 0, 2);
    this.config.poke(PciRegister.InterruptLine, this.#slot?.interruptLine ?? 0, 1);
    this.setIntx(false);
    this.#slot?.remap();
  }

  save(): SavedState {
    return { version: STATE_VERSION, config: this.config.save(), intx: this.#intx, ...(this.msix && { msix: this.msix.save() }) };
  }

  restore(state: unknown): void {
    const reader = StateReader.open(`${this.name} PCI function`, state as SavedState, STATE_VERSION);
    const intx = reader.boolean('intx');
    this.config.restore(reader, 'config');
    this.msix?.restore(reader.object('msix'));
    this.#slot?.remap();
    this.setIntx(intx);
  }

  #declareHeader(declaration: PciFunctionDeclaration): void {
    const { Command, Status, InterruptLine } = PciRegister;
    const commandMask =
      PciCommand.MemorySpace | PciCommand.BusMaster | PciCommand.ParityError | PciCommand.Serr | PciCommand.InterruptDisable;
    this.config.declare([
      { name: 'vendor ID', offset: PciRegister.VendorId, widthBytes: 2, value: declaration.vendorId },
      { name: 'device ID', offset: PciRegister.DeviceId, widthBytes: 2, value: declaration.deviceId },
      { name: 'command', offset: Command, widthBytes: 2, value: 0, writeMask: commandMask, afterWrite: () => this.#commandWritten() },
      { name: 'status', offset: Status, widthBytes: 2, value: 0, beforeRead: () => this.#updateStatus() },
      { name: 'revision ID', offset: PciRegister.RevisionId, widthBytes: 1, value: declaration.revisionId ?? 0 },
      { name: 'interface', offset: PciRegister.ClassCode, widthBytes: 1, value: declaration.classCode & 0xff },
      { name: 'class', offset: PciRegister.ClassCode + 1, widthBytes: 2, value: declaration.classCode >>> 8 },
      { name: 'cache line size', offset: PciRegister.CacheLineSize, widthBytes: 1, value: 0, writeMask: 0xff },
      { name: 'latency timer', offset: PciRegister.LatencyTimer, widthBytes: 1, value: 0, writeMask: 0xf8 },
      { name: 'subsystem vendor ID', offset: PciRegister.SubsystemVendorId, widthBytes: 2, value: declaration.subsystemVendorId ?? 0 },
      { name: 'subsystem ID', offset: PciRegister.SubsystemId, widthBytes: 2, value: declaration.subsystemId ?? 0 },
      { name: 'interrupt line', offset: InterruptLine, widthBytes: 1, value: 0, writeMask: 0xff },
      { name: 'interrupt pin', offset: PciRegister.InterruptPin, widthBytes: 1, value: this.interruptPin },
    ]);
    for (const bar of this.bars) this.config.declare(bar.registers(() => this.#slot?.remap()));
  }

  #declareCapabilities(capabilities: readonly Capability[]): void {
    let offset = CAPABILITIES_START;
    capabilities.forEach((capability, index) => {
      const next = (offset + capability.sizeBytes + 3) & ~3;
      if (next > CAPABILITIES_END)
        throw new Error(`${this.name}: the capabilities do not fit 256 bytes of configuration space; declare fewer`);
      this.config.declare([
        { name: 'capability ID', offset, widthBytes: 1, value: capability.id },
        { name: 'next capability', offset: offset + 1, widthBytes: 1, value: index + 1 < capabilities.length ? next : 0 },
        ...capability.registers(offset),
      ]);
      offset = next;
    });
    if (capabilities.length > 0) {
      this.config.declare([
        { name: 'capabilities pointer', offset: PciRegister.CapabilitiesPointer, widthBytes: 1, value: CAPABILITIES_START },
      ]);
    }
  }

  #sink(): MsiSink | undefined {
    return this.busMaster ? this.#slot?.msi : undefined;
  }

  #commandWritten(): void {
    this.#slot?.remap();
    this.#updateIntx();
    if (!this.busMaster) return;
    this.msix?.deliverPending();
    this.#onBusMaster?.();
  }

  #updateStatus(): void {
    const capabilities = this.config.peek(PciRegister.CapabilitiesPointer, 1) !== 0 ? PciStatus.CapabilitiesList : 0;
    this.config.poke(PciRegister.Status, capabilities | (this.#intx ? PciStatus.Interrupt : 0), 2);
  }

  #updateIntx(): void {
    const disabled = (this.config.peek(PciRegister.Command, 2) & PciCommand.InterruptDisable) !== 0 || this.msix?.enabled === true;
    this.#slot?.setIntx(this.#intx && !disabled);
  }
}

function withMsix(bar: BarDeclaration, msix: Msix, layout: MsixLayout): BarDeclaration {
  const table = { offset: layout.tableOffset, sizeBytes: msix.vectorCount * MSIX_ENTRY_SIZE_BYTES, handler: msix.table };
  const pending = { offset: layout.pendingOffset, sizeBytes: Math.ceil(msix.vectorCount / 64) * 8, handler: msix.pendingArray };
  return { ...bar, regions: [...bar.regions, table, pending] };
}
