/** FSIN, FCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1 (SDM vol. 1 §8.3.7 to §8.3.10 and the tables of vol. 2A). */
import { arcTangent, expMinus1Series, ln2, logarithm, pi, sinCosSeries, TINY_BITS, WORKING_BITS } from './fixed-point.ts';
import {
  bitLength, Exception, EXPONENT_BIAS, float80, type Float80, INDEFINITE, infinity, INTEGER_BIT, isInfinity,
  isZero, lsbExponent, negate, type Normalized, normalize, ONE, zero,
} from './float80.ts';
import { denormalOperand, invalid, specialOperand } from './nan.ts';
import { type FloatEnvironment, roundToRegister } from './rounding.ts';

/** Places of fixed-point numbers whose leading bit may be as low as 2^-TINY_BITS. */
const PLACES = WORKING_BITS + TINY_BITS;

/** The processor's own π for argument reduction: 66 bits (SDM vol. 1 §8.3.8). Here π/2 in units of 2^-67. */
const HALF_PI = 0xc90f_daa2_2168_c234_cn;
const HALF_PI_PLACES = 67;

/** 2^-1 - 1. Exact, but processors call it inexact. */
const MINUS_HALF = float80(true, EXPONENT_BIAS - 1, INTEGER_BIT);

/** Operands of the trigonometric functions lie below 2^63. */
const TRIGONOMETRIC_EXPONENT_END = 63;

/** What processors answer where the manual leaves the result open: the operand, called inexact. */
function outOfRange(env: FloatEnvironment, a: Float80): Float80 {
  env.signal(Exception.PE);
  return a;
}

/** Rounds a result that is known not to be representable: what lies below its last place counts as something. */
function inexact(env: FloatEnvironment, negative: boolean, magnitude: bigint, exponent: number): Float80 {
  return roundToRegister(env, negative, (magnitude << 2n) | 1n, exponent - 2);
}

/** `a` moved by less than its last place, away from zero or towards it. */
function nudged(env: FloatEnvironment, a: Float80, outward: boolean): Float80 {
  // The processor's sine of the smallest normal number is that number, and no underflow, whatever the rounding.
  if (!outward && a.exponent === 1 && a.significand === INTEGER_BIT) {
    env.signal(Exception.PE);
    return a;
  }
  const { significand, exponent } = normalize(a);
  const wide = significand << BigInt(TINY_BITS);
  return roundToRegister(env, a.negative, outward ? wide + 1n : wide - 1n, exponent - 63 - TINY_BITS);
}

/** A signed fixed-point number with PLACES places. */
function toFixed(negative: boolean, { significand, exponent }: Normalized): bigint {
  const shift = exponent - 63 + PLACES;
  const magnitude = shift >= 0 ? significand << BigInt(shift) : significand >> BigInt(-shift);
  return negative ? -magnitude : magnitude;
}

function fromFixed(env: FloatEnvironment, value: bigint): Float80 {
  return inexact(env, value < 0n, value < 0n ? -value : value, -PLACES);
}

/** Quadrant and rest (in [-π/4, π/4], PLACES places) of an operand that is not tiny. */
function reduce(a: Normalized): { quadrant: number; rest: bigint } {
  const shift = a.exponent - 63 + HALF_PI_PLACES;
  // Below 2^-3 there is nothing to reduce, and the units of HALF_PI are too coarse.
  if (shift < 0) return { quadrant: 0, rest: toFixed(false, a) };
  const scaled = a.significand << BigInt(shift);
  let quadrant = scaled / HALF_PI;
  let rest = scaled - quadrant * HALF_PI;
  if (rest * 2n > HALF_PI) {
    quadrant += 1n;
    rest -= HALF_PI;
  }
  return { quadrant: Number(quadrant & 3n), rest: rest << BigInt(PLACES - HALF_PI_PLACES) };
}

export interface Trigonometric {
  readonly sin: (env: FloatEnvironment) => Float80;
  readonly cos: (env: FloatEnvironment) => Float80;
  readonly tan: (env: FloatEnvironment) => Float80;
  /** The NaN that all of them are. */
  readonly special?: Float80;
}

export function constantFunctions(special: Float80): Trigonometric {
  return { sin: () => special, cos: () => special, tan: () => special, special };
}

/** Sine, cosine and tangent of one operand; undefined when it is out of range (C2). */
export function trigonometric(env: FloatEnvironment, a: Float80): Trigonometric | undefined {
  const special = specialOperand(env, a) ?? (isInfinity(a) ? invalid(env) : undefined);
  if (special) return constantFunctions(special);
  if (isZero(a)) return { sin: () => a, cos: () => ONE, tan: () => a };
  const normal = normalize(a);
  if (normal.exponent >= TRIGONOMETRIC_EXPONENT_END) return undefined;
  if (denormalOperand(env, a)) return constantFunctions(INDEFINITE);
  if (normal.exponent < -TINY_BITS) return { sin: (e) => nudged(e, a, false), cos: (e) => nudged(e, ONE, false), tan: (e) => nudged(e, a, true) };
  const { quadrant, rest } = reduce(normal);
  const { sin: s, cos: c } = sinCosSeries(rest, PLACES);
  const sine = [s, c, -s, -c][quadrant]!;
  const cosine = [c, -s, -c, s][quadrant]!;
  const signed = (value: bigint): bigint => (a.negative ? -value : value);
  return {
    sin: (e) => fromFixed(e, signed(sine)),
    cos: (e) => fromFixed(e, cosine),
    tan: (e) => {
      const [numerator, denominator] = quadrant & 1 ? [-c, s] : [s, c];
      const length = bitLength(denominator < 0n ? -denominator : denominator);
      // As many places as the denominator has beyond the result's own.
      const quotient = (numerator << BigInt(length + WORKING_BITS)) / denominator;
      return inexact(e, signed(quotient) < 0n, quotient < 0n ? -quotient : quotient, -length - WORKING_BITS);
    },
  };
}

/** 2^a - 1 for a in [-1, 1]. */
export function exponentialMinus1(env: FloatEnvironment, a: Float80): Float80 {
  const special = specialOperand(env, a);
  if (special) return special;
  if (isZero(a)) return a;
  if (isInfinity(a)) return a.negative ? negate(ONE) : a;
  if (denormalOperand(env, a)) return INDEFINITE;
  const normal = normalize(a);
  if (normal.exponent >= 0) {
    const isMinusOne = a.negative && normal.exponent === 0 && normal.significand === INTEGER_BIT;
    return outOfRange(env, isMinusOne ? MINUS_HALF : a);
  }
  if (normal.exponent < -TINY_BITS) return inexact(env, a.negative, normal.significand * ln2(WORKING_BITS), normal.exponent - 63 - WORKING_BITS);
  return fromFixed(env, expMinus1Series((toFixed(a.negative, normal) * ln2(PLACES)) >> BigInt(PLACES), PLACES));
}

/** y × (a logarithm's fixed-point value). */
function timesLogarithm(env: FloatEnvironment, y: Float80, value: bigint): Float80 {
  const negative = y.negative !== value < 0n;
  return inexact(env, negative, y.significand * (value < 0n ? -value : value), lsbExponent(y) - PLACES);
}

/** log2 of `significand × 2^exponent` with PLACES places. */
function log2(significand: bigint, exponent: number): bigint {
  const length = bitLength(significand);
  let top = exponent + length - 1;
  let unit = 1n << BigInt(length - 1);
  // A mantissa in [0.75, 1.5) keeps the logarithm of numbers next to 1 free of cancellation.
  if (significand * 2n >= unit * 3n) {
    unit <<= 1n;
    top += 1;
  }
  const fraction = (logarithm(significand, unit, PLACES) << BigInt(PLACES)) / ln2(PLACES);
  return (BigInt(top) << BigInt(PLACES)) + fraction;
}

/** y × log2(x). */
export function logarithmTimes(env: FloatEnvironment, x: Float80, y: Float80): Float80 {
  const special = specialOperand(env, x, y);
  if (special) return special;
  if (x.negative && !isZero(x)) return invalid(env);
  const isOne = !isZero(x) && x.exponent === ONE.exponent && x.significand === ONE.significand;
  if (isZero(y) && (isZero(x) || isInfinity(x))) return invalid(env);
  if (isInfinity(y) && isOne) return invalid(env);
  if (isZero(x) && !isInfinity(y)) {
    env.signal(Exception.ZE);
    return infinity(!y.negative);
  }
  if (denormalOperand(env, x, y)) return INDEFINITE;
  const belowOne = x.exponent < ONE.exponent;
  if (isZero(x) || isInfinity(x) || isInfinity(y)) return infinity(y.negative !== belowOne);
  if (isZero(y) || isOne) return zero(y.negative !== belowOne);
  const { significand, exponent } = normalize(x);
  if (significand === INTEGER_BIT) {
    const result = roundToRegister(env, y.negative !== exponent < 0, y.significand * BigInt(Math.abs(exponent)), lsbExponent(y));
    // Often exact; processors call it inexact all the same.
    env.signal(result.denormal ? Exception.PE | Exception.UE : Exception.PE);
    return result;
  }
  return timesLogarithm(env, y, log2(significand, exponent - 63));
}

/** y × log2(x + 1). Beyond ±(1 - √2/2) the manual leaves the result open; where a logarithm exists this is it. */
export function logarithmPlus1Times(env: FloatEnvironment, x: Float80, y: Float80): Float80 {
  const special = specialOperand(env, x, y);
  if (special) return special;
  if ((isZero(x) && isInfinity(y)) || (isInfinity(x) && (x.negative || isZero(y)))) return invalid(env);
  if (denormalOperand(env, x, y)) return INDEFINITE;
  const negative = x.negative !== y.negative;
  if (isInfinity(x) || isInfinity(y)) return infinity(negative);
  if (isZero(x) || isZero(y)) return zero(negative);
  const { significand, exponent } = normalize(x);
  if (x.negative && exponent >= 0) return outOfRange(env, x);
  if (exponent < -TINY_BITS) {
    const product = (significand * y.significand << BigInt(WORKING_BITS * 2)) / ln2(WORKING_BITS);
    return inexact(env, negative, product, exponent - 63 + lsbExponent(y) - WORKING_BITS);
  }
  // So far above 1 that adding 1 changes nothing that 64 bits of the logarithm can show.
  if (exponent > WORKING_BITS) return timesLogarithm(env, y, log2(significand, exponent - 63));
  return timesLogarithm(env, y, log2((1n << BigInt(PLACES)) + toFixed(x.negative, { significand, exponent }), -PLACES));
}

/** A multiple of π/4, rounded. */
function quarterPi(env: FloatEnvironment, negative: boolean, count: bigint): Float80 {
  return inexact(env, negative, pi(PLACES) * count, -PLACES - 2);
}

/** The angle of the point (x, y): arctan(y/x) in the right quadrant. */
export function angle(env: FloatEnvironment, x: Float80, y: Float80): Float80 {
  const special = specialOperand(env, x, y);
  if (special) return special;
  if (denormalOperand(env, x, y)) return INDEFINITE;
  const { negative } = y;
  if (isInfinity(x) && isInfinity(y)) return quarterPi(env, negative, x.negative ? 3n : 1n);
  if (isInfinity(y) || (isZero(x) && !isZero(y))) return quarterPi(env, negative, 2n);
  if (isInfinity(x) || isZero(y)) return x.negative ? quarterPi(env, negative, 4n) : zero(negative);
  const above = normalize(y);
  const along = normalize(x);
  const steep = above.exponent > along.exponent || (above.exponent === along.exponent && above.significand > along.significand);
  const [small, large] = steep ? [along, above] : [above, along];
  const distance = large.exponent - small.exponent;
  if (distance > TINY_BITS && !steep && !x.negative) return smallRatio(env, negative, small, large);
  const ratio = distance > PLACES ? 1n : (small.significand << BigInt(PLACES - distance)) / large.significand;
  let result = distance > PLACES ? 1n : arcTangent(ratio, PLACES);
  if (steep) result = (pi(PLACES) >> 1n) + (x.negative ? result : -result);
  else if (x.negative) result = pi(PLACES) - result;
  return inexact(env, negative, result, -PLACES);
}

/** arctan of a ratio so small that it equals the ratio but for the inexactness. */
function smallRatio(env: FloatEnvironment, negative: boolean, small: Normalized, large: Normalized): Float80 {
  const quotient = (small.significand << BigInt(WORKING_BITS)) / large.significand;
  // An exact quotient is above the angle.
  return inexact(env, negative, quotient - 1n, small.exponent - large.exponent - WORKING_BITS);
}
