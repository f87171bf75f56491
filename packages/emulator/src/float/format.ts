import type { Value } from '@hanok/x86';
import { CPU } from '../layout.ts';
import type { Emitter } from '../emitter.ts';
import type { FunctionWriter } from './function-writer.ts';

/** A binary interchange format (SDM vol. 1 §4.2.2); bit patterns travel as i64. */
export interface Format {
  readonly name: 'f32' | 'f64';
  readonly bits: 32 | 64;
  readonly fractionBits: number;
  readonly bias: number;
}

export const SINGLE: Format = { name: 'f32', bits: 32, fractionBits: 23, bias: 127 };
export const DOUBLE: Format = { name: 'f64', bits: 64, fractionBits: 52, bias: 1023 };

/** MXCSR (SDM vol. 1 §10.2.3): exception flags, denormals are zeros, rounding control, flush to zero. */
export const Flag = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 0x10, PE: 0x20 } as const;
const MXCSR_DAZ_BIT = 6;
export const MXCSR_MASK_SHIFT = 7;
export const MXCSR_OM_BIT = 10;
export const MXCSR_UM_BIT = 11;
const MXCSR_RC_SHIFT = 13;
export const MXCSR_FTZ_BIT = 15;
/** Rounding control (SDM vol. 1 table 4-8). */
export const Rounding = { Nearest: 0, Down: 1, Up: 2, Zero: 3 } as const;

/** The longest shift that `shiftRightSticky` makes; nothing but the sticky bit is left by then. */
const SHIFT_MAX = 63;

/** A nonzero finite number: sign (0 or 1), and significand × 2^(exponent - 63) with the significand's top bit set. */
export interface Unpacked {
  readonly sign: Value;
  readonly exponent: Value;
  readonly significand: Value;
}

export const signBit = (f: Format) => 1n << BigInt(f.bits - 1);
export const infinity = (f: Format) => BigInt(2 * f.bias + 1) << BigInt(f.fractionBits);
const quietBit = (f: Format) => 1n << BigInt(f.fractionBits - 1);
/** The QNaN floating-point indefinite. */
export const indefinite = (f: Format) => signBit(f) | infinity(f) | quietBit(f);

export function magnitude(e: FunctionWriter, f: Format, v: Value): Value {
  return e.and(v, e.constant(signBit(f) - 1n));
}
export function signOf(e: Emitter, f: Format, v: Value): Value {
  return e.and(e.shrU(v, e.constant(f.bits - 1)), e.constant(1));
}
/** A sign (0 or 1) in its place. */
export function placeSign(e: Emitter, f: Format, sign: Value): Value {
  return e.shl(sign, e.constant(f.bits - 1));
}
export function isNan(e: FunctionWriter, f: Format, v: Value): Value {
  return e.ltS(e.constant(infinity(f)), magnitude(e, f, v));
}
export function isSignaling(e: FunctionWriter, f: Format, v: Value): Value {
  return e.both(isNan(e, f, v), e.eqz(e.and(v, e.constant(quietBit(f)))));
}
export function isInfinite(e: FunctionWriter, f: Format, v: Value): Value {
  return e.eq(magnitude(e, f, v), e.constant(infinity(f)));
}
export function isZero(e: FunctionWriter, f: Format, v: Value): Value {
  return e.eqz(magnitude(e, f, v));
}
export function isDenormal(e: FunctionWriter, f: Format, v: Value): Value {
  return e.ltU(e.sub(magnitude(e, f, v), e.constant(1)), e.constant((1n << BigInt(f.fractionBits)) - 1n));
}
export function makeQuiet(e: FunctionWriter, f: Format, v: Value): Value {
  return e.or(v, e.constant(quietBit(f)));
}

/** Adds to what the instruction raises. */
export function raise(e: FunctionWriter, flags: number): void {
  e.storeState('i32.store', CPU.floatRaised, e.op('i32.or', e.loadState('i32.load', CPU.floatRaised), e.constant32(flags)));
}
export function raiseIf(e: FunctionWriter, condition: Value, flags: number): void {
  e.if(condition, () => raise(e, flags));
}

/** The operand as the instruction sees it: a denormal is a zero under DAZ (SDM vol. 1 §10.2.3.4). */
export function withDaz(e: FunctionWriter, f: Format, v: Value): Value {
  const flushed = e.both(e.bit(e.state('mxcsr'), MXCSR_DAZ_BIT), isDenormal(e, f, v));
  return e.select(flushed, e.and(v, e.constant(signBit(f))), v);
}

export function roundingControl(e: FunctionWriter): Value {
  return e.and(e.shrU(e.state('mxcsr'), e.constant(MXCSR_RC_SHIFT)), e.constant(3));
}

/** `v` is neither zero nor infinite nor a NaN. */
export function unpack(e: FunctionWriter, f: Format, v: Value): Unpacked {
  const field = e.and(e.shrU(v, e.constant(f.fractionBits)), e.constant(2 * f.bias + 1));
  const fraction = e.and(v, e.constant((1n << BigInt(f.fractionBits)) - 1n));
  const isTiny = e.eqz(field);
  const whole = e.select(isTiny, fraction, e.or(fraction, e.constant(1n << BigInt(f.fractionBits))));
  const raised = e.shl(whole, e.constant(63 - f.fractionBits));
  const shift = e.op('i64.clz', raised);
  const exponent = e.sub(e.add(field, e.widen(isTiny)), e.add(shift, e.constant(f.bias)));
  return { sign: signOf(e, f, v), exponent, significand: e.shl(raised, shift) };
}

/** `v >> distance` (0 or more), its lowest bit also set when ones were lost. */
export function shiftRightSticky(e: FunctionWriter, v: Value, distance: Value): Value {
  const limit = e.constant(SHIFT_MAX);
  const shift = e.select(e.ltU(limit, distance), limit, distance);
  const lost = e.and(v, e.sub(e.shl(e.constant(1), shift), e.constant(1)));
  const isFar = e.ltU(limit, distance);
  return e.select(isFar, e.widen(e.nez(v)), e.or(e.shrU(v, shift), e.widen(e.nez(lost))));
}
