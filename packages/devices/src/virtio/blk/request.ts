import type { BlockBackend } from '@hanok/machine';
import type { DescriptorChain } from '../descriptor-chain.ts';
import {
  BLK_ID_SIZE_BYTES,
  DISCARD_SECTORS_MAX,
  DISCARD_SEGMENTS_MAX,
  REQUEST_SIZE_BYTES_MAX,
  SECTOR_SIZE_BYTES,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_WRITE_ZEROES,
} from './constants.ts';

const HEADER_SIZE_BYTES = 16;
const SEGMENT_SIZE_BYTES = 16;
const FLAG_UNMAP = 1;

/** The disk as requests see it. */
export interface Disk {
  readonly backend: BlockBackend;
  readonly readOnly: boolean;
  readonly serial: string;
}

/** What came of a request: a status, and data for the driver where it reads. */
export interface BlkResult {
  readonly status: number;
  readonly data?: Uint8Array;
}

/** One request: what it holds in memory while it is under way, and how to carry it out. */
export interface BlkRequest {
  readonly heldBytes: number;
  perform(): Promise<BlkResult>;
}

interface DiskRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

const failed = (status: number): BlkRequest => ({ heldBytes: 0, perform: async () => ({ status }) });

/**
 * Reads a request out of its chain (virtio 1.2 §5.2.6): header, data, and a status byte at the very end. Everything the
 * device needs is copied, so that the guest's memory is not touched after a reset. Undefined when no request fits the chain.
 */
export function parseBlkRequest(chain: DescriptorChain, disk: Disk): BlkRequest | undefined {
  const header = new Uint8Array(HEADER_SIZE_BYTES);
  if (chain.writable.sizeBytes < 1 || chain.readable.copyTo(0, header) < HEADER_SIZE_BYTES) return undefined;
  const view = new DataView(header.buffer);
  const sector = view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32;
  const outBytes = chain.readable.sizeBytes - HEADER_SIZE_BYTES;
  const inBytes = chain.writable.sizeBytes - 1;
  if (outBytes > REQUEST_SIZE_BYTES_MAX || inBytes > REQUEST_SIZE_BYTES_MAX) return failed(VIRTIO_BLK_S_IOERR);
  switch (view.getUint32(0, true)) {
    case VIRTIO_BLK_T_IN:
      return read(disk, sector, inBytes);
    case VIRTIO_BLK_T_OUT:
      return write(disk, chain, sector, outBytes);
    case VIRTIO_BLK_T_FLUSH:
      return { heldBytes: 0, perform: async () => disk.backend.flush().then(() => ({ status: VIRTIO_BLK_S_OK })) };
    case VIRTIO_BLK_T_GET_ID:
      return { heldBytes: 0, perform: async () => ({ status: VIRTIO_BLK_S_OK, data: identity(disk.serial, inBytes) }) };
    case VIRTIO_BLK_T_DISCARD:
      return zero(disk, chain, outBytes, 0);
    case VIRTIO_BLK_T_WRITE_ZEROES:
      return zero(disk, chain, outBytes, FLAG_UNMAP);
    default:
      return failed(VIRTIO_BLK_S_UNSUPP);
  }
}

function read({ backend }: Disk, sector: number, lengthBytes: number): BlkRequest {
  const range = diskRange(backend, sector, lengthBytes);
  if (!range) return failed(VIRTIO_BLK_S_IOERR);
  return {
    heldBytes: lengthBytes,
    async perform() {
      const data = new Uint8Array(lengthBytes);
      await backend.read(range.offsetBytes, data);
      return { status: VIRTIO_BLK_S_OK, data };
    },
  };
}

function write({ backend, readOnly }: Disk, chain: DescriptorChain, sector: number, lengthBytes: number): BlkRequest {
  const range = diskRange(backend, sector, lengthBytes);
  if (!range || readOnly) return failed(VIRTIO_BLK_S_IOERR);
  const data = payload(chain, lengthBytes);
  return {
    heldBytes: lengthBytes,
    async perform() {
      await backend.write(range.offsetBytes, data);
      return { status: VIRTIO_BLK_S_OK };
    },
  };
}

/** Discard and write zeroes are one here, because a backend's discarded range reads as zeros (§5.2.6.2). */
function zero(disk: Disk, chain: DescriptorChain, lengthBytes: number, flagsAllowed: number): BlkRequest {
  const count = lengthBytes / SEGMENT_SIZE_BYTES;
  if (disk.readOnly || count < 1 || count > DISCARD_SEGMENTS_MAX || !Number.isInteger(count)) return failed(VIRTIO_BLK_S_IOERR);
  const view = new DataView(payload(chain, lengthBytes).buffer);
  const ranges: DiskRange[] = [];
  for (let at = 0; at < lengthBytes; at += SEGMENT_SIZE_BYTES) {
    const sectors = view.getUint32(at + 8, true);
    if ((view.getUint32(at + 12, true) & ~flagsAllowed) !== 0) return failed(VIRTIO_BLK_S_UNSUPP);
    const sector = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
    const range = diskRange(disk.backend, sector, sectors * SECTOR_SIZE_BYTES);
    if (!range || sectors > DISCARD_SECTORS_MAX) return failed(VIRTIO_BLK_S_IOERR);
    ranges.push(range);
  }
  return {
    heldBytes: lengthBytes,
    async perform() {
      for (const range of ranges) await disk.backend.discard(range.offsetBytes, range.lengthBytes);
      return { status: VIRTIO_BLK_S_OK };
    },
  };
}

/** Whole sectors inside the disk, or undefined. `sector` may be any 64-bit number that lost its low bits. */
function diskRange(backend: BlockBackend, sector: number, lengthBytes: number): DiskRange | undefined {
  const capacity = Math.floor(backend.sizeBytes / SECTOR_SIZE_BYTES);
  if (lengthBytes % SECTOR_SIZE_BYTES !== 0 || sector > capacity || lengthBytes / SECTOR_SIZE_BYTES > capacity - sector) return undefined;
  return { offsetBytes: sector * SECTOR_SIZE_BYTES, lengthBytes };
}

function payload(chain: DescriptorChain, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  chain.readable.copyTo(HEADER_SIZE_BYTES, bytes);
  return bytes;
}

function identity(serial: string, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(BLK_ID_SIZE_BYTES, lengthBytes));
  for (let i = 0; i < Math.min(bytes.length, serial.length); i++) bytes[i] = serial.charCodeAt(i);
  return bytes;
}
