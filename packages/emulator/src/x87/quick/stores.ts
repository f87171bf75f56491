import type { Value } from '@hanok/x86';
import { DOUBLE, Rounding, shiftRightSticky, SINGLE } from '../../float/format.ts';
import type { FunctionWriter } from '../../float/function-writer.ts';
import { roundShift } from '../../float/round.ts';
import { CPU } from '../../layout.ts';
import type { QuickFunctions } from './functions.ts';
import { BIAS, exponentOf, isPlain, isZero, narrow, signOfExtended } from './numbers.ts';
import type { Extended, Rounding as Rounded } from './stack.ts';

/** Leaves what to store, and how it was rounded, for `stored`: memory may still fault. */
function leave(e: FunctionWriter, raw: Value, rounding?: Rounded): void {
  e.storeState('i64.store', CPU.result, raw);
  const bits = rounding && e.op('i32.or', rounding.isInexact, e.op('i32.shl', rounding.isUp, e.constant32(1)));
  e.storeState('i64.store', CPU.x87StoredRounding, bits ? e.widen(bits) : e.constant(0));
}

/** A plain number as a signed integer of `bits`, in which it must fit, by a rounding control. */
function toInteger(e: FunctionWriter, v: Extended, bits: Value, control: Value): { raw: Value; rounding: Rounded } {
  const exponent = e.sub(exponentOf(e, v), e.constant(BIAS));
  const sign = signOfExtended(e, v);
  const isSmall = e.ltS(exponent, e.constant(1));
  const nearest = e.select(isSmall, shiftRightSticky(e, v.significand, e.select(isSmall, e.sub(e.constant(1), exponent), e.constant(0))), v.significand);
  const drop = e.select(isSmall, e.constant(62), e.sub(e.constant(63), exponent));
  const { quotient, isInexact } = roundShift(e, nearest, drop, sign, control);
  const isUp = e.both(isInexact, e.ne(quotient, e.shrU(nearest, drop)));
  const limit = e.shl(e.constant(1), e.sub(bits, e.constant(1)));
  const isNothing = isZero(e, v);
  e.failUnless(e.either(isNothing, e.both(e.ltS(exponent, e.constant(63)), e.ltU(quotient, limit))));
  const isSomething = e.eqz(isNothing);
  return {
    raw: e.select(isNothing, e.constant(0), e.select(e.nez(sign), e.sub(e.constant(0), quotient), quotient)),
    rounding: { isInexact: e.both(isInexact, isSomething), isUp: e.both(isUp, isSomething) },
  };
}

export function defineStores(functions: QuickFunctions): void {
  for (const [bits, format] of [[32, SINGLE], [64, DOUBLE]] as const) {
    functions.define(`store.${bits}`, (e, stack) => {
      const first = e.constant(0);
      stack.requireFilled(first);
      stack.requireMaskedPrecision();
      e.failUnless(e.eq(stack.roundingControl, e.constant(Rounding.Nearest)));
      const value = stack.get(first);
      const { raw, rounding, fits } = narrow(e, format, value);
      e.failUnless(fits);
      leave(e, raw, rounding);
    });
  }
  functions.define('store.extended', (e, stack) => {
    const first = e.constant(0);
    stack.requireFilled(first);
    const { significand, head } = stack.get(first);
    leave(e, significand);
    e.storeState('i64.store', CPU.x87StoredHead, head);
  });
  functions.define('store.integer', (e, stack, bits, truncates) => {
    const first = e.constant(0);
    stack.requireFilled(first);
    stack.requireMaskedPrecision();
    const value = stack.get(first);
    e.failUnless(isPlain(e, value));
    const { raw, rounding } = toInteger(e, value, bits!, e.select(e.nez(truncates!), e.constant(Rounding.Zero), stack.roundingControl));
    leave(e, raw, rounding);
  });
  functions.define('stored', (e, stack, instruction, data, pops) => {
    const bits = e.loadState('i64.load', CPU.x87StoredRounding);
    stack.record(instruction!, data!);
    stack.pop(pops!, { rounding: { isInexact: e.bit(bits, 0), isUp: e.bit(bits, 1) } });
  });
}
