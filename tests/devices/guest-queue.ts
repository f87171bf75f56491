import type { TestBoard } from './test-board.ts';

export interface GuestBuffer {
  readonly gpa: number;
  readonly lengthBytes: number;
  readonly writable: boolean;
}

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

/** The driver's side of a split virtqueue (virtio 1.2 §2.7). */
export class GuestQueue {
  readonly size: number;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  readonly #board: TestBoard;
  #availableIdx = 0;
  #usedSeen = 0;
  #freeHead = 0;

  constructor(board: TestBoard, size: number) {
    this.#board = board;
    this.size = size;
    this.descriptors = board.allocate(size * 16, 16);
    this.available = board.allocate(6 + size * 2, 2);
    this.used = board.allocate(6 + size * 8, 4);
  }

  /** Puts a chain into the available ring. Descriptors are used round and round: tests keep few under way. */
  submit(buffers: readonly GuestBuffer[], indirect = false): number {
    const head = this.#freeHead;
    if (indirect) {
      const table = this.#board.allocate(buffers.length * 16);
      this.#writeChain(
        buffers,
        (index) => table + index * 16,
        (index) => index,
      );
      this.writeDescriptor(head, table, buffers.length * 16, INDIRECT, 0);
      this.#freeHead = (head + 1) % this.size;
    } else {
      const slot = (index: number) => (head + index) % this.size;
      this.#writeChain(buffers, (index) => this.descriptors + slot(index) * 16, slot);
      this.#freeHead = slot(buffers.length);
    }
    this.makeAvailable(head);
    return head;
  }

  writeDescriptor(index: number, gpa: number, lengthBytes: number, flags: number, next: number): void {
    this.#writeAt(this.descriptors + index * 16, gpa, lengthBytes, flags, next);
  }

  makeAvailable(head: number): void {
    const { memory } = this.#board;
    memory.writeU16(this.available + 4 + (this.#availableIdx % this.size) * 2, head);
    this.setAvailableIdx(this.#availableIdx + 1);
  }

  setAvailableIdx(index: number): void {
    this.#availableIdx = index & 0xffff;
    this.#board.memory.writeU16(this.available + 2, this.#availableIdx);
  }

  /** VIRTQ_AVAIL_F_NO_INTERRUPT. */
  setAvailableFlags(flags: number): void {
    this.#board.memory.writeU16(this.available, flags);
  }

  setUsedEvent(index: number): void {
    this.#board.memory.writeU16(this.available + 4 + this.size * 2, index);
  }

  get availableEvent(): number {
    return this.#board.memory.readU16(this.used + 4 + this.size * 8)!;
  }

  get usedIdx(): number {
    return this.#board.memory.readU16(this.used + 2)!;
  }

  /** The chains that came back since the last call. */
  takeUsed(): { head: number; lengthBytes: number }[] {
    const { memory } = this.#board;
    const done = [];
    while (this.#usedSeen !== this.usedIdx) {
      const element = this.used + 4 + (this.#usedSeen % this.size) * 8;
      done.push({ head: memory.readU32(element)!, lengthBytes: memory.readU32(element + 4)! });
      this.#usedSeen = (this.#usedSeen + 1) & 0xffff;
    }
    return done;
  }

  #writeChain(buffers: readonly GuestBuffer[], place: (index: number) => number, name: (index: number) => number): void {
    buffers.forEach((buffer, index) => {
      const isLast = index === buffers.length - 1;
      const flags = (buffer.writable ? WRITE : 0) | (isLast ? 0 : NEXT);
      this.#writeAt(place(index), buffer.gpa, buffer.lengthBytes, flags, isLast ? 0 : name(index + 1));
    });
  }

  #writeAt(at: number, gpa: number, lengthBytes: number, flags: number, next: number): void {
    const { memory } = this.#board;
    memory.writeU64(at, BigInt(gpa));
    memory.writeU32(at + 8, lengthBytes);
    memory.writeU16(at + 12, flags);
    memory.writeU16(at + 14, next);
  }
}
