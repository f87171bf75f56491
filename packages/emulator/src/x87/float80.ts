/**
 * The double extended-precision format (SDM vol. 1 §4.2.2) and its special values: what the rest of the x87 arithmetic
 * is written over. Values are immutable.
 */

export interface Float80 {
  readonly negative: boolean;
  /** Biased by 16383, 0 to 0x7fff. */
  readonly exponent: number;
  /** All 64 bits, the explicit integer bit included. */
  readonly significand: bigint;
  /**
   * Counts as a denormal operand: a denormal or pseudo-denormal (SDM vol. 1 §8.2.2), or widened from a format in which it
   * was one.
   */
  readonly denormal: boolean;
}

export const EXPONENT_BIAS = 16383;
export const EXPONENT_MAX = 0x7fff;
export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;
export const MASK64 = (1n << 64n) - 1n;

/** Exception flags of the status word and masks of the control word (SDM vol. 1 §8.1.3, §8.1.5). */
export const Exception = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;

/** Rounding control (SDM vol. 1 §8.1.5.3). */
export const Rounding = { Nearest: 0, Down: 1, Up: 2, Zero: 3 } as const;

export function float80(negative: boolean, exponent: number, significand: bigint): Float80 {
  return { negative, exponent, significand, denormal: exponent === 0 && significand !== 0n };
}

export const POSITIVE_ZERO = float80(false, 0, 0n);
export const ONE = float80(false, EXPONENT_BIAS, INTEGER_BIT);
/** QNaN floating-point indefinite (SDM vol. 1 §4.8.3.7). */
export const INDEFINITE = float80(true, EXPONENT_MAX, INTEGER_BIT | QUIET_BIT);

export function zero(negative: boolean): Float80 {
  return float80(negative, 0, 0n);
}

export function infinity(negative: boolean): Float80 {
  return float80(negative, EXPONENT_MAX, INTEGER_BIT);
}

export function isZero(a: Float80): boolean {
  return a.exponent === 0 && a.significand === 0n;
}

export function isInfinity(a: Float80): boolean {
  return a.exponent === EXPONENT_MAX && a.significand === INTEGER_BIT;
}

/** Unnormals, pseudo-infinities and pseudo-NaNs, invalid as operands (SDM vol. 1 §8.2.2). */
export function isUnsupported(a: Float80): boolean {
  return a.exponent !== 0 && a.significand < INTEGER_BIT;
}

export function isNaN80(a: Float80): boolean {
  return a.exponent === EXPONENT_MAX && a.significand > INTEGER_BIT;
}

export function isSignalingNaN(a: Float80): boolean {
  return isNaN80(a) && (a.significand & QUIET_BIT) === 0n;
}

export function quiet(a: Float80): Float80 {
  return float80(a.negative, a.exponent, a.significand | QUIET_BIT);
}

export function negate(a: Float80): Float80 {
  return { ...a, negative: !a.negative };
}

const TWO_TO_128 = 1n << 128n;

/** Number of significant bits of a value that is not negative. */
export function bitLength(value: bigint): number {
  let length = 0;
  let rest = value;
  if (rest >= TWO_TO_128) {
    // Rare and long: one conversion to text costs less than shifting down in steps.
    const digits = rest.toString(16).length - 16;
    length += digits * 4;
    rest >>= BigInt(digits * 4);
  }
  if (rest > MASK64) {
    length += 64;
    rest >>= 64n;
  }
  const high = Number(rest >> 32n);
  return length + (high ? 64 - Math.clz32(high) : 32 - Math.clz32(Number(rest & 0xffffffffn)));
}

/** Unbiased exponent of the significand's least significant bit: the value is `significand × 2^lsbExponent`. */
export function lsbExponent(a: Float80): number {
  return (a.exponent || 1) - EXPONENT_BIAS - 63;
}

/** A nonzero finite value with its significand shifted up so that bit 63 is set; the exponent may be below the format's. */
export interface Normalized {
  readonly significand: bigint;
  /** Unbiased exponent of bit 63. */
  readonly exponent: number;
}

export function normalize(a: Float80): Normalized {
  const exponent = (a.exponent || 1) - EXPONENT_BIAS;
  if (a.significand >= INTEGER_BIT) return { significand: a.significand, exponent };
  const shift = 64 - bitLength(a.significand);
  return { significand: a.significand << BigInt(shift), exponent: exponent - shift };
}
