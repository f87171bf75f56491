import type { Value, Variable } from '@hanok/x86';
import { multiplyWide } from '../../float/arithmetic.ts';
import type { Defined, FunctionWriter } from '../../float/function-writer.ts';
import { areMiddle, BIAS, exponentOf, isPlain, isZero, type Result, roundWide, signOfExtended, zeroOf } from './numbers.ts';
import type { Extended } from './stack.ts';

/** Results of FADD, FSUB, FMUL and FDIV for normal numbers and zeros, rounded to nearest and 64 bits. */
export type Operation = (e: FunctionWriter, a: Extended, b: Extended) => Result;

const INTEGER_BIT = 1n << 63n;

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
function operation(normal: (e: FunctionWriter, a: Extended, b: Extended, outcome: Outcome) => void, zero: (e: FunctionWriter, a: Extended, b: Extended, outcome: Outcome) => void): Operation {
  return (e, a, b) => {
    const outcome = new Outcome(e);
    e.if(
      areMiddle(e, a, b),
      () => normal(e, a, b, outcome),
      () => {
        e.failUnless(e.both(isPlain(e, a), isPlain(e, b)));
        e.failUnless(e.either(isZero(e, a), isZero(e, b)));
        zero(e, a, b, outcome);
      },
    );
    return outcome.result;
  };
}

/** `v × 2^-distance` as 128 bits, the lowest also set when ones were lost. */
function shiftWide(e: FunctionWriter, v: Value, distance: Value): [high: Value, low: Value] {
  const sixtyFour = e.constant(64);
  const zero = e.constant(0);
  const isNear = e.ltU(distance, sixtyFour);
  const isFar = e.ltU(e.constant(127), distance);
  const beyond = e.sub(distance, sixtyFour);
  const lost = e.and(v, e.sub(e.shl(e.constant(1), beyond), e.constant(1)));
  const far = e.select(isFar, e.constant(1), e.or(e.shrU(v, beyond), e.widen(e.nez(lost))));
  const near = e.select(e.eqz(distance), zero, e.shl(v, e.sub(sixtyFour, distance)));
  return [e.select(isNear, e.shrU(v, distance), zero), e.select(isNear, near, far)];
}

export const add = operation(addNormal, (e, a, b, outcome) => {
  const [zeroA, zeroB] = [isZero(e, a), isZero(e, b)];
  const zeros = zeroOf(e, e.and(signOfExtended(e, a), signOfExtended(e, b)));
  const pick = (field: keyof Extended) => e.select(e.both(zeroA, zeroB), zeros[field], e.select(zeroA, b[field], a[field]));
  outcome.exact({ head: pick('head'), significand: pick('significand') });
});

function addNormal(e: FunctionWriter, a: Extended, b: Extended, outcome: Outcome): void {
  const [exponentA, exponentB] = [exponentOf(e, a), exponentOf(e, b)];
  const swaps = e.either(e.ltU(exponentA, exponentB), e.both(e.eq(exponentA, exponentB), e.ltU(a.significand, b.significand)));
  const large = e.select(swaps, b.significand, a.significand);
  const exponent = e.select(swaps, exponentB, exponentA);
  const sign = e.select(swaps, signOfExtended(e, b), signOfExtended(e, a));
  const distance = e.sub(exponent, e.select(swaps, exponentA, exponentB));
  const [high, low] = shiftWide(e, e.select(swaps, a.significand, b.significand), distance);
  const one = e.constant(1);
  const adds = e.eq(signOfExtended(e, a), signOfExtended(e, b));
  const sum = e.add(large, high);
  const carries = e.ltU(sum, high);
  const carriedLow = e.or(e.or(e.shl(sum, e.constant(63)), e.shrU(low, one)), e.and(low, one));
  const difference = e.sub(e.sub(large, high), e.widen(e.nez(low)));
  const rest = e.sub(e.constant(0), low);
  const isDeep = e.eqz(difference);
  const [upper, lower] = [e.select(isDeep, rest, difference), e.select(isDeep, e.constant(0), rest)];
  const shift = e.op('i64.clz', upper);
  const shifted = e.or(e.shl(upper, shift), e.shrU(e.shrU(lower, one), e.sub(e.constant(63), shift)));
  const lowered = e.sub(exponent, e.add(shift, e.select(isDeep, e.constant(64), e.constant(0))));
  const added = e.select(carries, e.or(e.shrU(sum, one), e.constant(INTEGER_BIT)), sum);
  // An exact zero has no exponent to be rounded with.
  const vanishes = e.both(e.eqz(adds), e.eqz(upper));
  const result = roundWide(
    e, sign,
    e.select(vanishes, e.constant(BIAS), e.select(adds, e.add(exponent, e.widen(carries)), lowered)),
    e.select(adds, added, shifted),
    e.select(adds, e.select(carries, carriedLow, low), e.shl(lower, shift)),
  );
  outcome.rounded(result);
  e.rarely(vanishes, () => outcome.exact(zeroOf(e, e.constant(0))));
}

export const subtract: Operation = (e, a, b) => add(e, a, { ...b, head: e.xor(b.head, e.constant(0x8000)) });
export const subtractReversed: Operation = (e, a, b) => subtract(e, b, a);

const signOfProduct = (e: FunctionWriter, a: Extended, b: Extended) => e.xor(signOfExtended(e, a), signOfExtended(e, b));

export const multiply = operation(
  (e, a, b, outcome) => {
    const [high, low] = multiplyWide(e, a.significand, b.significand);
    const shift = e.op('i64.clz', high);
    const shifted = e.or(e.shl(high, shift), e.and(e.shrU(low, e.constant(63)), shift));
    const exponent = e.sub(e.add(exponentOf(e, a), exponentOf(e, b)), e.add(shift, e.constant(BIAS - 1)));
    outcome.rounded(roundWide(e, signOfProduct(e, a, b), exponent, shifted, e.shl(low, shift)));
  },
  (e, a, b, outcome) => outcome.exact(zeroOf(e, signOfProduct(e, a, b))),
);

/** A zero divisor is not ordinary. */
export const divide = (divideWide: Defined): Operation => operation(
  (e, a, b, outcome) => {
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
    outcome.rounded(roundWide(e, signOfProduct(e, a, b), exponent, quotient, e.select(e.eqz(rest), zero, tail)));
  },
  (e, a, b, outcome) => {
    e.failUnless(e.eqz(isZero(e, b)));
    outcome.exact(zeroOf(e, signOfProduct(e, a, b)));
  },
);
export const divideReversed = (divideWide: Defined): Operation => (e, a, b) => divide(divideWide)(e, b, a);
