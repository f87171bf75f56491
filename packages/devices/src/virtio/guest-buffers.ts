import type { GuestMemory } from '@hanok/machine';

/** A piece of guest RAM, already known to be inside it. */
export interface GuestSegment {
  readonly gpa: number;
  readonly lengthBytes: number;
}

/**
 * The readable or the writable part of a descriptor chain, as one run of bytes. Copies in and out move nothing once the
 * chain is stale (the device was reset) or the function may not use memory.
 */
export class GuestBuffers {
  readonly sizeBytes: number;
  readonly #memory: GuestMemory;
  readonly #segments: readonly GuestSegment[];
  readonly #usable: () => boolean;

  constructor(memory: GuestMemory, segments: readonly GuestSegment[], usable: () => boolean) {
    this.#memory = memory;
    this.#segments = segments;
    this.#usable = usable;
    this.sizeBytes = segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
  }

  /** Fills `target` from `offset` on; returns the bytes copied, fewer at the end of the buffers. */
  copyTo(offset: number, target: Uint8Array): number {
    return this.#walk(offset, target.length, (bytes, done) => target.set(bytes, done));
  }

  /** Writes `source` at `offset` and tells the engines; returns the bytes copied. */
  copyFrom(offset: number, source: Uint8Array): number {
    return this.#walk(offset, source.length, (bytes, done, gpa) => {
      bytes.set(source.subarray(done, done + bytes.length));
      this.#memory.written(gpa, bytes.length);
    });
  }

  #walk(offset: number, lengthBytes: number, visit: (bytes: Uint8Array, done: number, gpa: number) => void): number {
    if (!this.#usable()) return 0;
    let done = 0;
    let skip = offset;
    for (const segment of this.#segments) {
      if (done >= lengthBytes) break;
      if (skip >= segment.lengthBytes) {
        skip -= segment.lengthBytes;
        continue;
      }
      const count = Math.min(segment.lengthBytes - skip, lengthBytes - done);
      const bytes = this.#memory.slice(segment.gpa + skip, count);
      if (!bytes) break;
      visit(bytes, done, segment.gpa + skip);
      done += count;
      skip = 0;
    }
    return done;
  }
}
