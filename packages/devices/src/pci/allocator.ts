import { PCI_MMIO_BASE, PCI_MMIO_SIZE_BYTES } from './constants.ts';

/** Hands out naturally aligned ranges of the bridge's memory window, as firmware does when it assigns BARs. */
export class PciMmioAllocator {
  readonly #end: number;
  #next: number;

  constructor(base = PCI_MMIO_BASE, sizeBytes = PCI_MMIO_SIZE_BYTES) {
    this.#next = base;
    this.#end = base + sizeBytes;
  }

  allocate(name: string, sizeBytes: number): number {
    const address = Math.ceil(this.#next / sizeBytes) * sizeBytes;
    if (address + sizeBytes > this.#end)
      throw new Error(`${name}: no room for ${sizeBytes} bytes in the PCI memory window; attach fewer devices`);
    this.#next = address + sizeBytes;
    return address;
  }
}
