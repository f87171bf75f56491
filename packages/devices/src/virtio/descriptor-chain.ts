import type { GuestMemory } from '@hanok/machine';
import { VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from './constants.ts';
import type { GuestBuffers, GuestSegment } from './guest-buffers.ts';

export const DESCRIPTOR_SIZE_BYTES = 16;
/** Longest chain taken, indirect table included. Linux lets indirect tables be longer than the queue. */
const CHAIN_LENGTH_MAX = 1024;
/** A chain may describe no more than this (virtio 1.2 §2.7.5). */
const CHAIN_SIZE_BYTES_MAX = 2 ** 32;

/** One request of the driver: what the device may read, then what it may write. */
export interface DescriptorChain {
  readonly head: number;
  /** The life of the queue it was taken in: after a reset of the queue the chain is stale. */
  readonly generation: number;
  readonly readable: GuestBuffers;
  readonly writable: GuestBuffers;
}

export interface WalkedSegments {
  readonly readable: GuestSegment[];
  readonly writable: GuestSegment[];
}

/**
 * Follows a chain from descriptor `head` (virtio 1.2 §2.7.5), reading each descriptor once because the guest may change
 * it meanwhile. Returns what is wrong as a string: loops, bad indices, nested indirect tables, ranges outside RAM.
 */
export function walkChain(
  memory: GuestMemory,
  tableGpa: number,
  queueSize: number,
  head: number,
  indirectAllowed: boolean,
): WalkedSegments | string {
  const readable: GuestSegment[] = [];
  const writable: GuestSegment[] = [];
  let table = tableGpa;
  let tableLength = queueSize;
  let index = head;
  let indirect = false;
  let totalBytes = 0;
  for (let count = 0; count < CHAIN_LENGTH_MAX + 1; count++) {
    if (index >= tableLength) return `descriptor ${index} is outside its table of ${tableLength}`;
    const at = table + index * DESCRIPTOR_SIZE_BYTES;
    const gpa = (memory.readU32(at) ?? 0) + (memory.readU32(at + 4) ?? 0) * 2 ** 32;
    const lengthBytes = memory.readU32(at + 8) ?? 0;
    const flags = memory.readU16(at + 12) ?? 0;
    const next = memory.readU16(at + 14) ?? 0;
    if (!memory.contains(gpa, lengthBytes)) return `descriptor ${index} is outside RAM`;
    if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
      if (!indirectAllowed) return 'an indirect table without VIRTIO_F_RING_INDIRECT_DESC';
      if (indirect || (flags & VIRTQ_DESC_F_NEXT) !== 0) return 'an indirect table inside a table, or with a next descriptor';
      if (lengthBytes === 0 || lengthBytes % DESCRIPTOR_SIZE_BYTES !== 0) return `an indirect table of ${lengthBytes} bytes`;
      table = gpa;
      tableLength = lengthBytes / DESCRIPTOR_SIZE_BYTES;
      index = 0;
      indirect = true;
      continue;
    }
    totalBytes += lengthBytes;
    if (totalBytes > CHAIN_SIZE_BYTES_MAX) return 'a chain of more than 4 GiB';
    const isWritable = (flags & VIRTQ_DESC_F_WRITE) !== 0;
    if (!isWritable && writable.length > 0) return 'a readable descriptor after a writable one';
    if (lengthBytes > 0) (isWritable ? writable : readable).push({ gpa, lengthBytes });
    if ((flags & VIRTQ_DESC_F_NEXT) === 0) return { readable, writable };
    index = next;
  }
  return `a chain of more than ${CHAIN_LENGTH_MAX} descriptors, or a loop`;
}
