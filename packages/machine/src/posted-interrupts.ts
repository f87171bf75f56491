import { DeliveryMode } from './interrupts.ts';

const WORD_COUNT = 8;
/** Bits of the word of other events; the vector of a start-up IPI stands in bits 8-15. */
const EVENT = { Nmi: 1, Init: 2, Startup: 4, Kick: 8 } as const;
const STARTUP_VECTOR_SHIFT = 8;
const OTHERS = 17;

/**
 * Interrupts on their way to one vCPU, in shared memory: any thread posts, the vCPU's thread collects. The same idea
 * as the posted-interrupt descriptor of SDM vol. 3C §30.6: 256 request bits, here with a trigger-mode bit each.
 * Layout, in 32-bit words: 0-7 requests, 8-15 level-triggered, 16 attention, 17 other events.
 */
export class PostedInterrupts {
  static readonly sizeBytes = 72;
  readonly #words: Int32Array;

  constructor(buffer: ArrayBufferLike, offsetBytes = 0) {
    this.#words = new Int32Array(buffer, offsetBytes, PostedInterrupts.sizeBytes / 4);
  }

  /** Posts a fixed interrupt and wakes the vCPU. Vectors under 16 are illegal and dropped (SDM vol. 3A §11.5.2). */
  post(vector: number, levelTriggered: boolean): void {
    const word = (vector >> 5) & 7;
    const bit = 1 << (vector & 31);
    if (vector < 16) return;
    if (levelTriggered) Atomics.or(this.#words, WORD_COUNT + word, bit);
    else Atomics.and(this.#words, WORD_COUNT + word, ~bit);
    Atomics.or(this.#words, word, bit);
    this.wake();
  }

  /** Posts what an interrupt message asks for (address and data as in SDM vol. 3A §11.11). */
  postMessage(data: number): void {
    const mode = (data >> 8) & 7;
    if (mode === DeliveryMode.Fixed || mode === DeliveryMode.LowestPriority) this.post(data & 0xff, (data & 0x8000) !== 0);
    else if (mode === DeliveryMode.Nmi) this.postNmi();
  }

  postNmi(): void {
    Atomics.or(this.#words, OTHERS, EVENT.Nmi);
    this.wake();
  }

  /** True once after each `postNmi`. */
  takeNmi(): boolean {
    return (Atomics.and(this.#words, OTHERS, ~EVENT.Nmi) & EVENT.Nmi) !== 0;
  }

  /** An INIT; a start-up IPI that came before it is void. */
  postInit(): void {
    Atomics.store(this.#words, OTHERS, EVENT.Init);
    this.wake();
  }
  takeInit(): boolean {
    return (Atomics.and(this.#words, OTHERS, ~EVENT.Init) & EVENT.Init) !== 0;
  }

  /** A start-up IPI; of several at once the last counts. */
  postStartup(vector: number): void {
    Atomics.and(this.#words, OTHERS, ~(0xff << STARTUP_VECTOR_SHIFT));
    Atomics.or(this.#words, OTHERS, EVENT.Startup | (vector << STARTUP_VECTOR_SHIFT));
    this.wake();
  }
  /** The vector of a start-up IPI, or -1. */
  takeStartup(): number {
    const events = Atomics.and(this.#words, OTHERS, EVENT.Nmi | EVENT.Init | EVENT.Kick);
    return events & EVENT.Startup ? (events >>> STARTUP_VECTOR_SHIFT) & 0xff : -1;
  }

  /** Ends the vCPU's HLT, or its next one, without an interrupt. */
  postKick(): void {
    Atomics.or(this.#words, OTHERS, EVENT.Kick);
    this.wake();
  }
  takeKick(): boolean {
    return (Atomics.and(this.#words, OTHERS, ~EVENT.Kick) & EVENT.Kick) !== 0;
  }

  /** Nothing is posted any more. */
  clear(): void {
    for (let word = 0; word < this.#words.length; word++) Atomics.store(this.#words, word, 0);
  }

  /** Takes the requests of 32 vectors (word 0 to 7) with their trigger modes. */
  take(word: number): { requests: number; levels: number } {
    const requests = Atomics.exchange(this.#words, word, 0);
    return { requests, levels: requests && Atomics.load(this.#words, WORD_COUNT + word) };
  }

  /** Raises the attention flag: the vCPU looks at its events soon, and leaves HLT. */
  wake(): void {
    Atomics.store(this.#words, 16, 1);
    Atomics.notify(this.#words, 16);
  }

  /** True when the flag was raised since the last call; lowers it. */
  takeAttention(): boolean {
    return Atomics.exchange(this.#words, 16, 0) !== 0;
  }

  /** Blocks the calling thread until `wake` or the time-out. */
  wait(timeoutMs: number): void {
    Atomics.wait(this.#words, 16, 0, timeoutMs);
  }
}
