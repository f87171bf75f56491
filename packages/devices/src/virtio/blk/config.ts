import type { BlockBackend } from '@hanok/machine';
import { DISCARD_SECTORS_MAX, DISCARD_SEGMENTS_MAX, SECTOR_SIZE_BYTES, SEGMENTS_MAX, SEGMENT_SIZE_BYTES_MAX } from './constants.ts';

export interface BlkConfig {
  readonly backend: BlockBackend;
  /** Up to 20 ASCII characters; Linux shows it as the disk's serial. */
  readonly serial?: string;
  /** Refuses writes even where the backend would take them. */
  readonly readOnly?: boolean;
  /** Logical block size: a power of two from 512 to 4096. Default 512. */
  readonly blockSizeBytes?: number;
}

const CONFIG_SIZE_BYTES = 60;

/** Checks what the user asked for. */
export function checkBlkConfig(name: string, { serial = '', blockSizeBytes = SECTOR_SIZE_BYTES }: BlkConfig): void {
  if (!/^[\x20-\x7e]{0,20}$/.test(serial)) throw new Error(`${name}: serial "${serial}" is not up to 20 ASCII characters; shorten it`);
  if (![512, 1024, 2048, 4096].includes(blockSizeBytes)) {
    throw new Error(`${name}: block size ${blockSizeBytes} is not 512, 1024, 2048 or 4096 bytes`);
  }
}

/** struct virtio_blk_config up to write_zeroes_may_unmap (virtio 1.2 §5.2.4). */
export function blkConfigSpace({ backend, blockSizeBytes = SECTOR_SIZE_BYTES }: BlkConfig): Uint8Array {
  const bytes = new Uint8Array(CONFIG_SIZE_BYTES);
  const view = new DataView(bytes.buffer);
  const sectorsPerBlock = blockSizeBytes / SECTOR_SIZE_BYTES;
  view.setBigUint64(0, BigInt(Math.floor(backend.sizeBytes / SECTOR_SIZE_BYTES)), true);
  view.setUint32(8, SEGMENT_SIZE_BYTES_MAX, true);
  view.setUint32(12, SEGMENTS_MAX, true);
  view.setUint32(20, blockSizeBytes, true);
  view.setUint16(34, 1, true);
  view.setUint32(36, DISCARD_SECTORS_MAX, true);
  view.setUint32(40, DISCARD_SEGMENTS_MAX, true);
  view.setUint32(44, sectorsPerBlock, true);
  view.setUint32(48, DISCARD_SECTORS_MAX, true);
  view.setUint32(52, DISCARD_SEGMENTS_MAX, true);
  view.setUint8(56, 1);
  return bytes;
}
