import type { AccessWidthBytes, IoHandler } from '@hanok/machine';
import { allOnes } from '../pci/index.ts';
import type { StateReader } from '../pci/index.ts';
import { VIRTIO_MSI_NO_VECTOR } from './constants.ts';
import type { VirtioCore } from './core.ts';
import type { Virtqueue } from './virtqueue.ts';
import { isPowerOfTwo } from './virtqueue.ts';

export const COMMON_CONFIG_SIZE_BYTES = 56;

interface CommonRegister {
  readonly name: string;
  readonly offset: number;
  readonly widthBytes: AccessWidthBytes;
  read(): number;
  write?(value: number): void;
}

/** The common configuration structure (virtio 1.2 §4.1.4.3). Each field is accessed at its own width (§4.1.3.1). */
export class CommonConfig implements IoHandler {
  configVector = VIRTIO_MSI_NO_VECTOR;
  readonly #core: VirtioCore;
  readonly #vectorCount: number;
  readonly #registers = new Map<number, CommonRegister>();
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;

  constructor(core: VirtioCore, vectorCount: number) {
    this.#core = core;
    this.#vectorCount = vectorCount;
    for (const register of [...this.#deviceRegisters(), ...this.#queueRegisters()]) this.#registers.set(register.offset, register);
  }

  read(offset: number, widthBytes: AccessWidthBytes): number {
    const register = this.#registers.get(offset);
    return register?.widthBytes === widthBytes ? register.read() : allOnes(widthBytes);
  }

  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    const register = this.#registers.get(offset);
    if (register?.widthBytes === widthBytes) register.write?.((value & allOnes(widthBytes)) >>> 0);
  }

  reset(): void {
    this.configVector = VIRTIO_MSI_NO_VECTOR;
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#queueSelect = 0;
  }

  save(): Record<string, unknown> {
    return {
      configVector: this.configVector,
      deviceFeatureSelect: this.#deviceFeatureSelect,
      driverFeatureSelect: this.#driverFeatureSelect,
      queueSelect: this.#queueSelect,
    };
  }

  restore(state: StateReader): void {
    this.configVector = this.#vector(state.integer('configVector', 0, 0xffff));
    this.#deviceFeatureSelect = state.integer('deviceFeatureSelect', 0, 0xffffffff);
    this.#driverFeatureSelect = state.integer('driverFeatureSelect', 0, 0xffffffff);
    this.#queueSelect = state.integer('queueSelect', 0, 0xffff);
  }

  #deviceRegisters(): CommonRegister[] {
    const core = this.#core;
    return [
      {
        name: 'device_feature_select',
        offset: 0,
        widthBytes: 4,
        read: () => this.#deviceFeatureSelect,
        write: (value) => void (this.#deviceFeatureSelect = value),
      },
      { name: 'device_feature', offset: 4, widthBytes: 4, read: () => core.offeredFeatures(this.#deviceFeatureSelect) },
      {
        name: 'driver_feature_select',
        offset: 8,
        widthBytes: 4,
        read: () => this.#driverFeatureSelect,
        write: (value) => void (this.#driverFeatureSelect = value),
      },
      {
        name: 'driver_feature',
        offset: 12,
        widthBytes: 4,
        read: () => core.acceptedFeatures(this.#driverFeatureSelect),
        write: (value) => core.acceptFeatures(this.#driverFeatureSelect, value),
      },
      {
        name: 'config_msix_vector',
        offset: 16,
        widthBytes: 2,
        read: () => this.configVector,
        write: (value) => void (this.configVector = this.#vector(value)),
      },
      { name: 'num_queues', offset: 18, widthBytes: 2, read: () => core.queues.length },
      { name: 'device_status', offset: 20, widthBytes: 1, read: () => core.status, write: (value) => this.#writeStatus(value) },
      { name: 'config_generation', offset: 21, widthBytes: 1, read: () => core.configGeneration },
      {
        name: 'queue_select',
        offset: 22,
        widthBytes: 2,
        read: () => this.#queueSelect,
        write: (value) => void (this.#queueSelect = value),
      },
    ];
  }

  #queueRegisters(): CommonRegister[] {
    const queue = () => this.#core.queues[this.#queueSelect];
    const address = (name: string, offset: number, word: number): CommonRegister => ({
      name,
      offset,
      widthBytes: 4,
      read: () => queue()?.addressWords[word] ?? 0,
      write: (value) => this.#change((selected) => void (selected.addressWords[word] = value)),
    });
    return [
      {
        name: 'queue_size',
        offset: 24,
        widthBytes: 2,
        read: () => queue()?.size ?? 0,
        write: (value) => this.#change((selected) => void (isPowerOfTwo(value) && value <= selected.sizeMax && (selected.size = value))),
      },
      {
        name: 'queue_msix_vector',
        offset: 26,
        widthBytes: 2,
        read: () => queue()?.msixVector ?? VIRTIO_MSI_NO_VECTOR,
        write: (value) => {
          const selected = queue();
          if (selected) selected.msixVector = this.#vector(value);
        },
      },
      { name: 'queue_enable', offset: 28, widthBytes: 2, read: () => (queue()?.enabled ? 1 : 0), write: (value) => this.#enable(value) },
      { name: 'queue_notify_off', offset: 30, widthBytes: 2, read: () => (queue() ? this.#queueSelect : 0) },
      address('queue_desc low', 32, 0),
      address('queue_desc high', 36, 1),
      address('queue_driver low', 40, 2),
      address('queue_driver high', 44, 3),
      address('queue_device low', 48, 4),
      address('queue_device high', 52, 5),
    ];
  }

  #writeStatus(value: number): void {
    if (value === 0) this.reset();
    this.#core.writeStatus(value);
  }

  /** Size and addresses are fixed while the queue is enabled (§4.1.4.3.2). */
  #change(change: (queue: Virtqueue) => void): void {
    const queue = this.#core.queues[this.#queueSelect];
    if (queue && !queue.enabled) change(queue);
  }

  #enable(value: number): void {
    const queue = this.#core.queues[this.#queueSelect];
    if (value !== 1 || !queue || queue.enabled) return;
    if (!queue.enable()) this.#core.needsReset(`${queue.name}: the rings are misaligned or outside RAM`);
  }

  /** A vector that the device does not have reads back as "none" (§4.1.5.1.2). */
  #vector(value: number): number {
    return value < this.#vectorCount ? value : VIRTIO_MSI_NO_VECTOR;
  }
}
