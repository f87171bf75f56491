import type { ModuleBuilder } from '@hanok/wasm';
import type { Value } from '@hanok/x86';
import {
  DOUBLE, type Format, Flag, infinity, isDenormal, isInfinite, isNan, isSignaling, isZero, makeQuiet, placeSign, raise, raiseIf, Rounding, roundingControl,
  shiftRightSticky, SINGLE, signOf, unpack, withDaz,
} from './format.ts';
import type { FormatFunctions } from './arithmetic.ts';
import { type Defined, defineFunction, type FunctionWriter } from './function-writer.ts';
import { roundShift } from './round.ts';

/** Bits by which a double's fraction is longer than a single's. */
const FRACTION_SHIFT = DOUBLE.fractionBits - SINGLE.fractionBits;

/** Defines (cpu, single) → double. */
export function defineWiden(module: ModuleBuilder): Defined {
  return defineFunction(module, 'widen', ['i64'], 'i64', (e, a) => {
    const x = withDaz(e, SINGLE, a);
    const result = e.variable(e.op('i64.reinterpret_f64', e.op('f64.promote_f32', e.op('f32.reinterpret_i32', e.narrow(x)))));
    e.if(
      isNan(e, SINGLE, x),
      () => {
        raiseIf(e, isSignaling(e, SINGLE, x), Flag.IE);
        const fraction = e.shl(e.and(x, e.constant(0x7f_ffff)), e.constant(FRACTION_SHIFT));
        result.set(makeQuiet(e, DOUBLE, e.or(e.or(placeSign(e, DOUBLE, signOf(e, SINGLE, x)), e.constant(infinity(DOUBLE))), fraction)));
      },
      () => raiseIf(e, isDenormal(e, SINGLE, x), Flag.DE),
    );
    return result.get();
  });
}

/** Defines (cpu, double) → single. */
export function defineNarrow(module: ModuleBuilder, round: Defined): Defined {
  return defineFunction(module, 'narrow', ['i64'], 'i64', (e, a) => {
    const x = withDaz(e, DOUBLE, a);
    const sign = signOf(e, DOUBLE, x);
    const signed = placeSign(e, SINGLE, sign);
    const result = e.variable(signed);
    e.if(
      isNan(e, DOUBLE, x),
      () => {
        raiseIf(e, isSignaling(e, DOUBLE, x), Flag.IE);
        const fraction = e.and(e.shrU(x, e.constant(FRACTION_SHIFT)), e.constant(0x7f_ffff));
        result.set(makeQuiet(e, SINGLE, e.or(e.or(signed, e.constant(infinity(SINGLE))), fraction)));
      },
      () => e.if(
        isInfinite(e, DOUBLE, x),
        () => result.set(e.or(signed, e.constant(infinity(SINGLE)))),
        () => e.if(e.eqz(isZero(e, DOUBLE, x)), () => {
          raiseIf(e, isDenormal(e, DOUBLE, x), Flag.DE);
          const { exponent, significand } = unpack(e, DOUBLE, x);
          result.set(e.callFunction(round, sign, exponent, significand));
        }),
      ),
    );
    return result.get();
  });
}

/** Defines (cpu, integer) → number: a signed 64-bit integer. */
export function defineFromInteger(module: ModuleBuilder, { format: f, round }: FormatFunctions): Defined {
  return defineFunction(module, `from integer ${f.name}`, ['i64'], 'i64', (e, value) => {
    const result = e.variable(e.constant(0));
    e.if(e.nez(value), () => {
      const sign = e.shrU(value, e.constant(63));
      const absolute = e.select(e.nez(sign), e.sub(e.constant(0), value), value);
      const shift = e.op('i64.clz', absolute);
      result.set(e.callFunction(round, sign, e.sub(e.constant(63), shift), e.shl(absolute, shift)));
    });
    return result.get();
  });
}

/** Defines (cpu, number, rounding control) → signed integer of `bits`, zero-extended; what does not fit is the integer indefinite. */
export function defineToInteger(module: ModuleBuilder, f: Format, bits: 32 | 64): Defined {
  return defineFunction(module, `to integer ${f.name} ${bits}`, ['i64', 'i64'], 'i64', (e, a, control) => {
    const x = withDaz(e, f, a);
    const result = e.variable(e.constant(0));
    const invalid = () => {
      raise(e, Flag.IE);
      result.set(e.constant(1n << BigInt(bits - 1)));
    };
    const { sign, exponent, significand } = unpack(e, f, x);
    const isHuge = e.ltS(e.constant(63), exponent);
    e.if(
      e.either(e.either(isNan(e, f, x), isInfinite(e, f, x)), e.both(isHuge, e.eqz(isZero(e, f, x)))),
      invalid,
      () => e.if(e.eqz(isZero(e, f, x)), () => {
        // One bit below the integer keeps the number of dropped bits between 1 and 63.
        const distance = e.sub(e.constant(63), exponent);
        const isNear = e.ltU(distance, e.constant(63));
        const extra = e.sub(distance, e.constant(62));
        const shifted = e.select(isNear, significand, shiftRightSticky(e, significand, e.select(isNear, e.constant(0), extra)));
        const drop = e.select(isNear, distance, e.constant(62));
        const whole = e.eqz(drop);
        const { quotient, isInexact } = roundShift(e, shifted, e.select(whole, e.constant(1), drop), sign, control);
        const absolute = e.select(whole, significand, quotient);
        const limit = e.add(e.constant((1n << BigInt(bits - 1)) - 1n), sign);
        e.if(e.ltU(limit, absolute), invalid, () => {
          raiseIf(e, e.both(isInexact, e.eqz(whole)), Flag.PE);
          result.set(e.zeroExtend(e.select(e.nez(sign), e.sub(e.constant(0), absolute), absolute), bits));
        });
      }),
    );
    return result.get();
  });
}

const IMMEDIATE_MXCSR_BIT = 2;
const IMMEDIATE_NO_PRECISION_BIT = 3;

/** Defines (cpu, number, immediate) → integral number, for ROUNDPS and kin (SDM vol. 2B, "ROUNDPD"; denormals raise nothing). */
export function defineRoundToIntegral(module: ModuleBuilder, f: Format): Defined {
  const [toFloat, toBits] = f.bits === 32
    ? [(e: FunctionWriter, v: Value) => e.op('f32.reinterpret_i32', e.narrow(v)), (e: FunctionWriter, v: Value) => e.widen(e.op('i32.reinterpret_f32', v))]
    : [(e: FunctionWriter, v: Value) => e.op('f64.reinterpret_i64', v), (e: FunctionWriter, v: Value) => e.op('i64.reinterpret_f64', v)];
  return defineFunction(module, `round to integral ${f.name}`, ['i64', 'i64'], 'i64', (e, a, immediate) => {
    const x = withDaz(e, f, a);
    const result = e.variable(x);
    e.if(
      isNan(e, f, x),
      () => {
        raiseIf(e, isSignaling(e, f, x), Flag.IE);
        result.set(makeQuiet(e, f, x));
      },
      () => {
        const control = e.select(e.bit(immediate, IMMEDIATE_MXCSR_BIT), roundingControl(e), e.and(immediate, e.constant(3)));
        const v = toFloat(e, x);
        const is = (rounding: number) => e.eq(control, e.constant(rounding));
        const directed = e.select(is(Rounding.Down), e.op(`${f.name}.floor`, v), e.select(is(Rounding.Up), e.op(`${f.name}.ceil`, v), e.op(`${f.name}.trunc`, v)));
        const rounded = toBits(e, e.select(is(Rounding.Nearest), e.op(`${f.name}.nearest`, v), directed));
        raiseIf(e, e.both(e.ne(rounded, x), e.eqz(e.bit(immediate, IMMEDIATE_NO_PRECISION_BIT))), Flag.PE);
        result.set(rounded);
      },
    );
    return result.get();
  });
}
