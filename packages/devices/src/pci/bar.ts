import type { AccessWidthBytes, IoHandler } from '@hanok/machine';
import { allOnes } from './config-space.ts';
import type { ConfigRegister, ConfigSpace } from './config-space.ts';
import { PCI_MMIO_BASE, PCI_MMIO_SIZE_BYTES, PciRegister } from './constants.ts';

const TYPE_64_BIT = 0x4;

/** A part of a BAR with a handler of its own; offsets given to the handler start at the region. */
export interface BarRegion {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly handler: IoHandler;
}

/** A non-prefetchable memory BAR (PCI Local Bus 3.0 §6.2.5.1). A 64-bit one takes two registers. */
export interface BarDeclaration {
  readonly index: number;
  readonly kind: 'memory32' | 'memory64';
  /** A power of two, 16 or more. */
  readonly sizeBytes: number;
  readonly regions: readonly BarRegion[];
}

/** One BAR of a function: its registers and what answers behind it. */
export class Bar {
  readonly name: string;
  readonly sizeBytes: number;
  readonly handler: IoHandler;
  /** Where the bus has it mapped at present. */
  mappedAt: number | undefined;
  /** What firmware would have assigned. */
  assignedAddress = 0;
  readonly #offset: number;
  readonly #is64Bit: boolean;

  constructor(functionName: string, declaration: BarDeclaration) {
    const { index, kind, sizeBytes, regions } = declaration;
    const name = `${functionName} BAR ${index}`;
    if (!Number.isInteger(Math.log2(sizeBytes)) || sizeBytes < 16 || sizeBytes > PCI_MMIO_SIZE_BYTES) {
      throw new Error(`${name}: size ${sizeBytes} is not a power of two from 16 to ${PCI_MMIO_SIZE_BYTES}`);
    }
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.handler = dispatch(regions);
    this.#offset = PciRegister.BaseAddress0 + index * 4;
    this.#is64Bit = kind === 'memory64';
  }

  /** The rows of the BAR; `moved` runs when the guest writes one. */
  registers(moved: () => void): ConfigRegister[] {
    const low: ConfigRegister = {
      name: this.name,
      offset: this.#offset,
      widthBytes: 4,
      value: this.#is64Bit ? TYPE_64_BIT : 0,
      writeMask: -this.sizeBytes >>> 0,
      afterWrite: moved,
    };
    if (!this.#is64Bit) return [low];
    return [
      low,
      { name: `${this.name} high`, offset: this.#offset + 4, widthBytes: 4, value: 0, writeMask: 0xffffffff, afterWrite: moved },
    ];
  }

  /** Puts the assigned address into the registers, as firmware does. */
  assign(config: ConfigSpace): void {
    config.poke(this.#offset, (this.assignedAddress | (this.#is64Bit ? TYPE_64_BIT : 0)) >>> 0, 4);
  }

  /** Where the registers put the BAR, or undefined where the host bridge does not forward to it. */
  address(config: ConfigSpace): number | undefined {
    const address = (config.peek(this.#offset, 4) & -16) >>> 0;
    if (this.#is64Bit && config.peek(this.#offset + 4, 4) !== 0) return undefined;
    return address >= PCI_MMIO_BASE && address + this.sizeBytes <= PCI_MMIO_BASE + PCI_MMIO_SIZE_BYTES ? address : undefined;
  }
}

function dispatch(regions: readonly BarRegion[]): IoHandler {
  const find = (offset: number, widthBytes: number) =>
    regions.find((region) => offset >= region.offset && offset + widthBytes <= region.offset + region.sizeBytes);
  return {
    read(offset: number, widthBytes: AccessWidthBytes): number {
      const region = find(offset, widthBytes);
      return region ? region.handler.read(offset - region.offset, widthBytes) : allOnes(widthBytes);
    },
    write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
      const region = find(offset, widthBytes);
      region?.handler.write(offset - region.offset, value, widthBytes);
    },
  };
}
