import type { AccessWidthBytes, Device, InterruptLine, IoHandler, IoSpace, MsiSink, SavedState } from '@hanok/machine';
import { PciMmioAllocator } from './allocator.ts';
import { allOnes } from './config-space.ts';
import {
  PCI_CONFIG_ADDRESS_PORT,
  PCI_CONFIG_DATA_PORT,
  PCI_CONFIG_SIZE_BYTES,
  PCI_DEVICES_PER_BUS,
  PCI_ECAM_BASE,
  PCI_ECAM_SIZE_BYTES,
} from './constants.ts';
import { PciFunction } from './function.ts';
import { StateReader } from './saved-state.ts';

const STATE_VERSION = 1;
const ADDRESS_ENABLE = 0x80000000;
const ADDRESS_MASK = 0x80fffffc;
const RESET_CONTROL_OFFSET = 1;

/** A generic host bridge: vendor and device under which Linux and others apply no quirks. */
const BRIDGE = { name: 'PCI host bridge', vendorId: 0x1b36, deviceId: 0x0008, classCode: 0x060000 };

/** One wire of the bridge and the interrupt number behind it. */
export interface IntxWire {
  readonly line: InterruptLine;
  readonly gsi: number;
}

export interface PciBusWiring {
  readonly ports: IoSpace;
  readonly mmio: IoSpace;
  readonly msi: MsiSink;
  /** INTA to INTD at the bridge, where the board has them. Device d's pin p (1 to 4) reaches wire (d + p - 1) mod 4. */
  readonly intx?: readonly IntxWire[];
  /** Answers byte accesses to the reset control port 0xCF9, which lies inside the configuration address port. */
  readonly resetControl?: IoHandler;
}

/** The wire of the bridge that a device's interrupt pin reaches: the usual swizzle, for the _PRT table. */
function pciIntxWire(device: number, pin: number): number {
  return (device + pin - 1) % 4;
}

/** PCI bus 0 with its host bridge: configuration mechanism #1, ECAM, BAR mapping and INTx wires. */
export class PciBus implements Device {
  readonly name = 'pci';
  readonly #wiring: PciBusWiring;
  readonly #allocator = new PciMmioAllocator();
  readonly #functions: (PciFunction | undefined)[] = new Array(PCI_DEVICES_PER_BUS).fill(undefined);
  readonly #assertedDevices = [0, 0, 0, 0];
  readonly #bridge = new PciFunction(BRIDGE);
  #address = 0;

  constructor(wiring: PciBusWiring) {
    this.#wiring = wiring;
    this.add(this.#bridge);
    wiring.ports.map(PCI_CONFIG_ADDRESS_PORT, 4, 'PCI configuration address', this.#addressPort());
    wiring.ports.map(PCI_CONFIG_DATA_PORT, 4, 'PCI configuration data', {
      read: (offset, width) => this.#select()?.config.read((this.#address & 0xfc) | offset, width) ?? allOnes(width),
      write: (offset, value, width) => this.#select()?.config.write((this.#address & 0xfc) | offset, value, width),
    });
    wiring.mmio.map(PCI_ECAM_BASE, PCI_ECAM_SIZE_BYTES, 'PCI ECAM', {
      read: (offset, width) => this.#at(offset >>> 12)?.config.read(offset % PCI_CONFIG_SIZE_BYTES, width) ?? allOnes(width),
      write: (offset, value, width) => this.#at(offset >>> 12)?.config.write(offset % PCI_CONFIG_SIZE_BYTES, value, width),
    });
  }

  /** Puts a function at the next free device number (function 0), assigns its BARs and enables them. Returns the number. */
  add(pciFunction: PciFunction): number {
    const device = this.#functions.indexOf(undefined);
    if (device < 0) throw new Error(`${pciFunction.name}: the PCI bus has all ${PCI_DEVICES_PER_BUS} devices; attach fewer`);
    for (const bar of pciFunction.bars) bar.assignedAddress = this.#allocator.allocate(bar.name, bar.sizeBytes);
    this.#functions[device] = pciFunction;
    const wire = pciIntxWire(device, pciFunction.interruptPin);
    pciFunction.attach({
      interruptLine: pciFunction.interruptPin > 0 ? (this.#wiring.intx?.[wire]?.gsi ?? 0xff) : 0,
      msi: this.#wiring.msi,
      setIntx: (level) => this.#setIntx(device, wire, level),
      remap: () => this.#remap(),
    });
    return device;
  }

  /** Resets the bridge; devices reset their own functions. */
  reset(): void {
    this.#address = 0;
    this.#bridge.reset();
  }

  async pause(): Promise<void> {}
  resume(): void {}
  async stop(): Promise<void> {}

  save(): SavedState {
    return { version: STATE_VERSION, address: this.#address, bridge: this.#bridge.save() };
  }

  restore(state: SavedState): void {
    const reader = StateReader.open(this.name, state, STATE_VERSION);
    const address = reader.integer('address', 0, 0xffffffff);
    this.#bridge.restore(state['bridge']);
    this.#address = (address & ADDRESS_MASK) >>> 0;
  }

  /** Only whole 32-bit accesses reach the address register; others go to what lies under it (§3.2.2.3.2). */
  #addressPort(): IoHandler {
    const reset = this.#wiring.resetControl;
    const isReset = (offset: number, width: AccessWidthBytes) => reset !== undefined && offset === RESET_CONTROL_OFFSET && width === 1;
    return {
      read: (offset, width) => {
        if (width === 4) return this.#address;
        return isReset(offset, width) ? reset!.read(0, 1) : allOnes(width);
      },
      write: (offset, value, width) => {
        if (width === 4) this.#address = (value & ADDRESS_MASK) >>> 0;
        else if (isReset(offset, width)) reset!.write(0, value, 1);
      },
    };
  }

  #select(): PciFunction | undefined {
    return (this.#address & ADDRESS_ENABLE) !== 0 ? this.#at((this.#address >>> 8) & 0xffff) : undefined;
  }

  /** `location` is bus, device and function as in a requester ID. */
  #at(location: number): PciFunction | undefined {
    return location >>> 8 === 0 && (location & 7) === 0 ? this.#functions[location >>> 3] : undefined;
  }

  #setIntx(device: number, wire: number, level: boolean): void {
    const bit = 1 << device;
    const before = this.#assertedDevices[wire]!;
    const after = level ? before | bit : before & ~bit;
    this.#assertedDevices[wire] = after;
    if ((before !== 0) !== (after !== 0)) this.#wiring.intx?.[wire]?.line.set(after !== 0);
  }

  /** Unmaps the BARs that moved, then maps what fits. One that overlaps something waits until its place is free. */
  #remap(): void {
    const { mmio } = this.#wiring;
    const wanted = this.#functions.flatMap((pciFunction) =>
      pciFunction
        ? pciFunction.bars.map((bar) => ({ bar, address: pciFunction.memoryEnabled ? bar.address(pciFunction.config) : undefined }))
        : [],
    );
    for (const { bar, address } of wanted) {
      if (bar.mappedAt === undefined || bar.mappedAt === address) continue;
      mmio.unmap(bar.mappedAt);
      bar.mappedAt = undefined;
    }
    for (const { bar, address } of wanted) {
      if (address === undefined || bar.mappedAt !== undefined || !mmio.isFree(address, bar.sizeBytes)) continue;
      mmio.map(address, bar.sizeBytes, bar.name, bar.handler);
      bar.mappedAt = address;
    }
  }
}
