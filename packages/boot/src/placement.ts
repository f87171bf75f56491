import { PAGE_SIZE_BYTES } from '@hanok/machine';
import type { GuestMemory } from '@hanok/machine';
import { BootError, hex, mebibytes } from './boot-error.ts';
import { MemoryType } from './memory-map.ts';
import type { MemoryRegion } from './memory-map.ts';

interface Claim {
  readonly base: number;
  readonly end: number;
  readonly what: string;
}

/** Who gets which part of RAM before the first instruction: nothing overlaps, and all lies in usable memory. */
export class Placement {
  readonly #memory: GuestMemory;
  readonly #usable: MemoryRegion[];
  readonly #claims: Claim[] = [];

  constructor(memory: GuestMemory, map: readonly MemoryRegion[]) {
    this.#memory = memory;
    this.#usable = map.filter((region) => region.type === MemoryType.Usable && memory.contains(region.base, region.sizeBytes));
  }

  /** Takes [base, base + sizeBytes); throws a BootError that names `what`. */
  claim(base: number, sizeBytes: number, what: string): void {
    const end = base + sizeBytes;
    if (!Number.isSafeInteger(base) || !Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(end) || base < 0 || sizeBytes < 0) {
      throw new BootError(`${what}: there is no such memory range as ${hex(base)} with ${sizeBytes} bytes; the file is damaged`);
    }
    const clash = this.#claims.find((claim) => base < claim.end && claim.base < end);
    if (clash) throw new BootError(`${what} at ${hex(base)} overlaps ${clash.what}; the file is damaged or not meant for this loader`);
    if (!this.#usable.some((region) => base >= region.base && end <= region.base + region.sizeBytes)) {
      const mend =
        end > this.#memory.sizeBytes
          ? `give the machine at least ${mebibytes(end)} of memory, it has ${this.#have()}`
          : 'it lies in a reserved range';
      throw new BootError(`${what} needs ${mebibytes(sizeBytes)} at ${hex(base)}: ${mend}`);
    }
    this.#claims.push({ base, end, what });
  }

  /** Takes the highest free pages that end at or below `limit`, and gives their address. */
  claimHighest(sizeBytes: number, limit: number, what: string): number {
    const roundedBytes = Math.ceil(sizeBytes / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES;
    const tops = [...this.#usable.map((region) => region.base + region.sizeBytes), ...this.#claims.map((claim) => claim.base), limit];
    let best = -1;
    for (const top of tops) {
      const base = Math.floor(Math.min(top, limit) / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES - roundedBytes;
      if (base > best && this.#isFree(base, roundedBytes)) best = base;
    }
    if (best < 0) {
      const used = Math.max(0, ...this.#claims.map((claim) => claim.end));
      const needed = Math.ceil(used / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES + roundedBytes;
      if (needed > limit)
        throw new BootError(`${what}: ${mebibytes(sizeBytes)} do not fit below ${hex(limit)}, where this kernel reads it; make it smaller`);
      throw new BootError(
        `${what} of ${mebibytes(sizeBytes)} does not fit beside the kernel: ` +
          `give the machine at least ${mebibytes(needed)} of memory, it has ${this.#have()}`,
      );
    }
    this.#claims.push({ base: best, end: best + roundedBytes, what });
    return best;
  }

  #isFree(base: number, sizeBytes: number): boolean {
    const end = base + sizeBytes;
    return (
      this.#usable.some((region) => base >= region.base && end <= region.base + region.sizeBytes) &&
      !this.#claims.some((claim) => base < claim.end && claim.base < end)
    );
  }

  #have(): string {
    return mebibytes(this.#memory.sizeBytes);
  }
}
