/** FPREM, FPREM1, FSCALE, FXTRACT. */
import {
  EXPONENT_BIAS, Exception, float80, type Float80, INDEFINITE, infinity, INTEGER_BIT, isInfinity, isZero, lsbExponent, normalize, zero,
} from './float80.ts';
import { fromInteger } from './convert.ts';
import { denormalOperand, invalid, specialOperand } from './nan.ts';
import { type FloatEnvironment, roundToRegister } from './rounding.ts';

interface Remainder {
  readonly value: Float80;
  /** Low three bits of the quotient; undefined when it has none, for the reduction is incomplete or the operands special. */
  readonly quotient: number | undefined;
  readonly incomplete: boolean;
}

function withoutQuotient(value: Float80): Remainder {
  return { value, quotient: undefined, incomplete: false };
}

/** @param nearest FPREM1: the quotient is the nearest integer (ties to even) and not the truncated one */
export function remainder(env: FloatEnvironment, a: Float80, b: Float80, nearest: boolean): Remainder {
  const special = specialOperand(env, a, b);
  if (special) return withoutQuotient(special);
  if (isInfinity(a) || isZero(b)) return withoutQuotient(invalid(env));
  if (denormalOperand(env, a, b)) return withoutQuotient(INDEFINITE);
  if (isZero(a)) return { value: a, quotient: 0, incomplete: false };
  // Nothing is computed, so nothing underflows either; a pseudo-denormal still comes out as the number it is.
  if (isInfinity(b)) return { value: a.exponent === 0 && a.significand >> 63n ? { ...a, exponent: 1 } : a, quotient: 0, incomplete: false };
  const dividend = normalize(a);
  const divisor = normalize(b);
  const distance = dividend.exponent - divisor.exponent;
  if (distance < -1) return { value: roundToRegister(env, a.negative, dividend.significand, dividend.exponent - 63), quotient: 0, incomplete: false };
  if (distance >= 64) {
    const reducedBits = (distance & 31) | 32;
    const rest = (dividend.significand << BigInt(reducedBits)) % divisor.significand;
    return { value: roundToRegister(env, a.negative, rest, dividend.exponent - reducedBits - 63), quotient: undefined, incomplete: true };
  }
  // At a distance of -1 both significands are counted in units half as large.
  const unit = Math.min(dividend.exponent, divisor.exponent) - 63;
  const scaledDivisor = distance < 0 ? divisor.significand << 1n : divisor.significand;
  const scaled = distance < 0 ? dividend.significand : dividend.significand << BigInt(distance);
  let quotient = scaled / scaledDivisor;
  let rest = scaled - quotient * scaledDivisor;
  let negative = a.negative;
  const twice = rest << 1n;
  if (nearest && (twice > scaledDivisor || (twice === scaledDivisor && (quotient & 1n) !== 0n))) {
    quotient += 1n;
    rest = scaledDivisor - rest;
    negative = !negative;
  }
  if (rest === 0n) negative = a.negative;
  return { value: roundToRegister(env, negative, rest, unit), quotient: Number(quotient & 7n), incomplete: false };
}

/** a × 2^trunc(b). */
export function scale(env: FloatEnvironment, a: Float80, b: Float80): Float80 {
  const special = specialOperand(env, a, b);
  if (special) return special;
  if (isInfinity(b) && (b.negative ? isInfinity(a) : isZero(a))) return invalid(env);
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (isInfinity(b)) return b.negative ? zero(a.negative) : infinity(a.negative);
  if (isInfinity(a) || isZero(a)) return a;
  const shift = -lsbExponent(b);
  // Beyond 2^16 every result is an overflow or an underflow anyway.
  const magnitude = shift > 63 ? 0 : shift < 47 ? 1 << 17 : Number(b.significand >> BigInt(shift));
  // Scaled by zero a denormal raises no underflow, not even an unmasked one; scaled by a fraction it does.
  if (isZero(b) && a.significand < INTEGER_BIT) return a;
  return roundToRegister(env, a.negative, a.significand, lsbExponent(a) + (b.negative ? -magnitude : magnitude));
}

/** Splits into exponent and significand (in [1, 2)). */
export function extract(env: FloatEnvironment, a: Float80): { exponent: Float80; significand: Float80 } {
  const special = specialOperand(env, a);
  if (special) return { exponent: special, significand: special };
  if (isInfinity(a)) return { exponent: infinity(false), significand: a };
  if (isZero(a)) {
    env.signal(Exception.ZE);
    return { exponent: infinity(true), significand: a };
  }
  denormalOperand(env, a);
  const { significand, exponent } = normalize(a);
  return { exponent: fromInteger(BigInt(exponent)), significand: float80(a.negative, EXPONENT_BIAS, significand) };
}
