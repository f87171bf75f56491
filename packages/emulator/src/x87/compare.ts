import { Exception, type Float80, isNaN80, isSignalingNaN, isUnsupported, isZero } from './float80.ts';
import { denormalOperand } from './nan.ts';
import type { FloatEnvironment } from './rounding.ts';

/** Condition codes of the status word (SDM vol. 1 §8.1.3.1). */
export const Condition = { C0: 0x100, C1: 0x200, C2: 0x400, C3: 0x4000 } as const;
/** What comparisons and FXAM set. */
export const ORDER_CONDITIONS = Condition.C0 | Condition.C2 | Condition.C3;

/** Results of a comparison as FCOM reports them. */
export const Order = { Greater: 0, Less: Condition.C0, Equal: Condition.C3, Unordered: Condition.C0 | Condition.C2 | Condition.C3 } as const;

/** -1, 0 or 1 for magnitudes of numbers. */
function compareMagnitudes(a: Float80, b: Float80): number {
  const exponents = (a.exponent || 1) - (b.exponent || 1);
  // Numbers with different exponents may both lack the integer bit only at the lowest exponent.
  if (exponents !== 0 && !isZero(a) && !isZero(b)) return Math.sign(exponents);
  return a.significand === b.significand ? 0 : a.significand > b.significand ? 1 : -1;
}

/** @param quietly NaNs that are quiet compare unordered without an invalid-operation exception (FUCOM) */
export function compare(env: FloatEnvironment, a: Float80, b: Float80, quietly: boolean): number {
  if (isUnsupported(a) || isUnsupported(b)) {
    env.signal(Exception.IE);
    return Order.Unordered;
  }
  if (isNaN80(a) || isNaN80(b)) {
    if (!quietly || isSignalingNaN(a) || isSignalingNaN(b)) env.signal(Exception.IE);
    return Order.Unordered;
  }
  denormalOperand(env, a, b);
  if (isZero(a) && isZero(b)) return Order.Equal;
  if (a.negative !== b.negative) return a.negative ? Order.Less : Order.Greater;
  const order = compareMagnitudes(a, b);
  if (order === 0) return Order.Equal;
  return order > 0 !== a.negative ? Order.Greater : Order.Less;
}

/** FXAM's class of a value that is not empty, without C1. */
export function examine(a: Float80): number {
  if (isUnsupported(a)) return 0;
  if (isNaN80(a)) return Condition.C0;
  if (a.exponent === 0x7fff) return Condition.C2 | Condition.C0;
  if (isZero(a)) return Condition.C3;
  if (a.exponent === 0) return Condition.C3 | Condition.C2;
  return Condition.C2;
}
