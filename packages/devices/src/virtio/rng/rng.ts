import type { EntropySource } from '@hanok/machine';
import type { VirtioEnv, VirtioModel } from '../device.ts';
import { virtioDevice } from '../pci-transport.ts';

const VIRTIO_ID_ENTROPY = 4;
/** Most bytes given for one request; the driver asks again (virtio 1.2 §5.4.6 allows fewer than asked). */
const FILL_SIZE_BYTES_MAX = 4096;

export interface RngConfig {
  readonly source: EntropySource;
}

/** Entropy device: fills the driver's buffers with random bytes (virtio 1.2 §5.4). */
export const rng = virtioDevice<RngConfig>({
  name: 'rng',
  id: VIRTIO_ID_ENTROPY,
  spec: 'virtio 1.2 §5.4',
  classCode: 0xff0000,
  queues: [{ name: 'requestq', sizeMax: 64 }],
  features: [],
  create: createRng,
});

function createRng({ source }: RngConfig, _env: VirtioEnv): VirtioModel {
  return {
    onNotify(queue) {
      for (let chain = queue.pop(); chain; chain = queue.pop()) {
        const bytes = new Uint8Array(Math.min(chain.writable.sizeBytes, FILL_SIZE_BYTES_MAX));
        source.fill(bytes);
        queue.push(chain, chain.writable.copyFrom(0, bytes));
      }
    },
    reset() {},
  };
}
