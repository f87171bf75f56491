import type { DescriptorChain } from '../descriptor-chain.ts';
import type { VirtioEnv, VirtioModel } from '../device.ts';
import { virtioDevice } from '../pci-transport.ts';
import type { Virtqueue } from '../virtqueue.ts';
import { blkConfigSpace, checkBlkConfig } from './config.ts';
import type { BlkConfig } from './config.ts';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_ID_BLOCK,
} from './constants.ts';
import { parseBlkRequest } from './request.ts';
import type { BlkRequest, BlkResult, Disk } from './request.ts';

/** Requests and bytes under way at once; more wait in the ring. */
const IN_FLIGHT_MAX = 64;
const IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024;

/** Block device (virtio 1.2 §5.2). */
export const blk = virtioDevice<BlkConfig>({
  name: 'blk',
  id: VIRTIO_ID_BLOCK,
  spec: 'virtio 1.2 §5.2',
  classCode: 0x018000,
  queues: [{ name: 'requestq', sizeMax: 256 }],
  features: (config) => [
    VIRTIO_BLK_F_SIZE_MAX,
    VIRTIO_BLK_F_SEG_MAX,
    VIRTIO_BLK_F_BLK_SIZE,
    VIRTIO_BLK_F_FLUSH,
    ...(isReadOnly(config) ? [VIRTIO_BLK_F_RO] : [VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES]),
  ],
  create: (config, env) => new Blk(config, env),
});

function isReadOnly(config: BlkConfig): boolean {
  return config.readOnly === true || config.backend.readOnly;
}

class Blk implements VirtioModel {
  readonly config: Uint8Array;
  readonly #disk: Disk;
  readonly #env: VirtioEnv;
  #inFlight = 0;
  #inFlightBytes = 0;
  #idleWaiters: (() => void)[] = [];

  constructor(config: BlkConfig, env: VirtioEnv) {
    checkBlkConfig(env.name, config);
    this.config = blkConfigSpace(config);
    this.#disk = { backend: config.backend, readOnly: isReadOnly(config), serial: config.serial ?? '' };
    this.#env = env;
  }

  onNotify(queue: Virtqueue): void {
    while (this.#inFlight < IN_FLIGHT_MAX && this.#inFlightBytes < IN_FLIGHT_BYTES_MAX) {
      const chain = queue.pop();
      if (!chain) return;
      const request = parseBlkRequest(chain, this.#disk);
      if (!request) return this.#env.needsReset(`${queue.name}: a request without header or status`);
      void this.#serve(queue, chain, request);
    }
  }

  /** Requests under way end in the backend; their chains are stale by then. */
  reset(): void {}

  pause(): Promise<void> {
    return this.#inFlight === 0 ? Promise.resolve() : new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  async stop(): Promise<void> {
    await this.#disk.backend.close();
  }

  save(): Record<string, unknown> {
    if (this.#inFlight > 0)
      throw new Error(`${this.#env.name}: ${this.#inFlight} requests are under way; pause the device before saving it`);
    return {};
  }

  async #serve(queue: Virtqueue, chain: DescriptorChain, request: BlkRequest): Promise<void> {
    this.#inFlight += 1;
    this.#inFlightBytes += request.heldBytes;
    let result: BlkResult;
    try {
      result = await request.perform();
    } catch {
      result = { status: VIRTIO_BLK_S_IOERR };
    }
    this.#inFlight -= 1;
    this.#inFlightBytes -= request.heldBytes;
    this.#complete(queue, chain, result);
    if (this.#inFlight === 0) for (const wake of this.#idleWaiters.splice(0)) wake();
    this.#env.service(queue);
  }

  #complete(queue: Virtqueue, chain: DescriptorChain, { status, data }: BlkResult): void {
    const dataBytes = data ? chain.writable.copyFrom(0, data) : 0;
    chain.writable.copyFrom(chain.writable.sizeBytes - 1, Uint8Array.of(status));
    queue.push(chain, dataBytes + 1);
    queue.signal();
  }
}
