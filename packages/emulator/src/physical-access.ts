import type { CodePages, GuestMemory, VcpuBus } from '@hanok/machine';

/** Guest-physical memory as one vCPU reaches it from the host's side: RAM, and memory-mapped I/O through the bus. */
export class PhysicalAccess {
  readonly #memory: GuestMemory;
  readonly #bus: VcpuBus;
  readonly #codePages: CodePages;
  readonly #vcpu: number;
  /** Drops this vCPU's translated code of a page that is about to be written. */
  readonly #dropCode: (page: number) => void;
  readonly #bytes: Uint8Array;
  readonly #halves: Uint16Array;
  readonly #words: Uint32Array;
  readonly #quads: BigUint64Array;

  constructor(memory: GuestMemory, bus: VcpuBus, codePages: CodePages, vcpu: number, dropCode: (page: number) => void) {
    this.#memory = memory;
    this.#bus = bus;
    this.#codePages = codePages;
    this.#vcpu = vcpu;
    this.#dropCode = dropCode;
    const buffer = memory.memory.buffer as ArrayBufferLike;
    this.#bytes = new Uint8Array(buffer);
    this.#halves = new Uint16Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#quads = new BigUint64Array(buffer);
  }

  /** Moves bytes from elsewhere in the wasm memory to guest-physical memory. */
  put(gpa: number, from: number, sizeBytes: number): void {
    if (gpa < this.#memory.sizeBytes) {
      this.beforeWrite(gpa);
      this.store(this.#memory.baseBytes + gpa, from, sizeBytes);
      return;
    }
    for (let done = 0; done < sizeBytes; ) {
      const width = mmioWidth(gpa + done, sizeBytes - done);
      let value = 0;
      for (let index = 0; index < width; index++) value |= this.#bytes[from + done + index]! << (index * 8);
      this.#bus.writeMmio(gpa + done, value >>> 0, width);
      done += width;
    }
  }

  /** Aligned stores are single accesses, as other vCPUs see them. */
  store(to: number, from: number, sizeBytes: number): void {
    if (to & (Math.min(sizeBytes, 8) - 1) || from & 7) this.#bytes.copyWithin(to, from, from + sizeBytes);
    else if (sizeBytes === 4) this.#words[to >>> 2] = this.#words[from >>> 2]!;
    else if (sizeBytes === 2) this.#halves[to >>> 1] = this.#halves[from >>> 1]!;
    else if ((sizeBytes & 7) === 0) for (let done = 0; done < sizeBytes; done += 8) this.#quads[(to + done) >>> 3] = this.#quads[(from + done) >>> 3]!;
    else this.#bytes.copyWithin(to, from, from + sizeBytes);
  }

  /** The other way. */
  get(gpa: number, to: number, sizeBytes: number): void {
    if (gpa < this.#memory.sizeBytes) {
      const from = this.#memory.baseBytes + gpa;
      this.#bytes.copyWithin(to, from, from + sizeBytes);
      return;
    }
    for (let done = 0; done < sizeBytes; ) {
      const width = mmioWidth(gpa + done, sizeBytes - done);
      const value = this.#bus.readMmio(gpa + done, width);
      for (let index = 0; index < width; index++) this.#bytes[to + done + index] = value >>> (index * 8);
      done += width;
    }
  }

  /** To be called before a page of RAM is written: translated code of it is dropped, here and on other vCPUs. */
  beforeWrite(gpa: number): void {
    const page = gpa >>> 12;
    if (this.#codePages.beforeWrite(page, this.#vcpu)) this.#dropCode(page);
  }
}

function mmioWidth(gpa: number, left: number): 1 | 2 | 4 {
  if (left >= 4 && (gpa & 3) === 0) return 4;
  return left >= 2 && (gpa & 1) === 0 ? 2 : 1;
}
