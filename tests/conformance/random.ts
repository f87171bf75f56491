/** Seeded generator (sfc32) so that a run can be repeated from the seed it printed. */
export class Random {
  #a: number;
  #b: number;
  #c = 0x9e3779b9;
  #counter = 1;

  constructor(seed: number, stream = 0) {
    this.#a = seed | 0;
    this.#b = stream | 0;
    for (let round = 0; round < 12; round++) this.u32();
  }

  u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t;
    this.#c |= 0;
    return t >>> 0;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** An integer in [0, count). */
  below(count: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * count);
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(target: Uint8Array): void {
    for (let index = 0; index < target.length; index++) target[index] = this.u32();
  }
}

const EDGES: readonly bigint[] = [
  0n, 1n, 2n, -1n, -2n, 0x7fn, 0x80n, 0x81n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n,
  0xffff_ffffn, 0x1_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x8000_0000_0000_0001n, 0xffff_ffff_8000_0000n,
  0x5555_5555_5555_5555n, 0xaaaa_aaaa_aaaa_aaaan, 0x0f0f_0f0f_0f0f_0f0fn, 0x0123_4567_89ab_cdefn, 0x8080_8080_8080_8080n, 0x7f7f_7f7f_7f7f_7f7fn,
];

/** A 64-bit pattern: an edge value, a bit or a run of bits, a small number as shift counts are, or anything. */
export function integerPattern(random: Random): bigint {
  switch (random.below(8)) {
    case 0:
    case 1: return BigInt.asUintN(64, random.pick(EDGES));
    case 2: return BigInt(random.below(72));
    case 3: return 1n << BigInt(random.below(64));
    case 4: return (1n << BigInt(random.below(65))) - 1n;
    case 5: return BigInt.asUintN(64, -BigInt(random.below(300)));
    default: return random.u64();
  }
}

const SINGLES = [
  0, 0x8000_0000, 1, 0x8000_0001, 0x007f_ffff, 0x0080_0000, 0x8080_0000, 0x3f80_0000, 0xbf80_0000, 0x4000_0000, 0x3f00_0000, 0xbf00_0000,
  0x3fc0_0000, 0x4020_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0000, 0x7fc1_2345, 0x7f80_0001, 0xffa0_0000,
  0x4eff_ffff, 0x4f00_0000, 0xcf00_0000, 0xcf00_0001, 0x5eff_ffff, 0x5f00_0000, 0xdf00_0000, 0x4b7f_ffff, 0x3f80_0001, 0x3400_0000, 0x4170_0000,
];

/** A binary32 pattern: zeros, denormals, limits of integer conversions, infinities, NaNs of both kinds, ordinary numbers. */
export function singlePattern(random: Random): number {
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2: return random.pick(SINGLES);
    case 3: return (random.u32() & 0x807f_ffff) | 0;
    case 4: return ((random.u32() & 0x807f_ffff) | (random.between(120, 160) << 23)) >>> 0;
    case 5: return ((random.u32() & 0x8070_0000) | (random.between(125, 132) << 23)) >>> 0;
    default: return random.u32();
  }
}

const DOUBLES: readonly bigint[] = [
  0n, 1n << 63n, 1n, 0x8000_0000_0000_0001n, 0x000f_ffff_ffff_ffffn, 0x0010_0000_0000_0000n, 0x3ff0_0000_0000_0000n, 0xbff0_0000_0000_0000n,
  0x4000_0000_0000_0000n, 0x3fe0_0000_0000_0000n, 0xbfe0_0000_0000_0000n, 0x3ff8_0000_0000_0000n, 0x4004_0000_0000_0000n, 0x7fef_ffff_ffff_ffffn,
  0xffef_ffff_ffff_ffffn, 0x7ff0_0000_0000_0000n, 0xfff0_0000_0000_0000n, 0x7ff8_0000_0000_0000n, 0xfff8_0000_0000_0000n, 0x7ff8_1234_5678_9abcn,
  0x7ff0_0000_0000_0001n, 0xfff4_0000_0000_0000n, 0x41df_ffff_ffc0_0000n, 0x41e0_0000_0000_0000n, 0xc1e0_0000_0000_0000n, 0xc1e0_0000_0020_0000n,
  0xc1e0_0000_0010_0000n, 0x43df_ffff_ffff_ffffn, 0x43e0_0000_0000_0000n, 0xc3e0_0000_0000_0000n, 0x3ff0_0000_0000_0001n, 0x3cb0_0000_0000_0000n,
  0x47ef_ffff_e000_0000n, 0x47ef_ffff_f000_0000n, 0x36a0_0000_0000_0000n, 0x3690_0000_0000_0000n, 0x380f_ffff_ffff_ffffn, 0x4340_0000_0000_0001n,
];

/** A binary64 pattern, in the same manner; includes values at the edges of binary32. */
export function doublePattern(random: Random): bigint {
  const bits = random.u64();
  const withExponent = (low: number, high: number) => (bits & 0x800f_ffff_ffff_ffffn) | (BigInt(random.between(low, high)) << 52n);
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2: return random.pick(DOUBLES);
    case 3: return bits & 0x800f_ffff_ffff_ffffn;
    case 4: return withExponent(1000, 1090);
    case 5: return withExponent(872, 900);
    case 6: return withExponent(1021, 1028) & ~0xffff_ffff_ffffn;
    default: return bits;
  }
}

/** An 80-bit pattern as significand and sign-exponent: also the encodings a modern x87 rejects (SDM vol. 1 table 8-3). */
export function extendedPattern(random: Random): { significand: bigint; signExponent: number } {
  const sign = random.oneIn(2) ? 0x8000 : 0;
  const integerBit = 1n << 63n;
  const significand = random.u64() | integerBit;
  switch (random.below(12)) {
    case 0: return { significand: 0n, signExponent: sign };
    case 1: return { significand: integerBit, signExponent: sign | 0x7fff };
    case 2: return { significand: significand | (1n << 62n), signExponent: sign | 0x7fff };
    case 3: return { significand: (significand & ~(1n << 62n)) | 1n, signExponent: sign | 0x7fff };
    case 4: return { significand: significand & ~integerBit, signExponent: sign };
    case 5: return { significand: random.pick([integerBit, integerBit | (1n << 62n), significand]), signExponent: sign | random.between(0x3ffe, 0x4002) };
    case 6: return { significand, signExponent: sign | random.pick([1, 2, 0x7ffe, 0x7ffd]) };
    case 7: return random.oneIn(3) ? { significand: random.u64(), signExponent: random.u32() & 0xffff } : { significand, signExponent: sign | 0x3fff };
    case 8: return { significand: significand & ~((1n << BigInt(random.below(63))) - 1n), signExponent: sign | random.between(0x3fff, 0x3fff + 70) };
    default: return { significand, signExponent: sign | random.between(0x3fff - 70, 0x3fff + 70) };
  }
}
