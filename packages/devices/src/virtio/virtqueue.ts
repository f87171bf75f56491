import type { GuestMemory } from '@hanok/machine';
import type { StateReader } from '../pci/index.ts';
import { VIRTQ_AVAIL_F_NO_INTERRUPT } from './constants.ts';
import { DESCRIPTOR_SIZE_BYTES, walkChain } from './descriptor-chain.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { GuestBuffers } from './guest-buffers.ts';
import type { GuestSegment } from './guest-buffers.ts';

/** What a queue needs from its device. */
export interface VirtqueueHost {
  readonly memory: GuestMemory;
  /** True while the device may take new requests. */
  active(): boolean;
  /** True while the function may use memory at all. */
  dmaAllowed(): boolean;
  interrupt(queue: Virtqueue): void;
  /** The driver broke the ring: DEVICE_NEEDS_RESET. */
  fail(reason: string): void;
  /** Asks for another turn later, because this one took its share. */
  defer(queue: Virtqueue): void;
}

/** A split virtqueue, device side (virtio 1.2 §2.7). */
export class Virtqueue {
  readonly index: number;
  readonly name: string;
  readonly sizeMax: number;
  size: number;
  enabled = false;
  msixVector = 0;
  /** Descriptor table, available ring and used ring: low and high words, as the registers hold them. */
  readonly addressWords = new Uint32Array(6);
  eventIdx = false;
  indirect = false;
  readonly #host: VirtqueueHost;
  readonly #memory: GuestMemory;
  readonly #halfWords: Uint16Array;
  #descriptorGpa = 0;
  #availableGpa = 0;
  #usedGpa = 0;
  #lastAvailable = 0;
  #usedIdx = 0;
  /** The used index at the last decision about an interrupt; undefined when there was none. */
  #signalledIdx: number | undefined;
  #generation = 0;
  #turnLeft = 0;

  constructor(index: number, name: string, sizeMax: number, host: VirtqueueHost) {
    this.index = index;
    this.name = name;
    this.sizeMax = sizeMax;
    this.size = sizeMax;
    this.#host = host;
    this.#memory = host.memory;
    this.#halfWords = new Uint16Array(host.memory.memory.buffer, host.memory.baseBytes, host.memory.sizeBytes / 2);
  }

  /** Starts the queue with the size and addresses in its registers; false when they make no usable rings. */
  enable(): boolean {
    const [descriptors, available, used] = [0, 2, 4].map((word) => this.addressWords[word]! + this.addressWords[word + 1]! * 2 ** 32);
    const fits =
      this.#fits(descriptors!, this.size * DESCRIPTOR_SIZE_BYTES, 16) &&
      this.#fits(available!, 6 + 2 * this.size, 2) &&
      this.#fits(used!, 6 + 8 * this.size, 4);
    if (!fits) return false;
    this.#descriptorGpa = descriptors!;
    this.#availableGpa = available!;
    this.#usedGpa = used!;
    this.enabled = true;
    return true;
  }

  /** Power-on state. Chains taken before are stale: their buffers and `push` do nothing any more. */
  reset(noVector: number): void {
    this.enabled = false;
    this.size = this.sizeMax;
    this.msixVector = noVector;
    this.addressWords.fill(0);
    this.#lastAvailable = 0;
    this.#usedIdx = 0;
    this.#signalledIdx = undefined;
    this.#generation += 1;
  }

  /** Gives the device its share of one turn, so that a busy guest cannot hold the device's thread. */
  beginTurn(): void {
    this.#turnLeft = this.size;
  }

  /** The next chain without taking it; undefined when there is none, or the driver broke the ring. */
  peek(): DescriptorChain | undefined {
    if (!this.enabled || !this.#host.active()) return undefined;
    const waiting = this.#waiting();
    if (waiting === 0) return undefined;
    if (waiting > this.size) return this.#fail(`the available index is ${waiting} ahead`);
    if (this.#turnLeft <= 0) {
      this.#host.defer(this);
      return undefined;
    }
    const head = this.#load(this.#availableGpa + 4 + (this.#lastAvailable % this.size) * 2);
    const walked = walkChain(this.#memory, this.#descriptorGpa, this.size, head, this.indirect);
    if (typeof walked === 'string') return this.#fail(walked);
    const generation = this.#generation;
    const usable = () => this.#generation === generation && this.#host.dmaAllowed();
    const buffers = (segments: readonly GuestSegment[]) => new GuestBuffers(this.#memory, segments, usable);
    return { head, generation, readable: buffers(walked.readable), writable: buffers(walked.writable) };
  }

  /** Takes what `peek` showed. */
  take(): void {
    this.#lastAvailable = (this.#lastAvailable + 1) & 0xffff;
    this.#turnLeft -= 1;
  }

  /** Ends the turn early and asks for another, for a device whose work is not counted in chains. */
  yieldTurn(): void {
    this.#host.defer(this);
  }

  /** Takes the next chain. */
  pop(): DescriptorChain | undefined {
    const chain = this.peek();
    if (chain) this.take();
    return chain;
  }

  /** Gives a chain back with the number of bytes written to it (virtio 1.2 §2.7.8). */
  push(chain: DescriptorChain, writtenBytes: number): void {
    if (!this.enabled || chain.generation !== this.#generation || !this.#host.dmaAllowed()) return;
    const element = this.#usedGpa + 4 + (this.#usedIdx % this.size) * 8;
    this.#memory.writeU32(element, chain.head);
    this.#memory.writeU32(element + 4, writtenBytes);
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    this.#store(this.#usedGpa + 2, this.#usedIdx);
  }

  /** Interrupts the driver when it asked to hear of what was pushed since the last call (virtio 1.2 §2.7.7, §2.7.10). */
  signal(): void {
    const old = this.#signalledIdx;
    const now = this.#usedIdx;
    if (!this.enabled || old === now || (old === undefined && now === 0)) return;
    this.#signalledIdx = now;
    if (this.#wantsInterrupt(old, now)) this.#host.interrupt(this);
  }

  save(): Record<string, unknown> {
    const { size, enabled, msixVector } = this;
    return {
      size,
      enabled,
      msixVector,
      addresses: Array.from(this.addressWords, (word) => ({ word })),
      lastAvailable: this.#lastAvailable,
      usedIdx: this.#usedIdx,
    };
  }

  restore(state: StateReader): void {
    this.size = state.integer('size', 1, this.sizeMax);
    if (!isPowerOfTwo(this.size)) throw state.fail('size', 'is not a power of two');
    this.msixVector = state.integer('msixVector', 0, 0xffff);
    state.objects('addresses', 6).forEach((entry, index) => (this.addressWords[index] = entry.integer('word', 0, 0xffffffff)));
    this.#lastAvailable = state.integer('lastAvailable', 0, 0xffff);
    this.#usedIdx = state.integer('usedIdx', 0, 0xffff);
    this.#signalledIdx = undefined;
    this.#generation += 1;
    this.enabled = false;
    if (state.boolean('enabled') && !this.enable()) throw state.fail('addresses', 'do not fit the RAM of this machine');
  }

  /** Requests waiting. With none, asks the driver to notify of the next one and looks again (virtio 1.2 §2.7.10.1). */
  #waiting(): number {
    const waiting = (this.#load(this.#availableGpa + 2) - this.#lastAvailable) & 0xffff;
    if (waiting !== 0 || !this.eventIdx) return waiting;
    this.#store(this.#usedGpa + 4 + this.size * 8, this.#lastAvailable);
    return (this.#load(this.#availableGpa + 2) - this.#lastAvailable) & 0xffff;
  }

  #wantsInterrupt(old: number | undefined, now: number): boolean {
    if (!this.eventIdx) return (this.#load(this.#availableGpa) & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
    if (old === undefined) return true;
    const usedEvent = this.#load(this.#availableGpa + 4 + this.size * 2);
    return ((now - usedEvent - 1) & 0xffff) < ((now - old) & 0xffff);
  }

  #fits(gpa: number, lengthBytes: number, alignBytes: number): boolean {
    return this.#memory.contains(gpa, lengthBytes) && gpa % alignBytes === 0;
  }

  /** The vCPUs run in other threads: index loads and stores are ordered. Ring addresses are even (see `enable`). */
  #load(gpa: number): number {
    return Atomics.load(this.#halfWords, gpa / 2);
  }

  #store(gpa: number, value: number): void {
    Atomics.store(this.#halfWords, gpa / 2, value);
    this.#memory.written(gpa, 2);
  }

  #fail(reason: string): undefined {
    this.#host.fail(`${this.name}: ${reason}`);
    return undefined;
  }
}

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
