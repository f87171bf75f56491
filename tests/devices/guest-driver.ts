import type { AccessWidthBytes } from '@hanok/machine';
import { GuestQueue } from './guest-queue.ts';
import type { TestBoard } from './test-board.ts';

const STATUS = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8 };
const VERSION_1 = 1n << 32n;

/** MSI-X vector v of a test arrives as this data plus v. */
const MESSAGE_BASE = 0x40;
const MESSAGE_ADDRESS = 0xfee00000;

interface Region {
  readonly base: number;
  readonly lengthBytes: number;
}

export interface StartOptions {
  /** Accepts what the device offers and this mask has. Default: everything. */
  readonly features?: bigint;
  readonly queueSize?: number;
  readonly msix?: boolean;
}

/** Plays a driver: finds its device through configuration space and brings it up as virtio 1.2 §3.1.1 and §4.1.5 say. */
export class GuestDriver {
  readonly board: TestBoard;
  readonly device: number;
  readonly regions = new Map<number, Region>();
  readonly queues: GuestQueue[] = [];
  notifyMultiplier = 0;
  msixCapability = 0;
  pciCfgCapability = 0;
  features = 0n;

  constructor(board: TestBoard, virtioId: number) {
    this.board = board;
    this.device = findDevice(board, 0x1af4, 0x1040 + virtioId);
    board.writeConfig(this.device, 0x04, 0x0006, 2);
    this.#readCapabilities();
  }

  read(structure: number, offset: number, widthBytes: AccessWidthBytes): number {
    return this.board.mmio.read(this.regions.get(structure)!.base + offset, widthBytes);
  }

  write(structure: number, offset: number, value: number, widthBytes: AccessWidthBytes): void {
    this.board.mmio.write(this.regions.get(structure)!.base + offset, value, widthBytes);
  }

  common(offset: number, widthBytes: AccessWidthBytes): number {
    return this.read(1, offset, widthBytes);
  }

  setCommon(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    this.write(1, offset, value, widthBytes);
  }

  get status(): number {
    return this.common(20, 1);
  }

  get needsReset(): boolean {
    return (this.status & 0x40) !== 0;
  }

  get offered(): bigint {
    this.setCommon(0, 0, 4);
    const low = this.common(4, 4);
    this.setCommon(0, 1, 4);
    return BigInt(low) | (BigInt(this.common(4, 4)) << 32n);
  }

  /** Reset, negotiation, queues, DRIVER_OK. */
  start(options: StartOptions = {}): this {
    this.prepare(options);
    this.ready();
    return this;
  }

  /** Everything before DRIVER_OK. */
  prepare(options: StartOptions = {}): void {
    const { features = ~0n, queueSize = 16, msix = true } = options;
    this.negotiate(features);
    if (msix) this.enableMsix();
    this.queues.length = 0;
    const count = this.common(18, 2);
    for (let index = 0; index < count; index++) this.queues.push(this.#startQueue(index, queueSize, msix));
    if (msix) this.setCommon(16, 0, 2);
  }

  ready(): void {
    this.setCommon(20, this.status | STATUS.DRIVER_OK, 1);
  }

  /** Up to FEATURES_OK; returns whether the device took the features. */
  negotiate(wanted: bigint): boolean {
    this.setCommon(20, 0, 1);
    this.setCommon(20, STATUS.ACKNOWLEDGE, 1);
    this.setCommon(20, STATUS.ACKNOWLEDGE | STATUS.DRIVER, 1);
    this.features = this.offered & (wanted | VERSION_1);
    this.acceptFeatures(this.features);
    this.setCommon(20, STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK, 1);
    return (this.status & STATUS.FEATURES_OK) !== 0;
  }

  acceptFeatures(features: bigint): void {
    this.setCommon(8, 0, 4);
    this.setCommon(12, Number(features & 0xffffffffn), 4);
    this.setCommon(8, 1, 4);
    this.setCommon(12, Number(features >> 32n), 4);
  }

  /** Fills every table entry, unmasked, and switches MSI-X on. */
  enableMsix(): void {
    const { board } = this;
    const control = board.readConfig(this.device, this.msixCapability + 2, 2);
    for (let vector = 0; vector <= (control & 0x7ff); vector++) {
      board.mmio.write(this.msixEntry(vector), MESSAGE_ADDRESS, 4);
      board.mmio.write(this.msixEntry(vector) + 4, 0, 4);
      board.mmio.write(this.msixEntry(vector) + 8, MESSAGE_BASE + vector, 4);
      board.mmio.write(this.msixEntry(vector) + 12, 0, 4);
    }
    board.writeConfig(this.device, this.msixCapability + 2, 0x8000, 2);
  }

  msixEntry(vector: number): number {
    const table = this.board.readConfig(this.device, this.msixCapability + 4, 4);
    return this.barAddress(table & 7) + (table & ~7) + vector * 16;
  }

  barAddress(index: number): number {
    return (this.board.readConfig(this.device, 0x10 + index * 4, 4) & -16) >>> 0;
  }

  notify(queue: number): void {
    this.setCommon(22, queue, 2);
    this.write(2, this.common(30, 2) * this.notifyMultiplier, queue, 2);
  }

  /** MSI-X vector of a queue; vector 0 is the configuration's. */
  static messageOf(queue: number): number {
    return MESSAGE_BASE + 1 + queue;
  }

  #startQueue(index: number, size: number, msix: boolean): GuestQueue {
    const queue = new GuestQueue(this.board, size);
    this.setCommon(22, index, 2);
    this.setCommon(24, size, 2);
    [queue.descriptors, queue.available, queue.used].forEach((gpa, ring) => {
      this.setCommon(32 + ring * 8, gpa, 4);
      this.setCommon(36 + ring * 8, 0, 4);
    });
    if (msix) this.setCommon(26, index + 1, 2);
    this.setCommon(28, 1, 2);
    return queue;
  }

  #readCapabilities(): void {
    const { board, device } = this;
    for (let at = board.readConfig(device, 0x34, 1); at !== 0; at = board.readConfig(device, at + 1, 1)) {
      const id = board.readConfig(device, at, 1);
      if (id === 0x11) this.msixCapability = at;
      if (id !== 0x09) continue;
      const type = board.readConfig(device, at + 3, 1);
      if (type === 5) {
        this.pciCfgCapability = at;
        continue;
      }
      const base = this.barAddress(board.readConfig(device, at + 4, 1)) + board.readConfig(device, at + 8, 4);
      this.regions.set(type, { base, lengthBytes: board.readConfig(device, at + 12, 4) });
      if (type === 2) this.notifyMultiplier = board.readConfig(device, at + 16, 4);
    }
  }
}

function findDevice(board: TestBoard, vendorId: number, deviceId: number): number {
  for (let device = 0; device < 32; device++) {
    if (board.readConfig(device, 0, 2) === vendorId && board.readConfig(device, 2, 2) === deviceId) return device;
  }
  throw new Error(`no device ${vendorId.toString(16)}:${deviceId.toString(16)} on the bus`);
}
