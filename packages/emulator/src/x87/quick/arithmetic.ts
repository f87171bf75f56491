import type { Value, Variable } from '@hanok/x86';
import type { Emitter } from '../../emitter.ts';
import { multiplyWide } from '../../float/arithmetic.ts';
import type { Defined, FunctionWriter } from '../../float/function-writer.ts';
import { areMiddle, BIAS, exponentOf, isPlain, isZero, type Result, roundWide, signBitOf, signOfExtended, zeroOf } from './numbers.ts';
import type { Extended } from './stack.ts';

/** Results of FADD, FSUB, FMUL and FDIV for normal numbers and zeros, rounded to nearest and 64 bits. */
export type Operation = (e: FunctionWriter, a: Extended, b: Extended) => Result;
/** The same for numbers in the middle of the range (`areMiddle`). */
export type MiddleOperation = (e: Emitter, a: Extended, b: Extended) => Result;

const INTEGER_BIT = 1n << 63n;
const SIGN_BIT = 0x8000;

/** The variables a result is put together in. */
class Outcome {
  readonly #head: Variable;
  readonly #significand: Variable;
  readonly #isInexact: Variable;
  readonly #isUp: Variable;

  constructor(e: FunctionWriter) {
    this.#head = e.variable(e.constant(0));
    this.#significand = e.variable(e.constant(0));
    this.#isInexact = e.variable(e.constant32(0));
    this.#isUp = e.variable(e.constant32(0));
  }
  rounded({ value, rounding }: Result): void {
    this.#head.set(value.head);
    this.#significand.set(value.significand);
    this.#isInexact.set(rounding.isInexact);
    this.#isUp.set(rounding.isUp);
  }
  exact({ head, significand }: Extended): void {
    this.#head.set(head);
    this.#significand.set(significand);
  }
  get result(): Result {
    return {
      value: { head: this.#head.get(), significand: this.#significand.get() },
      rounding: { isInexact: this.#isInexact.get(), isUp: this.#isUp.get() },
    };
  }
}

/** An operation out of what it does with numbers in the middle of the range, and with plain ones of which one at least is a zero; others fail. */
function operation(middle: Operation, zero: (e: FunctionWriter, a: Extended, b: Extended) => Extended): Operation {
  return (e, a, b) => {
    const outcome = new Outcome(e);
    e.if(
      areMiddle(e, a, b),
      () => outcome.rounded(middle(e, a, b)),
      () => {
        e.failUnless(e.both(isPlain(e, a), isPlain(e, b)));
        e.failUnless(e.either(isZero(e, a), isZero(e, b)));
        outcome.exact(zero(e, a, b));
      },
    );
    return outcome.result;
  };
}

/** `v × 2^-(distance + 1)` as 128 bits, the lowest also set when ones were lost. */
function shiftWide(e: Emitter, v: Value, distance: Value): [high: Value, low: Value] {
  const high = e.variable(e.shrU(e.shrU(v, e.constant(1)), distance));
  const low = e.variable(e.shl(v, e.not(distance)));
  e.rarely(e.ltU(e.constant(63), distance), () => {
    const lost = e.shl(v, e.sub(e.constant(127), distance));
    high.set(e.constant(0));
    low.set(e.select(e.ltU(distance, e.constant(127)), e.or(e.shrU(v, e.sub(distance, e.constant(63))), e.widen(e.nez(lost))), e.constant(1)));
  });
  return [high.get(), low.get()];
}

/** The significands stand a bit lower in 128 bits, so that their sum carries into no bit beyond. */
export const addMiddle: MiddleOperation = (e, a, b) => {
  const one = e.constant(1);
  const [exponentA, exponentB] = [exponentOf(e, a), exponentOf(e, b)];
  const swaps = e.either(e.ltU(exponentA, exponentB), e.both(e.eq(exponentA, exponentB), e.ltU(a.significand, b.significand)));
  const larger = e.select(swaps, b.significand, a.significand);
  const exponent = e.select(swaps, exponentB, exponentA);
  const signs = e.xor(a.head, b.head);
  const smaller = e.xor(e.xor(a.significand, b.significand), larger);
  const [high, low] = shiftWide(e, smaller, e.sub(exponent, e.xor(e.xor(exponentA, exponentB), exponent)));
  const [largeHigh, largeLow] = [e.shrU(larger, one), e.shl(larger, e.constant(63))];
  const sum = e.add(largeLow, low);
  const added = e.add(e.add(largeHigh, high), e.widen(e.ltU(sum, low)));
  const subtracted = e.sub(e.sub(largeHigh, high), e.widen(e.ltU(largeLow, low)));
  const differs = e.nez(e.and(signs, e.constant(SIGN_BIT)));
  const upper = e.variable(e.select(differs, subtracted, added));
  const lower = e.variable(e.select(differs, e.sub(largeLow, low), sum));
  const raised = e.variable(e.add(exponent, one));
  // All of the upper half vanishes where the operands are next to each other, or equal.
  e.rarely(e.eqz(upper.get()), () => {
    upper.set(lower.get());
    lower.set(e.constant(0));
    raised.set(e.sub(raised.get(), e.constant(64)));
  });
  const [v, rest] = [upper.get(), lower.get()];
  const shift = e.op('i64.clz', v);
  const normal = e.or(e.shl(v, shift), e.shrU(e.shrU(rest, one), e.not(shift)));
  const sign = e.and(e.select(swaps, b.head, a.head), e.constant(SIGN_BIT));
  return roundWide(e, sign, e.sub(raised.get(), shift), normal, e.shl(rest, shift));
};

export const add = operation(addMiddle, (e, a, b) => {
  const [zeroA, zeroB] = [isZero(e, a), isZero(e, b)];
  const zeros = zeroOf(e, e.and(signOfExtended(e, a), signOfExtended(e, b)));
  const pick = (field: keyof Extended) => e.select(e.both(zeroA, zeroB), zeros[field], e.select(zeroA, b[field], a[field]));
  return { head: pick('head'), significand: pick('significand') };
});

/** b, with the other sign. */
const negated = (e: Emitter, b: Extended): Extended => ({ ...b, head: e.xor(b.head, e.constant(SIGN_BIT)) });
export const subtractMiddle: MiddleOperation = (e, a, b) => addMiddle(e, a, negated(e, b));
export const subtract: Operation = (e, a, b) => add(e, a, negated(e, b));
export const subtractReversed: Operation = (e, a, b) => subtract(e, b, a);

const signOfProduct = (e: Emitter, a: Extended, b: Extended) => signBitOf(e, { ...a, head: e.xor(a.head, b.head) });
const signedZero = (e: Emitter, a: Extended, b: Extended): Extended => ({ head: signOfProduct(e, a, b), significand: e.constant(0) });

export const multiplyMiddle: MiddleOperation = (e, a, b) => {
  const [high, low] = multiplyWide(e, a.significand, b.significand);
  const shift = e.op('i64.clz', high);
  const shifted = e.or(e.shl(high, shift), e.and(e.shrU(low, e.constant(63)), shift));
  const exponent = e.sub(e.add(exponentOf(e, a), exponentOf(e, b)), e.add(shift, e.constant(BIAS - 1)));
  return roundWide(e, signOfProduct(e, a, b), exponent, shifted, e.shl(low, shift));
};
export const multiply = operation(multiplyMiddle, signedZero);

/** A zero divisor is not ordinary. */
export const divide = (divideWide: Defined): Operation => operation(
  (e, a, b) => {
    const isBelow = e.ltU(a.significand, b.significand);
    const zero = e.constant(0);
    const high = e.select(isBelow, a.significand, e.shrU(a.significand, e.constant(1)));
    const low = e.select(isBelow, zero, e.shl(a.significand, e.constant(63)));
    const quotient = e.callFunction(divideWide, high, low, b.significand);
    const rest = e.sub(low, e.mul(quotient, b.significand));
    const missing = e.sub(b.significand, rest);
    const half = e.constant(INTEGER_BIT);
    const tail = e.select(e.ltU(rest, missing), e.constant(1), e.select(e.eq(rest, missing), half, e.or(half, e.constant(1))));
    const exponent = e.sub(e.add(e.sub(exponentOf(e, a), exponentOf(e, b)), e.constant(BIAS)), e.widen(isBelow));
    return roundWide(e, signOfProduct(e, a, b), exponent, quotient, e.select(e.eqz(rest), zero, tail));
  },
  (e, a, b) => {
    e.failUnless(e.eqz(isZero(e, b)));
    return signedZero(e, a, b);
  },
);
export const divideReversed = (divideWide: Defined): Operation => (e, a, b) => divide(divideWide)(e, b, a);
