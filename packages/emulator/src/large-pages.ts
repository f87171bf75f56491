import { LARGE_PAGES } from './layout.ts';

const { offset, bucketCount } = LARGE_PAGES;
const HUGE_SHIFT = 30;

/**
 * Where the TLB may hold pieces of large pages, by a hash of the address that may say yes too often, never no. 32-bit
 * paging's 4-MiB pages count as two of 2 MiB. Generated code notes pages too.
 */
export class LargePages {
  readonly #buckets: Uint8Array;
  readonly #hugeBuckets: Uint8Array;

  constructor(buffer: ArrayBufferLike, blockAddress: number) {
    this.#buckets = new Uint8Array(buffer, blockAddress + offset, bucketCount);
    this.#hugeBuckets = new Uint8Array(buffer, blockAddress + offset + bucketCount, bucketCount);
  }

  /** A piece of a page of 2^shift bytes is in the TLB now. */
  note(low: number, high: number, shift: number): void {
    if (shift === HUGE_SHIFT) this.#hugeBuckets[hugeBucket(low, high)] = 1;
    else {
      this.#buckets[bucket(low, high)] = 1;
      if (shift === 22) this.#buckets[bucket(low ^ 0x200000, high)] = 1;
    }
  }

  mayHold(low: number, high: number): boolean {
    return this.#buckets[bucket(low, high)] !== 0 || this.#hugeBuckets[hugeBucket(low, high)] !== 0;
  }

  /** The TLB holds nothing any more. */
  clear(): void {
    this.#buckets.fill(0);
    this.#hugeBuckets.fill(0);
  }
}

const bucket = (low: number, high: number) => ((low >>> 21) ^ (high << 11) ^ (high >>> 3)) & (bucketCount - 1);
const hugeBucket = (low: number, high: number) => ((low >>> 30) ^ (high << 2) ^ (high >>> 12)) & (bucketCount - 1);
