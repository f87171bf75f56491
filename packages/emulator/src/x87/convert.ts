/** Conversions between registers and the formats of memory operands (SDM vol. 1 §4.2, §4.7, §8.1.5). */
import {
  bitLength, EXPONENT_BIAS, EXPONENT_MAX, Exception, float80, type Float80, INDEFINITE, INTEGER_BIT, isInfinity, isNaN80, isSignalingNaN,
  isUnsupported, isZero, lsbExponent, POSITIVE_ZERO, QUIET_BIT,
} from './float80.ts';
import { denormalOperand, specialOperand } from './nan.ts';
import { type FloatEnvironment, type FloatFormat, type RoundedInteger, roundShift, roundToFormat } from './rounding.ts';

interface StoredFormat extends FloatFormat {
  readonly exponentBits: number;
}

const SINGLE: StoredFormat = { precisionBits: 24, exponentMin: -126, exponentMax: 127, exponentBits: 8 };
const DOUBLE: StoredFormat = { precisionBits: 53, exponentMin: -1022, exponentMax: 1023, exponentBits: 11 };

const BCD_MAX = 10n ** 18n - 1n;
/** Packed BCD indefinite (SDM vol. 1 §4.7). */
export const BCD_INDEFINITE = 0xffff_c000_0000_0000_0000n;

/** A distance at which a significand lies entirely below the last place. */
const DROP_MAX_BITS = 70;

function storedFormat(bits: number): StoredFormat {
  return bits === 32 ? SINGLE : DOUBLE;
}

/** Low significand bits that a double lacks. */
const DOUBLE_TAIL = 0x7ffn;
const DOUBLE_FRACTION = (1n << 52n) - 1n;
const DOUBLE_BIAS = 1023;

/** An ordinary double, by its upper half's exponent field. */
function fromOrdinaryDouble(raw: bigint, high: number): Float80 {
  const significand = INTEGER_BIT | ((raw & DOUBLE_FRACTION) << 11n);
  return float80(high >= 0x800, (high & 0x7ff) - DOUBLE_BIAS + EXPONENT_BIAS, significand);
}

/** The bits of a value that a double holds exactly as an ordinary number, else undefined. */
function toOrdinaryDouble(a: Float80): bigint | undefined {
  const exponent = a.exponent - EXPONENT_BIAS + DOUBLE_BIAS;
  if (exponent < 1 || exponent > 2 * DOUBLE_BIAS || a.significand < INTEGER_BIT || (a.significand & DOUBLE_TAIL) !== 0n) return undefined;
  return (BigInt(exponent + (a.negative ? 0x800 : 0)) << 52n) | ((a.significand >> 11n) & DOUBLE_FRACTION);
}

/** Widens a 32- or 64-bit floating-point number; exact, and a signaling NaN stays one. */
export function fromFloat(raw: bigint, bits: number): Float80 {
  if (bits === 64) {
    const high = Number(raw >> 52n);
    if ((high & 0x7ff) !== 0 && (high & 0x7ff) !== 0x7ff) return fromOrdinaryDouble(raw, high);
  }
  const { precisionBits, exponentBits, exponentMax } = storedFormat(bits);
  const fractionBits = BigInt(precisionBits - 1);
  const negative = ((raw >> BigInt(bits - 1)) & 1n) !== 0n;
  const exponent = Number((raw >> fractionBits) & ((1n << BigInt(exponentBits)) - 1n));
  const fraction = (raw & ((1n << fractionBits) - 1n)) << (63n - fractionBits);
  if (exponent === exponentMax * 2 + 1) return float80(negative, EXPONENT_MAX, INTEGER_BIT | fraction);
  if (exponent !== 0) return float80(negative, exponent - exponentMax + EXPONENT_BIAS, INTEGER_BIT | fraction);
  if (fraction === 0n) return float80(negative, 0, 0n);
  const shift = 64 - bitLength(fraction);
  return { negative, exponent: 1 - exponentMax - shift + EXPONENT_BIAS, significand: fraction << BigInt(shift), denormal: true };
}

/** What FLD of a 32- or 64-bit number puts into a register. */
export function loadFloat(env: FloatEnvironment, raw: bigint, bits: number): Float80 {
  const value = fromFloat(raw, bits);
  const special = specialOperand(env, value);
  if (special) return special;
  denormalOperand(env, value);
  return value;
}

/** Rounds to a 32- or 64-bit number's bits. */
export function toFloat(env: FloatEnvironment, a: Float80, bits: number): bigint {
  const exact = bits === 64 ? toOrdinaryDouble(a) : undefined;
  if (exact !== undefined) return exact;
  const format = storedFormat(bits);
  const fractionBits = BigInt(format.precisionBits - 1);
  const sign = a.negative ? 1n << BigInt(bits - 1) : 0n;
  const exponentField = ((1n << BigInt(format.exponentBits)) - 1n) << fractionBits;
  const fractionMask = (1n << fractionBits) - 1n;
  const fractionOf = (significand: bigint): bigint => (significand >> (63n - fractionBits)) & fractionMask;
  if (isUnsupported(a)) {
    env.signal(Exception.IE);
    return (1n << BigInt(bits - 1)) | exponentField | fractionOf(QUIET_BIT);
  }
  if (isNaN80(a)) {
    if (isSignalingNaN(a)) env.signal(Exception.IE);
    return sign | exponentField | fractionOf(a.significand | QUIET_BIT);
  }
  if (isInfinity(a)) return sign | exponentField;
  if (isZero(a)) return sign;
  const rounded = roundToFormat(env, a.negative, a.significand, lsbExponent(a), format, false);
  if (rounded.kind === 'infinity') return sign | exponentField;
  const normal = rounded.significand >> fractionBits !== 0n;
  const exponent = normal ? BigInt(rounded.exponent + format.exponentMax) : 0n;
  return sign | (exponent << fractionBits) | (rounded.significand & fractionMask);
}

/** A signed integer, exactly. */
export function fromInteger(value: bigint): Float80 {
  if (value === 0n) return POSITIVE_ZERO;
  const magnitude = value < 0n ? -value : value;
  const length = bitLength(magnitude);
  return float80(value < 0n, EXPONENT_BIAS + length - 1, magnitude << BigInt(64 - length));
}

/** The magnitude rounded to an integer, or undefined when it is far beyond 64 bits. */
function roundMagnitude(env: FloatEnvironment, a: Float80): RoundedInteger | undefined {
  const exponent = lsbExponent(a);
  if (exponent > 1) return isZero(a) ? { quotient: 0n, inexact: false, up: false } : undefined;
  if (exponent < -DROP_MAX_BITS) return roundShift(env, a.negative, isZero(a) ? 0n : 1n, DROP_MAX_BITS);
  return roundShift(env, a.negative, a.significand, -exponent);
}

function reportInexact(env: FloatEnvironment, rounded: RoundedInteger): void {
  if (!rounded.inexact) return;
  env.signal(Exception.PE);
  env.roundedUp = rounded.up;
}

/** Rounds to a signed integer of `bits`; what does not fit becomes the integer indefinite. Result in two's complement. */
export function toInteger(env: FloatEnvironment, a: Float80, bits: number): bigint {
  const limit = 1n << BigInt(bits - 1);
  const rounded = isUnsupported(a) || a.exponent === EXPONENT_MAX ? undefined : roundMagnitude(env, a);
  if (!rounded || rounded.quotient > (a.negative ? limit : limit - 1n)) {
    env.signal(Exception.IE);
    return limit;
  }
  reportInexact(env, rounded);
  return BigInt.asUintN(bits, a.negative ? -rounded.quotient : rounded.quotient);
}

/** FRNDINT. */
export function roundToIntegral(env: FloatEnvironment, a: Float80): Float80 {
  const special = specialOperand(env, a);
  if (special) return special;
  if (denormalOperand(env, a)) return INDEFINITE;
  if (isZero(a) || lsbExponent(a) >= 0) return a;
  const rounded = roundMagnitude(env, a)!;
  reportInexact(env, rounded);
  const result = fromInteger(rounded.quotient);
  return float80(a.negative, result.exponent, result.significand);
}

/** 18 decimal digits and a sign in 80 bits. Digits above 9 count as their value, as processors do. */
export function fromBcd(raw: bigint): Float80 {
  let value = 0n;
  for (let digit = 17n; digit >= 0n; digit--) value = value * 10n + ((raw >> (digit * 4n)) & 15n);
  const result = fromInteger(value);
  return float80(((raw >> 79n) & 1n) !== 0n, result.exponent, result.significand);
}

export function toBcd(env: FloatEnvironment, a: Float80): bigint {
  const rounded = isUnsupported(a) || a.exponent === EXPONENT_MAX ? undefined : roundMagnitude(env, a);
  if (!rounded || rounded.quotient > BCD_MAX) {
    env.signal(Exception.IE);
    return BCD_INDEFINITE;
  }
  reportInexact(env, rounded);
  return (a.negative ? 1n << 79n : 0n) | BigInt(`0x${rounded.quotient}`);
}
