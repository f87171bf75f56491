import assert from 'node:assert/strict';
import type { AccessWidthBytes, IoHandler } from '@hanok/machine';

export const OPERATION_COUNT = Number(process.env['HANOK_FUZZ_OPERATIONS'] ?? 200_000);

/** Repeatable random numbers (xorshift32). HANOK_FUZZ_SEED repeats a run whose seed was printed. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(name: string) {
    this.seed = Number(process.env['HANOK_FUZZ_SEED'] ?? Date.now() >>> 0) >>> 0 || 1;
    this.#state = this.seed;
    console.log(`${name}: HANOK_FUZZ_SEED=${this.seed}, ${OPERATION_COUNT} operations`);
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  below(limit: number): number {
    return this.bits() % limit;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Numbers that reach corners: few bits, all ones, small ones, anything. */
  value(): number {
    return this.pick([() => 0, () => 0xffffffff, () => 1 << this.below(32), () => this.below(256), () => this.bits()])() >>> 0;
  }

  width(): AccessWidthBytes {
    return this.pick([1, 2, 4] as const);
  }
}

/** One random access of a handler's range; reads must give numbers of 32 bits. */
export function randomAccess(random: Random, handler: IoHandler, sizeBytes: number, alignBytes = 1): void {
  const width = random.width();
  const offset = Math.floor(random.below(sizeBytes) / alignBytes) * alignBytes;
  if (random.below(3) === 0) {
    const value = handler.read(offset, width) >>> 0;
    assert.ok(Number.isInteger(value) && value >= 0 && value <= 0xffffffff, `read of ${offset} gave ${value}`);
  } else {
    handler.write(offset, random.value(), width);
  }
}
