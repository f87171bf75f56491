import {
  bitLength, EXPONENT_BIAS, EXPONENT_MAX, Exception, float80, type Float80, infinity, INTEGER_BIT, MASK64, Rounding, zero,
} from './float80.ts';

/** Added to or taken from the exponent of an unmasked underflow's or overflow's result (SDM vol. 1 §8.5.4). */
const EXPONENT_WRAP = 24576;

const PRECISION_BITS = [24, 64, 53, 64] as const;

/** Exceptions found before the result is computed; unmasked, they leave the destination as it was. */
const PRE_COMPUTATION = Exception.IE | Exception.DE | Exception.ZE;

/** What an operation takes from the control word, and what it reports to the status word. */
export class FloatEnvironment {
  readonly rounding: number;
  /** Significand bits of results of FADD, FSUB, FMUL, FDIV and FSQRT. */
  readonly precisionBits: number;
  readonly masks: number;
  raised = 0;
  /** The result's magnitude is above the exact value's (status bit C1). */
  roundedUp = false;

  constructor(control: number, rounding = (control >> 10) & 3) {
    this.rounding = rounding;
    this.precisionBits = PRECISION_BITS[(control >> 8) & 3]!;
    this.masks = control & 0x3f;
  }

  /** Records exceptions; true when one of them is unmasked. */
  signal(flags: number): boolean {
    this.raised |= flags;
    return (flags & ~this.masks) !== 0;
  }

  isMasked(flags: number): boolean {
    return (flags & ~this.masks) === 0;
  }

  /** An unmasked exception forbids storing the result. */
  get aborted(): boolean {
    return (this.raised & ~this.masks & PRE_COMPUTATION) !== 0;
  }

  /** Whether a discarded part (`twice` it compared with the unit: negative, 0 or positive) increments the magnitude. */
  roundsUp(negative: boolean, odd: boolean, halfComparison: number): boolean {
    if (this.rounding === Rounding.Nearest) return halfComparison > 0 || (halfComparison === 0 && odd);
    if (this.rounding === Rounding.Zero) return false;
    return negative === (this.rounding === Rounding.Down);
  }
}

export interface RoundedInteger {
  readonly quotient: bigint;
  readonly inexact: boolean;
  /** The magnitude was incremented. */
  readonly up: boolean;
}

/** `value / 2^drop` rounded to an integer in the environment's direction. Touches no flag. */
export function roundShift(env: FloatEnvironment, negative: boolean, value: bigint, drop: number): RoundedInteger {
  if (drop <= 0) return { quotient: value << BigInt(-drop), inexact: false, up: false };
  const shift = BigInt(drop);
  const quotient = value >> shift;
  const rest = value - (quotient << shift);
  if (rest === 0n) return { quotient, inexact: false, up: false };
  const half = 1n << (shift - 1n);
  const up = env.roundsUp(negative, (quotient & 1n) !== 0n, rest > half ? 1 : rest === half ? 0 : -1);
  return { quotient: up ? quotient + 1n : quotient, inexact: true, up };
}

/** A binary floating-point format results are rounded to. */
export interface FloatFormat {
  /** Significand bits, the integer bit included. */
  readonly precisionBits: number;
  /** Smallest and largest unbiased exponent of a normal number. */
  readonly exponentMin: number;
  readonly exponentMax: number;
}

const EXTENDED: FloatFormat = { precisionBits: 64, exponentMin: -16382, exponentMax: 16383 };
/** Extended range with less precision, chosen by the control word. */
const EXTENDED_BY_PRECISION: Record<number, FloatFormat> = {
  24: { ...EXTENDED, precisionBits: 24 },
  53: { ...EXTENDED, precisionBits: 53 },
  64: EXTENDED,
};

/** A rounded magnitude: `significand` has the format's precision; `exponent` is that of its most significant place. */
interface Rounded {
  readonly kind: 'finite' | 'infinity';
  readonly significand: bigint;
  readonly exponent: number;
}

/**
 * Rounds `significand × 2^exponent` (significand > 0; its least significant bit may stand for "and something more", given
 * at least two bits more than the precision) to a format, masked responses included (SDM vol. 1 §4.9.1.4 to §4.9.1.6,
 * §8.5.4 to §8.5.6).
 * @param wrap what follows an unmasked overflow or underflow: the exponent is scaled (register destinations), or there is
 * no result (memory)
 */
export function roundToFormat(
  env: FloatEnvironment, negative: boolean, significand: bigint, exponent: number, format: FloatFormat, wrap: boolean,
): Rounded {
  const { precisionBits, exponentMin, exponentMax } = format;
  const length = bitLength(significand);
  let top = exponent + length - 1;
  let result = roundShift(env, negative, significand, length - precisionBits);
  const carries = bitLength(result.quotient) > precisionBits;
  if (top + (carries ? 1 : 0) < exponentMin) {
    if (env.isMasked(Exception.UE)) {
      result = roundShift(env, negative, significand, length - precisionBits + (exponentMin - top));
      finish(env, result, Exception.UE);
      return { kind: 'finite', significand: result.quotient, exponent: exponentMin };
    }
    env.signal(Exception.UE);
    if (!wrap) return { kind: 'finite', significand: 0n, exponent: exponentMin };
    top += EXPONENT_WRAP;
    if (top < exponentMin) return massive(env, 'finite');
  }
  const rounded = carries ? result.quotient >> 1n : result.quotient;
  if (carries) top += 1;
  if (top > exponentMax && !env.isMasked(Exception.OE)) {
    env.signal(Exception.OE);
    if (!wrap) return { kind: 'finite', significand: 0n, exponent: exponentMax };
    top -= EXPONENT_WRAP;
    if (top > exponentMax) return massive(env, 'infinity');
  }
  finish(env, result, 0);
  if (top <= exponentMax) return { kind: 'finite', significand: rounded, exponent: top };
  env.signal(Exception.OE);
  env.signal(Exception.PE);
  env.roundedUp = env.roundsUp(negative, true, 1);
  if (env.roundedUp) return { kind: 'infinity', significand: 0n, exponent: exponentMax };
  return { kind: 'finite', significand: (1n << BigInt(precisionBits)) - 1n, exponent: exponentMax };
}

/** FSCALE may go so far that not even the scaled result fits: zero or infinity then (SDM vol. 1 §8.5.4, §8.5.5). */
function massive(env: FloatEnvironment, kind: Rounded['kind']): Rounded {
  env.signal(Exception.PE);
  env.roundedUp = kind === 'infinity';
  return { kind, significand: 0n, exponent: 0 };
}

function finish(env: FloatEnvironment, result: { inexact: boolean; up: boolean }, flags: number): void {
  if (!result.inexact) return;
  env.signal(flags | Exception.PE);
  env.roundedUp = result.up;
}

/** Rounds to a register's format with the given precision (by default all 64 bits). */
export function roundToRegister(env: FloatEnvironment, negative: boolean, significand: bigint, exponent: number, precisionBits = 64): Float80 {
  if (significand === 0n) return zero(negative);
  return roundOrdinary(env, negative, significand, exponent, precisionBits) ?? roundGeneral(env, negative, significand, exponent, precisionBits);
}

/** The frequent case, without what only the ends of the format need: all 64 bits and an exponent well inside. */
function roundOrdinary(env: FloatEnvironment, negative: boolean, significand: bigint, exponent: number, precisionBits: number): Float80 | undefined {
  const length = bitLength(significand);
  const biased = exponent + length - 1 + EXPONENT_BIAS;
  if (precisionBits !== 64 || biased < 2 || biased > EXPONENT_MAX - 2) return undefined;
  const drop = length - 64;
  if (drop <= 0) return float80(negative, biased, drop === 0 ? significand : significand << BigInt(-drop));
  const shift = BigInt(drop);
  const quotient = significand >> shift;
  const rest = BigInt.asUintN(drop, significand);
  if (rest === 0n) return float80(negative, biased, quotient);
  env.signal(Exception.PE);
  const half = 1n << (shift - 1n);
  env.roundedUp = env.roundsUp(negative, (quotient & 1n) !== 0n, rest > half ? 1 : rest === half ? 0 : -1);
  if (!env.roundedUp) return float80(negative, biased, quotient);
  return quotient === MASK64 ? float80(negative, biased + 1, INTEGER_BIT) : float80(negative, biased, quotient + 1n);
}

function roundGeneral(env: FloatEnvironment, negative: boolean, significand: bigint, exponent: number, precisionBits: number): Float80 {
  const format = EXTENDED_BY_PRECISION[precisionBits]!;
  const rounded = roundToFormat(env, negative, significand, exponent, format, true);
  if (rounded.kind === 'infinity') return infinity(negative);
  const bits = (rounded.significand << BigInt(64 - precisionBits)) & MASK64;
  const biased = rounded.exponent + EXPONENT_BIAS;
  return float80(negative, bits >> 63n ? biased : 0, bits);
}
