import { FakeClock, GuestMemory, IoSpace } from '@hanok/machine';
import type { AccessWidthBytes } from '@hanok/machine';
import { PciBus } from '@hanok/devices';
import type { PciFunction } from '@hanok/devices';

const WASM_PAGE_SIZE_BYTES = 65536;
const GUARD = 0xa5;
const FIRST_ALLOCATION = 0x1000;

/** Guest RAM between guard bytes, a PCI bus, a clock that stands still, and a list of the interrupts that came. */
export class TestBoard {
  readonly memory: GuestMemory;
  readonly ports = new IoSpace('ports');
  readonly mmio = new IoSpace('mmio');
  readonly clock = new FakeClock();
  readonly messages: { address: number; data: number }[] = [];
  readonly intx = [false, false, false, false];
  readonly bus: PciBus;
  readonly #whole: Uint8Array;
  #nextGpa = FIRST_ALLOCATION;

  constructor(ramSizeBytes = 1024 * 1024) {
    const pages = ramSizeBytes / WASM_PAGE_SIZE_BYTES + 2;
    const wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#whole = new Uint8Array(wasm.buffer);
    this.#whole.fill(GUARD, 0, WASM_PAGE_SIZE_BYTES);
    this.#whole.fill(GUARD, WASM_PAGE_SIZE_BYTES + ramSizeBytes);
    this.memory = new GuestMemory(wasm, WASM_PAGE_SIZE_BYTES, ramSizeBytes);
    this.bus = new PciBus({
      ports: this.ports,
      mmio: this.mmio,
      msi: { send: (address, data) => void this.messages.push({ address, data }) },
      intx: this.intx.map((_level, wire) => ({ gsi: 16 + wire, line: { set: (level: boolean) => void (this.intx[wire] = level) } })),
    });
  }

  add(device: { pci: PciFunction }): number {
    return this.bus.add(device.pci);
  }

  /** Guest RAM that nobody else of the test uses. */
  allocate(sizeBytes: number, alignBytes = 16): number {
    const gpa = Math.ceil(this.#nextGpa / alignBytes) * alignBytes;
    this.#nextGpa = gpa + sizeBytes;
    if (this.#nextGpa > this.memory.sizeBytes) throw new Error('the test ran out of guest RAM; make the board bigger');
    return gpa;
  }

  /** Gives all allocated RAM back, for a driver that starts anew. */
  rewindAllocations(): void {
    this.#nextGpa = FIRST_ALLOCATION;
  }

  /** Puts bytes somewhere in guest RAM. */
  place(bytes: Uint8Array): number {
    const gpa = this.allocate(bytes.length);
    this.memory.write(gpa, bytes);
    return gpa;
  }

  bytes(gpa: number, lengthBytes: number): Uint8Array {
    const slice = this.memory.slice(gpa, lengthBytes);
    if (!slice) throw new Error(`no RAM at ${gpa}`);
    return Uint8Array.from(slice);
  }

  /** Throws when a byte outside guest RAM changed. */
  checkGuards(): void {
    const end = this.memory.baseBytes + this.memory.sizeBytes;
    const broken = (at: number) => this.#whole[at] !== GUARD;
    for (let at = 0; at < this.memory.baseBytes; at++) if (broken(at)) throw new Error(`a device wrote to byte ${at} under guest RAM`);
    for (let at = end; at < this.#whole.length; at++) if (broken(at)) throw new Error(`a device wrote to byte ${at} above guest RAM`);
  }

  /** The data of the messages since the last call. */
  takeMessages(): number[] {
    return this.messages.splice(0).map((message) => message.data);
  }

  readConfig(device: number, register: number, widthBytes: AccessWidthBytes): number {
    this.ports.write(0xcf8, (0x80000000 | (device << 11) | (register & 0xfc)) >>> 0, 4);
    return this.ports.read(0xcfc + (register & 3), widthBytes);
  }

  writeConfig(device: number, register: number, value: number, widthBytes: AccessWidthBytes): void {
    this.ports.write(0xcf8, (0x80000000 | (device << 11) | (register & 0xfc)) >>> 0, 4);
    this.ports.write(0xcfc + (register & 3), value, widthBytes);
  }
}

/** Lets every promise that can settle do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
