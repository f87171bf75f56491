import type { AccessWidthBytes, VcpuBus } from '@hanok/machine';

/** Words of the shared buffer. */
const STATE = 0;
const KIND = 1;
const ADDRESS = 2;
const VALUE = 3;
const WIDTH = 4;
const WORD_COUNT = 5;

/** Values of the state word: nothing asked, asked, answered. */
const Idle = 0;
const Asked = 1;
const Answered = 2;

const KINDS = ['readPort', 'writePort', 'readMmio', 'writeMmio'] as const;
type Kind = (typeof KINDS)[number];

/** How long Dom0 looks for the next access before it goes back to its event loop: accesses come in bursts. */
const SPIN_MS = 0.03;

/** A vCPU's accesses to devices on Dom0's thread: one at a time, through shared memory. */
export const MAILBOX_BYTES = WORD_COUNT * 4;

/** The vCPU's side: each access blocks until Dom0 answered. */
export class MailboxBus implements VcpuBus {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  #ask(kind: Kind, address: number, value: number, widthBytes: AccessWidthBytes): number {
    const words = this.#words;
    words[KIND] = KINDS.indexOf(kind);
    words[ADDRESS] = address | 0;
    words[VALUE] = value | 0;
    words[WIDTH] = widthBytes;
    Atomics.store(words, STATE, Asked);
    Atomics.notify(words, STATE);
    while (Atomics.load(words, STATE) !== Answered) Atomics.wait(words, STATE, Asked);
    Atomics.store(words, STATE, Idle);
    return words[VALUE]! >>> 0;
  }

  readPort(port: number, widthBytes: AccessWidthBytes): number {
    return this.#ask('readPort', port, 0, widthBytes);
  }
  writePort(port: number, value: number, widthBytes: AccessWidthBytes): void {
    this.#ask('writePort', port, value, widthBytes);
  }
  /** All device memory lies below 4 GiB; above it there is nothing, which reads as all ones. */
  readMmio(gpa: number, widthBytes: AccessWidthBytes): number {
    return gpa > 0xffffffff ? 0xffffffff : this.#ask('readMmio', gpa, 0, widthBytes);
  }
  writeMmio(gpa: number, value: number, widthBytes: AccessWidthBytes): void {
    if (gpa <= 0xffffffff) this.#ask('writeMmio', gpa, value, widthBytes);
  }
}

/** Dom0's side: answers accesses until `isStopped`. */
export async function serveMailbox(buffer: SharedArrayBuffer, bus: VcpuBus, isStopped: () => boolean): Promise<void> {
  const words = new Int32Array(buffer);
  while (!isStopped()) {
    const state = Atomics.load(words, STATE);
    if (state !== Asked) {
      const wait = Atomics.waitAsync(words, STATE, state);
      if (wait.async) await wait.value;
    }
    serveBurst(words, bus, isStopped);
  }
}

function serveBurst(words: Int32Array, bus: VcpuBus, isStopped: () => boolean): void {
  const burstEnd = performance.now() + 2;
  let quietUntil = performance.now() + SPIN_MS;
  while (!isStopped()) {
    if (Atomics.load(words, STATE) === Asked) {
      answer(words, bus);
      quietUntil = Math.min(burstEnd, performance.now() + SPIN_MS);
    } else if (performance.now() >= quietUntil) return;
  }
}

function answer(words: Int32Array, bus: VcpuBus): void {
  const width = words[WIDTH] as AccessWidthBytes;
  const address = words[ADDRESS]! >>> 0;
  const value = words[VALUE]! >>> 0;
  switch (KINDS[words[KIND]!]) {
    case 'readPort':
      words[VALUE] = bus.readPort(address, width) | 0;
      break;
    case 'writePort':
      bus.writePort(address, value, width);
      break;
    case 'readMmio':
      words[VALUE] = bus.readMmio(address, width) | 0;
      break;
    default:
      bus.writeMmio(address, value, width);
  }
  Atomics.store(words, STATE, Answered);
  Atomics.notify(words, STATE);
}

/** Wakes `serveMailbox` so that it sees `isStopped`. */
export function wakeMailbox(buffer: SharedArrayBuffer): void {
  Atomics.notify(new Int32Array(buffer), STATE);
}
