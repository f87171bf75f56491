import type { AccessWidthBytes, VcpuBus } from '@hanok/machine';

/** Word 0 counts what all vCPUs ask; Dom0 sleeps on it. Word 1 gives each access its number. Then a cache line for each vCPU, of which these are the words. */
const DOORBELL = 0;
const NUMBERS = 1;
const STATE = 0;
const KIND = 1;
const ADDRESS = 2;
const VALUE = 3;
const WIDTH = 4;
const NUMBER = 5;
const LINE_WORDS = 16;
const lineOf = (vcpu: number) => (1 + vcpu) * LINE_WORDS;

/** Values of the state word: nothing asked, or answered; and asked. */
const Idle = 0;
const Asked = 1;

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

/**
 * A vCPU's side. Reads block until Dom0 answered, and so do writes to most ports. Writes to device memory are posted, as on
 * PCI (Local Bus Specification 3.0 section 3.2.5), and those to ports that `isPosted`: the vCPU goes on, and only its next
 * access waits for the device.
 */
export class MailboxBus implements VcpuBus {
  readonly #words: Int32Array;
  readonly #line: number;
  readonly #isPosted: (port: number) => boolean;

  constructor(buffer: SharedArrayBuffer, vcpu: number, isPosted: (port: number) => boolean) {
    this.#words = new Int32Array(buffer);
    this.#line = lineOf(vcpu);
    this.#isPosted = isPosted;
  }

  #post(kind: Kind, address: number, value: number, widthBytes: AccessWidthBytes): void {
    const words = this.#words;
    const line = this.#line;
    this.#settle();
    words[line + KIND] = KINDS.indexOf(kind);
    words[line + ADDRESS] = address | 0;
    words[line + VALUE] = value | 0;
    words[line + WIDTH] = widthBytes;
    words[line + NUMBER] = Atomics.add(words, NUMBERS, 1);
    Atomics.store(words, line + STATE, Asked);
    Atomics.add(words, DOORBELL, 1);
    Atomics.notify(words, DOORBELL);
  }

  /** Waits until the access before is answered, if there is one. */
  #settle(): void {
    const words = this.#words;
    const state = this.#line + STATE;
    for (let looks = 0; looks < ANSWER_LOOKS && Atomics.load(words, state) === Asked; looks++) Atomics.pause();
    while (Atomics.load(words, state) === Asked) Atomics.wait(words, state, Asked);
  }

  #ask(kind: Kind, address: number, value: number, widthBytes: AccessWidthBytes): number {
    this.#post(kind, address, value, widthBytes);
    this.#settle();
    return this.#words[this.#line + VALUE]! >>> 0;
  }

  readPort(port: number, widthBytes: AccessWidthBytes): number {
    return this.#ask('readPort', port, 0, widthBytes);
  }
  writePort(port: number, value: number, widthBytes: AccessWidthBytes): void {
    this.#post('writePort', port, value, widthBytes);
    if (!this.#isPosted(port)) this.#settle();
  }
  /** All device memory lies below 4 GiB; above it there is nothing, which reads as all ones. */
  readMmio(gpa: number, widthBytes: AccessWidthBytes): number {
    return gpa > 0xffffffff ? 0xffffffff : this.#ask('readMmio', gpa, 0, widthBytes);
  }
  writeMmio(gpa: number, value: number, widthBytes: AccessWidthBytes): void {
    if (gpa <= 0xffffffff) this.#post('writeMmio', gpa, value, widthBytes);
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

/** Answers what the vCPUs ask, one access of each at most; whether there was some. */
function answerAll(words: Int32Array, vcpuCount: number, bus: VcpuBus): boolean {
  for (let count = 0; count < vcpuCount; count++) {
    const line = firstAsked(words, vcpuCount);
    if (line === 0) return count > 0;
    answer(words, line, bus);
  }
  return true;
}

/**
 * The line of the access that was asked first, or 0: a vCPU that posted a write may have told another that it did, whose
 * access must find it done. All that has a smaller number than the first one seen was asked by then, so that a second look
 * finds it.
 */
function firstAsked(words: Int32Array, vcpuCount: number): number {
  const seen = lowestNumber(words, vcpuCount);
  return seen === 0 || vcpuCount === 1 ? seen : lowestNumber(words, vcpuCount);
}

function lowestNumber(words: Int32Array, vcpuCount: number): number {
  let found = 0;
  for (let vcpu = 0; vcpu < vcpuCount; vcpu++) {
    const line = lineOf(vcpu);
    if (Atomics.load(words, line + STATE) !== Asked) continue;
    if (found === 0 || ((words[line + NUMBER]! - words[found + NUMBER]!) | 0) < 0) found = line;
  }
  return found;
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
  Atomics.store(words, line + STATE, Idle);
  Atomics.notify(words, line + STATE);
}

/** Wakes `serveMailboxes` so that it sees `isStopped`. */
export function wakeMailboxes(buffer: SharedArrayBuffer): void {
  const words = new Int32Array(buffer);
  Atomics.add(words, DOORBELL, 1);
  Atomics.notify(words, DOORBELL);
}
