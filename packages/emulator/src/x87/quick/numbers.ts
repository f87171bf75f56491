import type { Value } from '@hanok/x86';
import { DOUBLE, type Format, placeSign, Rounding, signOf, SINGLE } from '../../float/format.ts';
import type { Emitter } from '../../emitter.ts';
import { roundShift } from '../../float/round.ts';
import type { Extended, Rounding as Rounded } from './stack.ts';

/** Numbers in the registers' format (SDM vol. 1 §4.2.2) that are normal or zero, rounded to nearest. */
export const BIAS = 16383;
const EXPONENT_MASK = 0x7fff;
/** Where a number of compiled code says that its register is empty: it then counts neither as normal nor as zero. */
export const EMPTY_BIT = 0x1_0000;
const INTEGER_BIT = 1n << 63n;
const SIGN_SHIFT = 15;
const SIGN_BIT = 1 << SIGN_SHIFT;

export const exponentOf = (e: Emitter, { head }: Extended) => e.and(head, e.constant(EMPTY_BIT | EXPONENT_MASK));
/** The sign in its place, as `roundWide` takes it. */
export const signBitOf = (e: Emitter, { head }: Extended) => e.and(head, e.constant(SIGN_BIT));
export const signOfExtended = (e: Emitter, { head }: Extended) => e.shrU(head, e.constant(SIGN_SHIFT));
export const isZero = (e: Emitter, { head, significand }: Extended) => e.eqz(e.or(significand, exponentOf(e, { head, significand })));

function isNormal(e: Emitter, v: Extended): Value {
  return e.both(e.ltU(e.sub(exponentOf(e, v), e.constant(1)), e.constant(EXPONENT_MASK - 1)), e.ltS(v.significand, e.constant(0)));
}
/** The lowest exponent, and how many there are, of numbers whose sum, product and quotient are normal. */
const MIDDLE = { lowest: 0x3000, count: 0x2000 } as const;

/** Whether both are normal, and neither very large nor very small. */
export function areMiddle(e: Emitter, a: Extended, b: Extended): Value {
  const distance = (v: Extended) => e.sub(exponentOf(e, v), e.constant(MIDDLE.lowest));
  const isNear = e.ltU(e.or(distance(a), distance(b)), e.constant(MIDDLE.count));
  return e.both(isNear, e.ltS(e.and(a.significand, b.significand), e.constant(0)));
}

export const isPlain = (e: Emitter, v: Extended) => e.either(isNormal(e, v), isZero(e, v));

export interface Result {
  readonly value: Extended;
  readonly rounding: Rounded;
}

export const pack = (e: Emitter, sign: Value, exponent: Value) => e.or(e.shl(sign, e.constant(SIGN_SHIFT)), exponent);

export const zeroOf = (e: Emitter, sign: Value): Extended => ({ head: e.shl(sign, e.constant(SIGN_SHIFT)), significand: e.constant(0) });

/**
 * Rounds a 128-bit significand whose top bit is set; `exponent` is biased, and away from the ends of its range; `sign` stands in its
 * place. A significand of zero gives a positive zero.
 */
export function roundWide(e: Emitter, sign: Value, exponent: Value, high: Value, low: Value): Result {
  const half = e.constant(INTEGER_BIT);
  const isUp = e.ltU(half, e.or(low, e.and(high, e.constant(1))));
  const sum = e.add(high, e.widen(isUp));
  const head = e.variable(e.or(sign, exponent));
  const significand = e.variable(sum);
  e.rarely(e.eqz(sum), () => {
    const carries = e.nez(high);
    head.set(e.select(carries, e.or(sign, e.add(exponent, e.constant(1))), e.constant(0)));
    significand.set(e.select(carries, half, e.constant(0)));
  });
  return { value: { head: head.get(), significand: significand.get() }, rounding: { isInexact: e.nez(low), isUp } };
}

/** A number out of memory, and whether it is normal or zero (i32): else it has no meaning. */
export interface Loaded {
  readonly value: Extended;
  readonly isPlain: Value;
}

/** A single or double. */
function widen(e: Emitter, f: Format, raw: Value): Loaded {
  const exponent = e.and(e.shrU(raw, e.constant(f.fractionBits)), e.constant(2 * f.bias + 1));
  const fraction = e.shl(e.and(raw, e.constant((1n << BigInt(f.fractionBits)) - 1n)), e.constant(63 - f.fractionBits));
  const isNothing = e.eqz(e.or(exponent, fraction));
  const isOrdinary = e.ltU(e.sub(exponent, e.constant(1)), e.constant(2 * f.bias));
  const head = e.add(exponent, e.constant(BIAS - f.bias));
  const value = {
    head: pack(e, signOf(e, f, raw), e.select(isNothing, e.constant(0), head)),
    significand: e.select(isNothing, e.constant(0), e.or(fraction, e.constant(INTEGER_BIT))),
  };
  return { value, isPlain: e.either(isNothing, isOrdinary) };
}

/** A signed 64-bit integer. */
export function fromInteger(e: Emitter, value: Value): Extended {
  const sign = e.shrU(value, e.constant(63));
  const absolute = e.select(e.nez(sign), e.sub(e.constant(0), value), value);
  const shift = e.op('i64.clz', absolute);
  const head = e.select(e.eqz(value), e.constant(0), e.sub(e.constant(BIAS + 63), shift));
  return { head: pack(e, sign, head), significand: e.shl(absolute, shift) };
}

/** The memory operand of an arithmetic instruction: 32 and 64 are floating-point numbers, 0 a sign-extended integer. */
export function fromMemory(e: Emitter, raw: Value, floatBits: 0 | 32 | 64): Loaded {
  return floatBits === 0 ? { value: fromInteger(e, raw), isPlain: e.constant32(1) } : widen(e, floatBits === 32 ? SINGLE : DOUBLE, raw);
}

/** What a number becomes in memory, and whether that is all there is to it (i32). */
export interface Stored {
  readonly raw: Value;
  readonly rounding: Rounded;
  readonly fits: Value;
}

/** A number's bits as a single or double, which must be a normal number or zero as the number itself. */
export function narrow(e: Emitter, f: Format, v: Extended): Stored {
  const sign = signOfExtended(e, v);
  const { quotient, isInexact } = roundShift(e, v.significand, e.constant(63 - f.fractionBits), sign, e.constant(Rounding.Nearest));
  const isUp = e.ne(quotient, e.shrU(v.significand, e.constant(63 - f.fractionBits)));
  const exponent = e.sub(exponentOf(e, v), e.constant(BIAS - f.bias));
  // The quotient's integer bit, and a carry, count one into the exponent.
  const bits = e.add(e.shl(e.sub(exponent, e.constant(1)), e.constant(f.fractionBits)), quotient);
  const isBelow = e.ltU(bits, e.constant(BigInt(2 * f.bias + 1) << BigInt(f.fractionBits)));
  const fits = e.both(e.both(e.ltS(e.constant(0), exponent), isBelow), e.ltS(exponent, e.constant(2 * f.bias + 1)));
  const isNothing = isZero(e, v);
  return {
    raw: e.or(placeSign(e, f, sign), e.select(isNothing, e.constant(0), bits)),
    rounding: { isInexact, isUp },
    fits: e.both(isPlain(e, v), e.either(isNothing, fits)),
  };
}
