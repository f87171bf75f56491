import type { Clock, GuestMemory } from '@hanok/machine';
import type { StateReader } from '../pci/index.ts';
import type { Virtqueue } from './virtqueue.ts';

export interface QueueDeclaration {
  readonly name: string;
  /** A power of two up to 1024. */
  readonly sizeMax: number;
}

/** What a device model gets from its transport. */
export interface VirtioEnv {
  /** The instance's name, for messages. */
  readonly name: string;
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly queues: readonly Virtqueue[];
  /** True between DRIVER_OK and the next reset, pause or failure. */
  active(): boolean;
  /** True when the driver accepted the feature. */
  hasFeature(bit: number): boolean;
  /** Runs `onNotify` for a queue from outside a notification, for example after a completion. */
  service(queue: Virtqueue): void;
  /** The device-specific configuration changed (virtio 1.2 §2.5). */
  configChanged(): void;
  /** The driver did what no driver may do: DEVICE_NEEDS_RESET (virtio 1.2 §2.1.2). */
  needsReset(reason: string): void;
}

/** What a kind of device does; everything else is the transport's. */
export interface VirtioModel {
  /** The device-specific configuration, read-only for the driver. The model changes it and calls `configChanged`. */
  readonly config?: Uint8Array;
  /** The driver made requests available, or the queue's turn came again. Interrupts are decided afterwards. */
  onNotify(queue: Virtqueue): void;
  /** The driver set DRIVER_OK; queues are serviced next. */
  onDriverOk?(): void;
  /** The queues were reset; forget every chain. */
  reset(): void;
  /** Resolves when no work is under way. `onNotify` is not called until `resume`. */
  pause?(): Promise<void>;
  resume?(): void;
  stop?(): Promise<void>;
  save?(): Record<string, unknown>;
  restore?(state: StateReader): void;
}

/** A virtio device, declared once: the transport negotiates, maps, interrupts, pauses and saves it. */
export interface VirtioDeclaration<Config> {
  readonly name: string;
  /** Device ID of virtio 1.2 §5. */
  readonly id: number;
  readonly spec: string;
  /** PCI class code. */
  readonly classCode: number;
  readonly queues: readonly QueueDeclaration[] | ((config: Config) => readonly QueueDeclaration[]);
  /** Device feature bits offered, beyond those of the transport. */
  readonly features: readonly number[] | ((config: Config) => readonly number[]);
  create(config: Config, env: VirtioEnv): VirtioModel;
}
