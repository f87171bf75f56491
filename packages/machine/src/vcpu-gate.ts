/** 32-bit words; each vCPU's flag has a cache line of its own. */
const OWNER = 0;
const CLOSED = 1;
const FLAGS = 16;
const FLAG_STRIDE = 16;

/** Looks at a word before a thread sleeps on it: the other side is usually about to change it. */
const SPIN_COUNT = 2000;
/** Sleeps are bounded so that a vCPU whose thread was ended cannot hold others for ever. */
const WAIT_MS = 10;

/**
 * The gate of a machine's vCPUs, in shared memory. A vCPU is inside while it executes guest code. One that must do what
 * WebAssembly's atomics cannot (a LOCKed access over two words, taking a page's write permission from other vCPUs'
 * TLBs) closes the gate: the others leave at their next look at their attention flag and wait, so that it is alone.
 */
export class VcpuGate {
  static sizeBytes(vcpuCount: number): number {
    return (FLAGS + vcpuCount * FLAG_STRIDE) * 4;
  }
  readonly #words: Int32Array;
  readonly #count: number;
  readonly #own: number;
  readonly #kick: (vcpu: number) => void;
  #resumes = false;

  /** `kick` makes another vCPU look at its attention flag soon. */
  constructor(buffer: ArrayBufferLike, vcpuCount: number, vcpu: number, kick: (vcpu: number) => void) {
    this.#words = new Int32Array(buffer);
    this.#count = vcpuCount;
    this.#own = FLAGS + vcpu * FLAG_STRIDE;
    this.#kick = kick;
  }

  /** Goes inside, once the gate is open. */
  enter(): void {
    const words = this.#words;
    for (;;) {
      Atomics.store(words, this.#own, 1);
      if (Atomics.load(words, CLOSED) === 0) return;
      this.leave();
      this.#whileEqual(CLOSED, 1);
    }
  }

  /** Guest memory and this vCPU's TLB are not touched by this vCPU until it enters again. */
  leave(): void {
    Atomics.store(this.#words, this.#own, 0);
    if (Atomics.load(this.#words, CLOSED) !== 0) Atomics.notify(this.#words, this.#own);
  }

  /** From here to `open` this vCPU is alone; whoever else tries waits. Others may have been alone meanwhile. */
  close(): void {
    const words = this.#words;
    this.#resumes = Atomics.load(words, this.#own) !== 0;
    this.leave();
    for (;;) {
      const owner = Atomics.compareExchange(words, OWNER, 0, this.#own);
      if (owner === 0) break;
      this.#whileEqual(OWNER, owner);
    }
    Atomics.store(words, CLOSED, 1);
    for (let vcpu = 0; vcpu < this.#count; vcpu++) {
      const flag = FLAGS + vcpu * FLAG_STRIDE;
      if (flag === this.#own || Atomics.load(words, flag) === 0) continue;
      this.#kick(vcpu);
      while (Atomics.load(words, flag) !== 0) this.#whileEqual(flag, 1);
    }
  }

  open(): void {
    const words = this.#words;
    if (this.#resumes) Atomics.store(words, this.#own, 1);
    Atomics.store(words, CLOSED, 0);
    Atomics.notify(words, CLOSED);
    Atomics.store(words, OWNER, 0);
    Atomics.notify(words, OWNER, 1);
  }

  #whileEqual(index: number, value: number): void {
    for (let count = 0; count < SPIN_COUNT; count++) if (Atomics.load(this.#words, index) !== value) return;
    Atomics.wait(this.#words, index, value, WAIT_MS);
  }
}
