/** Numbers that a seed determines (a 32-bit mixing generator), with a taste for values that break things. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Any 32-bit number. */
  word(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  /** 0 to bound - 1. */
  below(bound: number): number {
    return this.word() % bound;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  width(): 1 | 2 | 4 {
    return this.pick([1, 2, 4] as const);
  }

  /** Small, near a power of two, near a limit, or anything. */
  value(): number {
    const shift = this.below(32);
    switch (this.below(5)) {
      case 0:
        return this.below(16);
      case 1:
        return ((1 << shift) + this.below(3) - 1) >>> 0;
      case 2:
        return (0xffffffff - this.below(4)) >>> 0;
      case 3:
        return this.word() & 0xffff;
      default:
        return this.word();
    }
  }
}
