import type { AccessWidthBytes, VcpuBus } from '@hanok/machine';

/** Word 0 counts what all vCPUs ask; Dom0 sleeps on it. Then a cache line for each vCPU, of which these are the words. */
const DOORBELL = 0;
const STATE = 0;
const KIND = 1;
const ADDRESS = 2;
const VALUE = 3;
const WIDTH = 4;
const LINE_WORDS = 16;
const lineOf = (vcpu: number) => (1 + vcpu) * LINE_WORDS;

/** Values of the state word: nothing asked, asked, answered. */
const Idle = 0;
const Asked = 1;
const Answered = 2;

const KINDS = ['readPort', 'writePort', 'readMmio', 'writeMmio'] as const;
type Kind = (typeof KINDS)[number];

/** How often a vCPU looks for the answer, 40 ns each, before it sleeps: where Dom0 looks too, it comes sooner than a thread wakes up. */
const ANSWER_LOOKS = 200;
/** How long Dom0 looks for the next access before it goes back to its event loop: accesses come in bursts. */
const SPIN_MS = 0.03;
/** How long it stays away from its event loop at most. */
const BURST_MS = 2;

/** Accesses of vCPUs to devices on Dom0's thread, through shared memory: one at a time from each. */
export const mailboxBytes = (vcpuCount: number): number => lineOf(vcpuCount) * 4;

/** A vCPU's side: each access blocks until Dom0 answered. */
export class MailboxBus implements VcpuBus {
  readonly #words: Int32Array;
  readonly #line: number;

  constructor(buffer: SharedArrayBuffer, vcpu: number) {
    this.#words = new Int32Array(buffer);
    this.#line = lineOf(vcpu);
  }

  #ask(kind: Kind, address: number, value: number, widthBytes: AccessWidthBytes): number {
    const words = this.#words;
    const line = this.#line;
    words[line + KIND] = KINDS.indexOf(kind);
    words[line + ADDRESS] = address | 0;
    words[line + VALUE] = value | 0;
    words[line + WIDTH] = widthBytes;
    Atomics.store(words, line + STATE, Asked);
    Atomics.add(words, DOORBELL, 1);
    Atomics.notify(words, DOORBELL);
    for (let looks = 0; looks < ANSWER_LOOKS && Atomics.load(words, line + STATE) !== Answered; looks++) Atomics.pause();
    while (Atomics.load(words, line + STATE) !== Answered) Atomics.wait(words, line + STATE, Asked);
    Atomics.store(words, line + STATE, Idle);
    return words[line + VALUE]! >>> 0;
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

/** Dom0's side: answers all vCPUs' accesses until `isStopped`. */
export async function serveMailboxes(buffer: SharedArrayBuffer, vcpuCount: number, bus: VcpuBus, isStopped: () => boolean): Promise<void> {
  const words = new Int32Array(buffer);
  while (!isStopped()) {
    const rung = Atomics.load(words, DOORBELL);
    if (!answerAll(words, vcpuCount, bus)) {
      const wait = Atomics.waitAsync(words, DOORBELL, rung);
      if (wait.async) await wait.value;
    }
    if (serveBurst(words, vcpuCount, bus, isStopped)) await new Promise(setImmediate);
  }
}

/** True when there was still something to do at the end. */
function serveBurst(words: Int32Array, vcpuCount: number, bus: VcpuBus, isStopped: () => boolean): boolean {
  const burstEnd = performance.now() + BURST_MS;
  let quietUntil = performance.now() + SPIN_MS;
  while (!isStopped()) {
    const now = performance.now();
    if (now >= burstEnd) return true;
    if (answerAll(words, vcpuCount, bus)) quietUntil = now + SPIN_MS;
    else if (now >= quietUntil) return false;
  }
  return false;
}

/** Answers each vCPU that asks; whether any did. */
function answerAll(words: Int32Array, vcpuCount: number, bus: VcpuBus): boolean {
  let some = false;
  for (let vcpu = 0; vcpu < vcpuCount; vcpu++) {
    if (Atomics.load(words, lineOf(vcpu) + STATE) !== Asked) continue;
    answer(words, lineOf(vcpu), bus);
    some = true;
  }
  return some;
}

function answer(words: Int32Array, line: number, bus: VcpuBus): void {
  const width = words[line + WIDTH] as AccessWidthBytes;
  const address = words[line + ADDRESS]! >>> 0;
  const value = words[line + VALUE]! >>> 0;
  switch (KINDS[words[line + KIND]!]) {
    case 'readPort':
      words[line + VALUE] = bus.readPort(address, width) | 0;
      break;
    case 'writePort':
      bus.writePort(address, value, width);
      break;
    case 'readMmio':
      words[line + VALUE] = bus.readMmio(address, width) | 0;
      break;
    default:
      bus.writeMmio(address, value, width);
  }
  Atomics.store(words, line + STATE, Answered);
  Atomics.notify(words, line + STATE);
}

/** Wakes `serveMailboxes` so that it sees `isStopped`. */
export function wakeMailboxes(buffer: SharedArrayBuffer): void {
  const words = new Int32Array(buffer);
  Atomics.add(words, DOORBELL, 1);
  Atomics.notify(words, DOORBELL);
}
