import type { Clock, Device, GuestMemory, IoHandler, SavedState } from '@hanok/machine';
import { PciFunction, StateReader, allOnes } from '../pci/index.ts';
import type { BarRegion } from '../pci/index.ts';
import { COMMON_CONFIG_SIZE_BYTES, CommonConfig } from './common-config.ts';
import { VIRTIO_ISR_CONFIG, VIRTIO_ISR_QUEUE, VIRTIO_MSI_NO_VECTOR, VIRTIO_PCI_DEVICE_ID_BASE, VIRTIO_PCI_VENDOR_ID } from './constants.ts';
import { VirtioCore } from './core.ts';
import type { VirtioDeclaration } from './device.ts';
import { NOTIFY_MULTIPLIER_BYTES, virtioCapabilities } from './pci-capabilities.ts';

const STATE_VERSION = 1;

/** Where the structures lie in BAR 0. MSI-X has pages of its own (PCI Local Bus 3.0 §6.8.2). */
const BAR_INDEX = 0;
const BAR_SIZE_BYTES = 0x8000;
const COMMON_OFFSET = 0x0000;
const ISR_OFFSET = 0x1000;
const DEVICE_OFFSET = 0x2000;
const NOTIFY_OFFSET = 0x3000;
const MSIX_TABLE_OFFSET = 0x4000;
const MSIX_PENDING_OFFSET = 0x6000;
const QUEUES_MAX = 256;
const DEVICE_CONFIG_SIZE_BYTES_MAX = 0x1000;

export interface VirtioWiring {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  /** The instance's name; the kind's name when absent. */
  readonly name?: string;
}

/** A virtio device on PCI, modern interface only (virtio 1.2 §4.1). Add `pci` to a `PciBus`. */
export class VirtioPciDevice implements Device {
  readonly name: string;
  readonly pci: PciFunction;
  readonly core: VirtioCore;
  readonly #common: CommonConfig;
  #isr = 0;

  constructor(declaration: VirtioDeclaration<never>, config: unknown, wiring: VirtioWiring) {
    this.name = wiring.name ?? declaration.name;
    this.core = new VirtioCore(declaration, config, {
      name: this.name,
      memory: wiring.memory,
      clock: wiring.clock,
      dmaAllowed: () => this.pci.busMaster,
      interruptQueue: (queue) => this.#interrupt(VIRTIO_ISR_QUEUE, queue.msixVector),
      interruptConfig: () => this.#interrupt(VIRTIO_ISR_CONFIG, this.#common.configVector),
    });
    const queueCount = this.core.queues.length;
    if (queueCount > QUEUES_MAX)
      throw new Error(`${this.name}: ${queueCount} queues, the transport has room for ${QUEUES_MAX}; declare fewer`);
    const vectorCount = queueCount + 1;
    this.#common = new CommonConfig(this.core, vectorCount);
    const regions = this.#regions();
    const layout = { common: regions.common, notify: regions.notify, isr: regions.isr, device: regions.device };
    this.pci = new PciFunction({
      name: this.name,
      vendorId: VIRTIO_PCI_VENDOR_ID,
      deviceId: VIRTIO_PCI_DEVICE_ID_BASE + declaration.id,
      revisionId: 1,
      classCode: declaration.classCode,
      subsystemVendorId: VIRTIO_PCI_VENDOR_ID,
      // 0x40 or more says that there is no legacy interface (§4.1.2.1).
      subsystemId: 0x40 + declaration.id,
      interruptPin: 1,
      bars: [
        {
          index: BAR_INDEX,
          kind: 'memory64',
          sizeBytes: BAR_SIZE_BYTES,
          regions: Object.values(layout).filter((region) => region.sizeBytes > 0),
        },
      ],
      capabilities: virtioCapabilities(BAR_INDEX, layout, () => ({ config: this.pci.config, bar: this.pci.bars[0]! })),
      msix: { vectorCount, barIndex: BAR_INDEX, tableOffset: MSIX_TABLE_OFFSET, pendingOffset: MSIX_PENDING_OFFSET },
      onBusMaster: () => this.core.serviceAll(),
    });
  }

  reset(): void {
    this.pci.reset();
    this.#resetTransport();
    this.core.reset();
  }

  pause(): Promise<void> {
    return this.core.pause();
  }

  resume(): void {
    this.core.resume();
  }

  stop(): Promise<void> {
    return this.core.stop();
  }

  save(): SavedState {
    return { version: STATE_VERSION, pci: this.pci.save(), isr: this.#isr, common: this.#common.save(), core: this.core.save() };
  }

  /** Leaves the device paused; `resume` starts it. */
  restore(state: SavedState): void {
    const reader = StateReader.open(this.name, state, STATE_VERSION);
    this.core.restore(reader.object('core'));
    this.#common.restore(reader.object('common'));
    this.#isr = reader.integer('isr', 0, VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG);
    this.pci.restore(state['pci']);
  }

  #regions(): { common: BarRegion; isr: BarRegion; device: BarRegion; notify: BarRegion } {
    const configSizeBytes = this.core.config?.length ?? 0;
    if (configSizeBytes > DEVICE_CONFIG_SIZE_BYTES_MAX)
      throw new Error(`${this.name}: device configuration of ${configSizeBytes} bytes is too large`);
    const common: IoHandler = {
      read: (offset, width) => this.#common.read(offset, width),
      write: (offset, value, width) => this.#writeCommon(offset, value, width),
    };
    const isr: IoHandler = { read: () => this.#readIsr(), write: () => {} };
    const notify: IoHandler = {
      read: (_offset, width) => allOnes(width),
      write: (offset) => this.core.notify(Math.floor(offset / NOTIFY_MULTIPLIER_BYTES)),
    };
    return {
      common: { offset: COMMON_OFFSET, sizeBytes: COMMON_CONFIG_SIZE_BYTES, handler: common },
      isr: { offset: ISR_OFFSET, sizeBytes: 1, handler: isr },
      device: { offset: DEVICE_OFFSET, sizeBytes: configSizeBytes, handler: this.#deviceConfig() },
      notify: { offset: NOTIFY_OFFSET, sizeBytes: this.core.queues.length * NOTIFY_MULTIPLIER_BYTES, handler: notify },
    };
  }

  #deviceConfig(): IoHandler {
    return {
      read: (offset, width) => {
        let value = 0;
        for (let i = 0; i < width; i++) value += (this.core.config?.[offset + i] ?? 0xff) * 2 ** (8 * i);
        return value;
      },
      write: () => {},
    };
  }

  #writeCommon(offset: number, value: number, width: 1 | 2 | 4): void {
    const before = this.core.status;
    this.#common.write(offset, value, width);
    if (before !== 0 && this.core.status === 0) this.#setIsr(0);
  }

  /** Reading acknowledges, and releases INTx (§4.1.4.5). */
  #readIsr(): number {
    const isr = this.#isr;
    this.#setIsr(0);
    return isr;
  }

  #resetTransport(): void {
    this.#common.reset();
    this.#setIsr(0);
  }

  #setIsr(value: number): void {
    this.#isr = value;
    this.pci.setIntx(value !== 0);
  }

  #interrupt(isrBit: number, vector: number): void {
    const { msix } = this.pci;
    if (msix?.enabled !== true) return this.#setIsr(this.#isr | isrBit);
    if (isrBit === VIRTIO_ISR_CONFIG) this.#setIsr(this.#isr | isrBit);
    if (vector !== VIRTIO_MSI_NO_VECTOR) msix.raise(vector);
  }
}

/** Makes a constructor of devices of one kind from its declaration. */
export function virtioDevice<Config>(declaration: VirtioDeclaration<Config>): (config: Config, wiring: VirtioWiring) => VirtioPciDevice {
  return (config, wiring) => new VirtioPciDevice(declaration as unknown as VirtioDeclaration<never>, config, wiring);
}
