import type { Clock, GuestMemory } from '@hanok/machine';
import type { StateReader } from '../pci/index.ts';
import {
  VIRTIO_F_RING_EVENT_IDX,
  VIRTIO_F_RING_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
  VIRTIO_MSI_NO_VECTOR,
  VirtioStatus,
} from './constants.ts';
import type { VirtioDeclaration, VirtioModel } from './device.ts';
import { Virtqueue } from './virtqueue.ts';
import { Work } from './work.ts';

const STATUS_BITS = 0xcf;

/** What the core needs from the bus binding. */
export interface VirtioBinding {
  readonly name: string;
  readonly memory: GuestMemory;
  readonly clock: Clock;
  dmaAllowed(): boolean;
  interruptQueue(queue: Virtqueue): void;
  interruptConfig(): void;
}

/** The part of virtio that every bus shares: status, features, queues and lifecycle (virtio 1.2 §2, §3). */
export class VirtioCore {
  readonly queues: readonly Virtqueue[];
  configGeneration = 0;
  /** Why the device last needed a reset, for traces. */
  lastFailure: string | undefined;
  readonly #binding: VirtioBinding;
  readonly #model: VirtioModel;
  readonly #offeredWords: Uint32Array;
  readonly #acceptedWords = new Uint32Array(2);
  readonly #work: Work;
  #status = 0;

  constructor(declaration: VirtioDeclaration<never>, config: unknown, binding: VirtioBinding) {
    this.#binding = binding;
    const queues = typeof declaration.queues === 'function' ? declaration.queues(config as never) : declaration.queues;
    const features = typeof declaration.features === 'function' ? declaration.features(config as never) : declaration.features;
    this.#offeredWords = featureWords([...features, VIRTIO_F_RING_INDIRECT_DESC, VIRTIO_F_RING_EVENT_IDX, VIRTIO_F_VERSION_1]);
    this.#work = new Work(binding.clock, (queue) => this.#run(queue));
    const host = {
      memory: binding.memory,
      active: () => this.active,
      dmaAllowed: () => binding.dmaAllowed(),
      interrupt: (queue: Virtqueue) => binding.interruptQueue(queue),
      fail: (reason: string) => this.needsReset(reason),
      defer: (queue: Virtqueue) => this.#work.defer(queue),
    };
    this.queues = queues.map(({ name, sizeMax }, index) => new Virtqueue(index, `${binding.name} ${name}`, sizeMax, host));
    this.#model = declaration.create(config as never, {
      name: binding.name,
      memory: binding.memory,
      clock: binding.clock,
      queues: this.queues,
      active: () => this.active,
      hasFeature: (bit) => (this.#acceptedWords[bit >> 5]! & (1 << (bit & 31))) !== 0,
      service: (queue) => this.notify(queue.index),
      configChanged: () => this.#configChanged(),
      needsReset: (reason) => this.needsReset(reason),
    });
    this.#resetQueues();
  }

  get status(): number {
    return this.#status;
  }

  /** True while the device may take requests. */
  get active(): boolean {
    const running = (this.#status & (VirtioStatus.DRIVER_OK | VirtioStatus.DEVICE_NEEDS_RESET)) === VirtioStatus.DRIVER_OK;
    return running && !this.#work.paused && this.#binding.dmaAllowed();
  }

  get config(): Uint8Array | undefined {
    return this.#model.config;
  }

  offeredFeatures(word: number): number {
    return this.#offeredWords[word] ?? 0;
  }

  acceptedFeatures(word: number): number {
    return this.#acceptedWords[word] ?? 0;
  }

  /** Features are final once FEATURES_OK is set. */
  acceptFeatures(word: number, value: number): void {
    if (word < 2 && (this.#status & VirtioStatus.FEATURES_OK) === 0) this.#acceptedWords[word] = value;
  }

  /** The driver's write of the status field: 0 resets, other values only add bits (virtio 1.2 §2.1.1). */
  writeStatus(value: number): void {
    if (value === 0) return this.reset();
    let added = value & STATUS_BITS & ~this.#status & ~VirtioStatus.DEVICE_NEEDS_RESET;
    if ((added & VirtioStatus.FEATURES_OK) !== 0 && !this.#featuresFit()) added &= ~VirtioStatus.FEATURES_OK;
    if (((this.#status | added) & VirtioStatus.FEATURES_OK) === 0) added &= ~VirtioStatus.DRIVER_OK;
    this.#status |= added;
    if ((added & VirtioStatus.FEATURES_OK) !== 0) this.#applyFeatures();
    if ((added & VirtioStatus.DRIVER_OK) === 0) return;
    this.#model.onDriverOk?.();
    this.serviceAll();
  }

  /** A notification of the driver (virtio 1.2 §2.7.13.3). */
  notify(queueIndex: number): void {
    const queue = this.queues[queueIndex];
    if (queue) this.#work.request(queue);
  }

  /** Looks at every queue, because something that held them back is gone. */
  serviceAll(): void {
    for (const queue of this.queues) if (queue.enabled) this.#work.request(queue);
  }

  needsReset(reason: string): void {
    this.lastFailure = reason;
    if ((this.#status & VirtioStatus.DEVICE_NEEDS_RESET) !== 0) return;
    this.#status |= VirtioStatus.DEVICE_NEEDS_RESET;
    if ((this.#status & VirtioStatus.DRIVER_OK) !== 0) this.#configChanged();
  }

  reset(): void {
    this.#status = 0;
    this.#acceptedWords.fill(0);
    this.#work.clear();
    this.#resetQueues();
    this.#model.reset();
  }

  async pause(): Promise<void> {
    this.#work.pause();
    await this.#model.pause?.();
  }

  resume(): void {
    this.#work.resume();
    this.#model.resume?.();
    this.serviceAll();
  }

  async stop(): Promise<void> {
    await this.pause();
    await this.#model.stop?.();
  }

  save(): Record<string, unknown> {
    return {
      status: this.#status,
      features: Array.from(this.#acceptedWords, (word) => ({ word })),
      configGeneration: this.configGeneration,
      queues: this.queues.map((queue) => queue.save()),
      model: this.#model.save?.() ?? {},
    };
  }

  /** Leaves the device paused. */
  restore(state: StateReader): void {
    this.reset();
    this.#work.pause();
    this.#status = state.integer('status', 0, 255) & (STATUS_BITS | VirtioStatus.DEVICE_NEEDS_RESET);
    this.configGeneration = state.integer('configGeneration', 0, 255);
    state.objects('features', 2).forEach((entry, index) => (this.#acceptedWords[index] = entry.integer('word', 0, 0xffffffff)));
    if ((this.#status & VirtioStatus.FEATURES_OK) !== 0) {
      if (!this.#featuresFit()) throw state.fail('features', 'were not offered by this device');
      this.#applyFeatures();
    }
    const queues = state.objects('queues', this.queues.length);
    this.queues.forEach((queue, index) => queue.restore(queues[index]!));
    this.#model.restore?.(state.object('model'));
  }

  #run(queue: Virtqueue): void {
    if (!queue.enabled || !this.active) return;
    queue.beginTurn();
    this.#model.onNotify(queue);
    queue.signal();
  }

  #configChanged(): void {
    this.configGeneration = (this.configGeneration + 1) & 0xff;
    if ((this.#status & VirtioStatus.DRIVER_OK) !== 0) this.#binding.interruptConfig();
  }

  /** VERSION_1 is required: there is no legacy interface (virtio 1.2 §6.1). */
  #featuresFit(): boolean {
    const unknown = this.#acceptedWords.some((word, index) => (word & ~this.#offeredWords[index]!) !== 0);
    return !unknown && (this.#acceptedWords[1]! & (1 << (VIRTIO_F_VERSION_1 - 32))) !== 0;
  }

  #applyFeatures(): void {
    for (const queue of this.queues) {
      queue.indirect = (this.#acceptedWords[0]! & (1 << VIRTIO_F_RING_INDIRECT_DESC)) !== 0;
      queue.eventIdx = (this.#acceptedWords[0]! & (1 << VIRTIO_F_RING_EVENT_IDX)) !== 0;
    }
  }

  #resetQueues(): void {
    for (const queue of this.queues) queue.reset(VIRTIO_MSI_NO_VECTOR);
  }
}

function featureWords(bits: readonly number[]): Uint32Array {
  const words = new Uint32Array(2);
  for (const bit of bits) words[bit >> 5]! |= 1 << (bit & 31);
  return words;
}
