import type { Value } from '@hanok/x86';
import { DOUBLE, type Format, placeSign, Rounding, signOf, SINGLE } from '../../float/format.ts';
import type { FunctionWriter } from '../../float/function-writer.ts';
import { roundShift } from '../../float/round.ts';
import type { Extended, Rounding as Rounded } from './stack.ts';

/** Numbers in the registers' format (SDM vol. 1 §4.2.2) that are normal or zero, rounded to nearest. */
export const BIAS = 16383;
const EXPONENT_MASK = 0x7fff;
const INTEGER_BIT = 1n << 63n;
const SIGN_SHIFT = 15;

export const exponentOf = (e: FunctionWriter, { head }: Extended) => e.and(head, e.constant(EXPONENT_MASK));
export const signOfExtended = (e: FunctionWriter, { head }: Extended) => e.shrU(head, e.constant(SIGN_SHIFT));
export const isZero = (e: FunctionWriter, { head, significand }: Extended) => e.eqz(e.or(significand, e.and(head, e.constant(EXPONENT_MASK))));

function isNormal(e: FunctionWriter, v: Extended): Value {
  return e.both(e.ltU(e.sub(exponentOf(e, v), e.constant(1)), e.constant(EXPONENT_MASK - 1)), e.ltS(v.significand, e.constant(0)));
}
/** The lowest exponent, and how many there are, of numbers whose sum, product and quotient are normal. */
const MIDDLE = { lowest: 0x3000, count: 0x2000 } as const;

/** Whether both are normal, and neither very large nor very small. */
export function areMiddle(e: FunctionWriter, a: Extended, b: Extended): Value {
  const distance = (v: Extended) => e.sub(exponentOf(e, v), e.constant(MIDDLE.lowest));
  const isNear = e.ltU(e.or(distance(a), distance(b)), e.constant(MIDDLE.count));
  return e.both(isNear, e.ltS(e.and(a.significand, b.significand), e.constant(0)));
}

export const isPlain = (e: FunctionWriter, v: Extended) => e.either(isNormal(e, v), isZero(e, v));

export interface Result {
  readonly value: Extended;
  readonly rounding: Rounded;
}

export const pack = (e: FunctionWriter, sign: Value, exponent: Value) => e.or(e.shl(sign, e.constant(SIGN_SHIFT)), exponent);

export const zeroOf = (e: FunctionWriter, sign: Value): Extended => ({ head: e.shl(sign, e.constant(SIGN_SHIFT)), significand: e.constant(0) });

/** Rounds a 128-bit significand whose top bit is set; `exponent` is biased, and away from the ends of its range. */
export function roundWide(e: FunctionWriter, sign: Value, exponent: Value, high: Value, low: Value): Result {
  const half = e.constant(INTEGER_BIT);
  const isUp = e.either(e.ltU(half, low), e.both(e.eq(low, half), e.bit(high, 0)));
  const sum = e.add(high, e.widen(isUp));
  const carries = e.eqz(sum);
  return {
    value: { head: pack(e, sign, e.add(exponent, e.widen(carries))), significand: e.select(carries, half, sum) },
    rounding: { isInexact: e.nez(low), isUp },
  };
}

/** A single or double, which must be normal or zero. */
function widen(e: FunctionWriter, f: Format, raw: Value): Extended {
  const exponent = e.and(e.shrU(raw, e.constant(f.fractionBits)), e.constant(2 * f.bias + 1));
  const fraction = e.shl(e.and(raw, e.constant((1n << BigInt(f.fractionBits)) - 1n)), e.constant(63 - f.fractionBits));
  const isNothing = e.eqz(e.or(exponent, fraction));
  const isOrdinary = e.ltU(e.sub(exponent, e.constant(1)), e.constant(2 * f.bias));
  const head = e.add(exponent, e.constant(BIAS - f.bias));
  e.failUnless(e.either(isNothing, isOrdinary));
  return {
    head: pack(e, signOf(e, f, raw), e.select(isNothing, e.constant(0), head)),
    significand: e.select(isNothing, e.constant(0), e.or(fraction, e.constant(INTEGER_BIT))),
  };
}

/** A signed 64-bit integer. */
export function fromInteger(e: FunctionWriter, value: Value): Extended {
  const sign = e.shrU(value, e.constant(63));
  const absolute = e.select(e.nez(sign), e.sub(e.constant(0), value), value);
  const shift = e.op('i64.clz', absolute);
  const head = e.select(e.eqz(value), e.constant(0), e.sub(e.constant(BIAS + 63), shift));
  return { head: pack(e, sign, head), significand: e.shl(absolute, shift) };
}

/** The memory operand of an arithmetic instruction: 32 and 64 are floating-point numbers, 0 a sign-extended integer. */
export function fromMemory(e: FunctionWriter, raw: Value, floatBits: 0 | 32 | 64): Extended {
  return floatBits === 0 ? fromInteger(e, raw) : widen(e, floatBits === 32 ? SINGLE : DOUBLE, raw);
}

/** A plain number's bits as a single or double, which must be a normal number or zero. */
export function narrow(e: FunctionWriter, f: Format, v: Extended): { raw: Value; rounding: Rounded } {
  const sign = signOfExtended(e, v);
  const { quotient, isInexact } = roundShift(e, v.significand, e.constant(63 - f.fractionBits), sign, e.constant(Rounding.Nearest));
  const isUp = e.ne(quotient, e.shrU(v.significand, e.constant(63 - f.fractionBits)));
  const exponent = e.sub(exponentOf(e, v), e.constant(BIAS - f.bias));
  // The quotient's integer bit, and a carry, count one into the exponent.
  const bits = e.add(e.shl(e.sub(exponent, e.constant(1)), e.constant(f.fractionBits)), quotient);
  const fits = e.both(e.ltS(e.constant(0), exponent), e.ltU(bits, e.constant(BigInt(2 * f.bias + 1) << BigInt(f.fractionBits))));
  const isNothing = isZero(e, v);
  const signed = placeSign(e, f, sign);
  e.failUnless(e.either(isNothing, e.both(fits, e.ltS(exponent, e.constant(2 * f.bias + 1)))));
  return {
    raw: e.or(signed, e.select(isNothing, e.constant(0), bits)),
    rounding: { isInexact, isUp },
  };
}
