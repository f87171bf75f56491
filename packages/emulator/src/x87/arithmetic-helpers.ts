/** Helpers that compute: the four operations, comparison, and the one-operand functions. */
import type { Helper } from '../helper.ts';
import { add, divide, multiply, squareRoot, subtract } from './arithmetic.ts';
import { compare, Condition, Order, ORDER_CONDITIONS } from './compare.ts';
import { fromFloat, fromInteger, roundToIntegral } from './convert.ts';
import { type Float80, INDEFINITE, POSITIVE_ZERO } from './float80.ts';
import { recordDataPointer } from './memory.ts';
import { Fpu } from './registers.ts';
import type { FloatEnvironment } from './rounding.ts';
import { extract, remainder, scale } from './scale.ts';

type Binary = (env: FloatEnvironment, a: Float80, b: Float80) => Float80;

/** By ModRM.reg of D8 (2 and 3 are the comparisons). */
const OPERATIONS: Record<number, Binary> = {
  0: add,
  1: multiply,
  4: subtract,
  5: (env, a, b) => subtract(env, b, a),
  6: divide,
  7: (env, a, b) => divide(env, b, a),
};

/** Memory operands: 32 and 64 are floating-point numbers, 0 an integer sign-extended to 64 bits. */
function memoryOperand(raw: bigint, floatBits: bigint): Float80 {
  return floatBits ? fromFloat(raw, Number(floatBits)) : fromInteger(BigInt.asIntN(64, raw));
}

function unary(compute: (env: FloatEnvironment, a: Float80) => Float80): Helper {
  return (context) => {
    const fpu = new Fpu(context.view);
    const result = fpu.underflows(0) ? INDEFINITE : compute(fpu.env, fpu.get(0));
    if (!fpu.env.aborted) fpu.set(0, result);
    fpu.commit();
  };
}

/** The condition codes tell the order even after an unmasked exception; only popping does not happen then. */
function finishComparison(fpu: Fpu, order: number, pops: bigint): void {
  const { aborted } = fpu.env;
  for (let count = 0n; count < pops && !aborted; count++) fpu.pop();
  fpu.commit(order, ORDER_CONDITIONS);
}

/** ZF, PF and CF as FCOMI sets them, in bits 0 to 2. */
function orderFlags(order: number): bigint {
  return (order & Condition.C3 ? 1n : 0n) | (order & Condition.C2 ? 2n : 0n) | (order & Condition.C0 ? 4n : 0n);
}

export const ARITHMETIC_HELPERS: Record<string, Helper> = {
  /** ST(0) = ST(0) op memory. */
  'x87-arithmetic-memory': (context, operation, raw, floatBits, dataPointer) => {
    recordDataPointer(context, dataPointer!);
    const fpu = new Fpu(context.view);
    const result = fpu.underflows(0) ? INDEFINITE : OPERATIONS[Number(operation)]!(fpu.env, fpu.get(0), memoryOperand(raw!, floatBits!));
    if (!fpu.env.aborted) fpu.set(0, result);
    fpu.commit();
  },
  /** ST(destination) = ST(destination) op ST(source); then pops if told. */
  'x87-arithmetic': (context, operation, destination, source, pops) => {
    const fpu = new Fpu(context.view);
    const target = Number(destination);
    const other = Number(source);
    const underflow = fpu.underflows(target, other);
    const result = underflow ? INDEFINITE : OPERATIONS[Number(operation)]!(fpu.env, fpu.get(target), fpu.get(other));
    if (!fpu.env.aborted) {
      fpu.set(target, result);
      if (pops) fpu.pop();
    }
    fpu.commit();
  },
  'x87-compare-memory': (context, raw, floatBits, pops, dataPointer) => {
    recordDataPointer(context, dataPointer!);
    const fpu = new Fpu(context.view);
    const order = fpu.underflows(0) ? Order.Unordered : compare(fpu.env, fpu.get(0), memoryOperand(raw!, floatBits!), false);
    finishComparison(fpu, order, pops!);
  },
  'x87-compare': (context, index, quietly, pops) => {
    const fpu = new Fpu(context.view);
    const other = Number(index);
    const order = fpu.underflows(0, other) ? Order.Unordered : compare(fpu.env, fpu.get(0), fpu.get(other), quietly !== 0n);
    finishComparison(fpu, order, pops!);
  },
  /** FCOMI and kin. Like the condition codes, the flags tell the order even after an unmasked exception. */
  'x87-compare-flags': (context, index, quietly, pops) => {
    const fpu = new Fpu(context.view);
    const other = Number(index);
    const order = fpu.underflows(0, other) ? Order.Unordered : compare(fpu.env, fpu.get(0), fpu.get(other), quietly !== 0n);
    if (pops && !fpu.env.aborted) fpu.pop();
    fpu.commit();
    return orderFlags(order);
  },
  'x87-test': (context) => {
    const fpu = new Fpu(context.view);
    finishComparison(fpu, fpu.underflows(0) ? Order.Unordered : compare(fpu.env, fpu.get(0), POSITIVE_ZERO, false), 0n);
  },
  'x87-square-root': unary(squareRoot),
  'x87-round-to-integer': unary(roundToIntegral),
  'x87-scale': (context) => {
    const fpu = new Fpu(context.view);
    const result = fpu.underflows(0, 1) ? INDEFINITE : scale(fpu.env, fpu.get(0), fpu.get(1));
    if (!fpu.env.aborted) fpu.set(0, result);
    fpu.commit();
  },
  /** @param nearest FPREM1 */
  'x87-remainder': (context, nearest) => {
    const fpu = new Fpu(context.view);
    const { value, quotient, incomplete } = fpu.underflows(0, 1)
      ? { value: INDEFINITE, quotient: undefined, incomplete: false }
      : remainder(fpu.env, fpu.get(0), fpu.get(1), nearest !== 0n);
    if (!fpu.env.aborted) fpu.set(0, value);
    fpu.env.roundedUp = ((quotient ?? 0) & 1) !== 0;
    if (quotient !== undefined) fpu.commit((quotient & 4 ? Condition.C0 : 0) | (quotient & 2 ? Condition.C3 : 0), ORDER_CONDITIONS);
    else if (incomplete) fpu.commit(Condition.C2, ORDER_CONDITIONS);
    else fpu.commit(0, Condition.C2);
  },
  'x87-extract': (context) => {
    const fpu = new Fpu(context.view);
    const underflow = fpu.underflows(0);
    const parts = underflow || fpu.overflows() ? { exponent: INDEFINITE, significand: INDEFINITE } : extract(fpu.env, fpu.get(0));
    if (!fpu.env.aborted) {
      fpu.set(0, parts.exponent);
      fpu.push(parts.significand);
    }
    fpu.commit();
  },
};
