import type { ModuleBuilder } from '@hanok/wasm';
import type { Value } from '@hanok/x86';
import type { Emitter } from '../emitter.ts';
import { type Format, infinity, MXCSR_FTZ_BIT, MXCSR_OM_BIT, MXCSR_UM_BIT, Flag, placeSign, raise, raiseIf, Rounding, roundingControl, shiftRightSticky, type Unpacked } from './format.ts';
import { type Defined, defineFunction, type FunctionWriter } from './function-writer.ts';

export interface RoundedShift {
  readonly quotient: Value;
  readonly isInexact: Value;
}

/** `v / 2^drop` (drop 1 to 63) rounded to an integer by a rounding control, for a number of that sign. */
export function roundShift(e: Emitter, v: Value, drop: Value, sign: Value, control: Value): RoundedShift {
  const one = e.constant(1);
  const mask = e.sub(e.shl(one, drop), one);
  const half = e.shl(one, e.sub(drop, one));
  const lost = e.and(v, mask);
  const awayFromZero = e.either(
    e.both(e.eq(control, e.constant(Rounding.Down)), e.nez(sign)),
    e.both(e.eq(control, e.constant(Rounding.Up)), e.eqz(sign)),
  );
  const isNearest = e.eq(control, e.constant(Rounding.Nearest));
  const increment = e.select(isNearest, half, e.select(awayFromZero, mask, e.constant(0)));
  const carry = e.widen(e.ltU(mask, e.add(lost, increment)));
  const tie = e.widen(e.both(isNearest, e.eq(lost, half)));
  // Halfway the increment carries; the even one of the two neighbours has its lowest bit clear.
  const sum = e.add(e.shrU(v, drop), carry);
  return { quotient: e.and(sum, e.xor(tie, e.constant(-1))), isInexact: e.nez(lost) };
}

/**
 * Defines (cpu, sign, exponent, significand) → bits: rounds significand × 2^(exponent - 63), whose top bit is set and whose
 * lowest stands for all below it, and raises OE, UE and PE (SDM vol. 1 §4.9.1.4 to §4.9.1.6, §11.5.2). Tininess is found
 * after rounding, as all x86 processors do.
 */
export function defineRound(module: ModuleBuilder, f: Format): Defined {
  const drop = 63 - f.fractionBits;
  const hidden = 1n << BigInt(f.fractionBits);
  return defineFunction(module, `round ${f.name}`, ['i64', 'i64', 'i64'], 'i64', (e, sign, exponent, significand) => {
    const control = roundingControl(e);
    const signed = placeSign(e, f, sign);
    const normal = roundShift(e, significand, e.constant(drop), sign, control);
    const carried = e.eq(normal.quotient, e.constant(2n * hidden));
    const rounded = e.add(exponent, e.widen(carried));
    const result = e.variable(signed);
    const or = (value: Value) => result.set(e.or(signed, value));
    e.if(
      e.ltS(rounded, e.constant(1 - f.bias)),
      () => e.if(
        e.bit(e.state('mxcsr'), MXCSR_UM_BIT),
        () => maskedUnderflow(e, f, { sign, exponent, significand }, control, or),
        () => {
          raise(e, Flag.UE);
          raiseIf(e, normal.isInexact, Flag.PE);
        },
      ),
      () => {
        raiseIf(e, normal.isInexact, Flag.PE);
        e.if(
          e.ltS(e.constant(f.bias), rounded),
          () => overflow(e, f, sign, control, or),
          () => {
            const fraction = e.select(carried, e.constant(0), e.sub(normal.quotient, e.constant(hidden)));
            or(e.add(e.shl(e.add(rounded, e.constant(f.bias)), e.constant(f.fractionBits)), fraction));
          },
        );
      },
    );
    return result.get();
  });
}

/** A denormal, or zero under FTZ (SDM vol. 1 §10.2.3.3). */
function maskedUnderflow(e: FunctionWriter, f: Format, { sign, exponent, significand }: Unpacked, control: Value, or: (magnitude: Value) => void): void {
  e.if(
    e.bit(e.state('mxcsr'), MXCSR_FTZ_BIT),
    () => {
      raise(e, Flag.UE | Flag.PE);
      or(e.constant(0));
    },
    () => {
      const shifted = shiftRightSticky(e, significand, e.sub(e.constant(1 - f.bias), exponent));
      const { quotient, isInexact } = roundShift(e, shifted, e.constant(63 - f.fractionBits), sign, control);
      raiseIf(e, isInexact, Flag.UE | Flag.PE);
      or(quotient);
    },
  );
}

/** An infinity, or the largest finite number where rounding is towards it (SDM vol. 1 table 4-11). */
function overflow(e: FunctionWriter, f: Format, sign: Value, control: Value, or: (magnitude: Value) => void): void {
  raise(e, Flag.OE);
  // Unmasked, the result would be one with a smaller exponent, which may be exact.
  raiseIf(e, e.bit(e.state('mxcsr'), MXCSR_OM_BIT), Flag.PE);
  const towardsZero = e.either(
    e.eq(control, e.constant(Rounding.Zero)),
    e.either(
      e.both(e.eq(control, e.constant(Rounding.Down)), e.eqz(sign)),
      e.both(e.eq(control, e.constant(Rounding.Up)), e.nez(sign)),
    ),
  );
  or(e.sub(e.constant(infinity(f)), e.widen(towardsZero)));
}
