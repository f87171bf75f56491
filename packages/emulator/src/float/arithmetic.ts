import type { ModuleBuilder } from '@hanok/wasm';
import type { Value, Variable } from '@hanok/x86';
import type { Emitter } from '../emitter.ts';
import {
  type Format, Flag, indefinite, infinity, isDenormal, isInfinite, isNan, isSignaling, isZero, makeQuiet, placeSign, raise, raiseIf, Rounding, roundingControl,
  shiftRightSticky, signBit, signOf, unpack, type Unpacked, withDaz,
} from './format.ts';
import { type Defined, defineFunction, type FunctionWriter } from './function-writer.ts';

/** What the operations on one lane of a format share. */
export interface FormatFunctions {
  readonly format: Format;
  readonly round: Defined;
}

/** An operation on numbers; the result goes to `result`. */
type Finite = (e: FunctionWriter, x: Value, y: Value, result: Variable) => void;

/** Defines (cpu, a, b) → result for one lane. NaNs are dealt with here: the first one, made quiet (SDM vol. 1 table 4-7). */
function defineBinary(module: ModuleBuilder, name: string, f: Format, finite: Finite): Defined {
  return defineFunction(module, `${name} ${f.name}`, ['i64', 'i64'], 'i64', (e, a, b) => {
    const [x, y] = [withDaz(e, f, a), withDaz(e, f, b)];
    const result = e.variable(e.constant(indefinite(f)));
    e.if(
      e.either(isNan(e, f, x), isNan(e, f, y)),
      () => {
        raiseIf(e, e.either(isSignaling(e, f, x), isSignaling(e, f, y)), Flag.IE);
        result.set(makeQuiet(e, f, e.select(isNan(e, f, x), x, y)));
      },
      () => finite(e, x, y, result),
    );
    return result.get();
  });
}

function raiseDenormals(e: FunctionWriter, f: Format, x: Value, y: Value): void {
  raiseIf(e, e.either(isDenormal(e, f, x), isDenormal(e, f, y)), Flag.DE);
}

export function defineAdd(module: ModuleBuilder, { format: f, round }: FormatFunctions, subtracts: boolean): Defined {
  return defineBinary(module, subtracts ? 'sub' : 'add', f, (e, x, b, result) => {
    const y = subtracts ? e.xor(b, e.constant(signBit(f))) : b;
    e.if(
      e.either(isInfinite(e, f, x), isInfinite(e, f, y)),
      () => e.if(
        e.both(e.both(isInfinite(e, f, x), isInfinite(e, f, y)), e.ne(x, y)),
        () => raise(e, Flag.IE),
        () => {
          raiseDenormals(e, f, x, y);
          result.set(e.select(isInfinite(e, f, x), x, y));
        },
      ),
      () => {
        raiseDenormals(e, f, x, y);
        addFinite(e, f, round, x, y, result);
      },
    );
  });
}

/** An exact zero's sign is that of the operands, or what rounding says where they differ (SDM vol. 1 §4.8.3.1). */
function zeroSum(e: FunctionWriter, f: Format): Value {
  return e.shl(e.widen(e.eq(roundingControl(e), e.constant(Rounding.Down))), e.constant(f.bits - 1));
}

function addFinite(e: FunctionWriter, f: Format, round: Defined, x: Value, y: Value, result: Variable): void {
  const pass = (v: Value) => {
    const { sign, exponent, significand } = unpack(e, f, v);
    result.set(e.callFunction(round, sign, exponent, significand));
  };
  e.if(
    isZero(e, f, x),
    () => e.if(
      isZero(e, f, y),
      () => result.set(e.select(e.eq(x, y), x, zeroSum(e, f))),
      () => pass(y),
    ),
    () => e.if(isZero(e, f, y), () => pass(x), () => addNonzero(e, f, round, unpack(e, f, x), unpack(e, f, y), result)),
  );
}

function addNonzero(e: FunctionWriter, f: Format, round: Defined, x: Unpacked, y: Unpacked, result: Variable): void {
  const swaps = e.either(e.ltS(x.exponent, y.exponent), e.both(e.eq(x.exponent, y.exponent), e.ltU(x.significand, y.significand)));
  const pick = (field: keyof Unpacked, first: Unpacked, second: Unpacked) => e.select(swaps, second[field], first[field]);
  const sign = pick('sign', x, y);
  const exponent = pick('exponent', x, y);
  const one = e.constant(1);
  const large = e.shrU(pick('significand', x, y), one);
  const small = shiftRightSticky(e, e.shrU(pick('significand', y, x), one), e.sub(exponent, pick('exponent', y, x)));
  const sum = e.select(e.eq(x.sign, y.sign), e.add(large, small), e.sub(large, small));
  const shift = e.op('i64.clz', sum);
  e.if(
    e.eqz(sum),
    () => result.set(zeroSum(e, f)),
    () => result.set(e.callFunction(round, sign, e.sub(e.add(exponent, one), shift), e.shl(sum, shift))),
  );
}

/** Upper and lower half of a 128-bit product. */
export function multiplyWide(e: Emitter, a: Value, b: Value): [high: Value, low: Value] {
  const half = e.constant(32);
  const low32 = (v: Value) => e.zeroExtend(v, 32);
  const [a0, a1, b0, b1] = [low32(a), e.shrU(a, half), low32(b), e.shrU(b, half)];
  const middle = e.add(e.mul(a1, b0), e.shrU(e.mul(a0, b0), half));
  const cross = e.add(e.mul(a0, b1), low32(middle));
  const high = e.add(e.add(e.mul(a1, b1), e.shrU(middle, half)), e.shrU(cross, half));
  return [high, e.mul(a, b)];
}

export function defineMultiply(module: ModuleBuilder, { format: f, round }: FormatFunctions): Defined {
  return defineBinary(module, 'mul', f, (e, x, y, result) => {
    const sign = e.xor(signOf(e, f, x), signOf(e, f, y));
    const signed = placeSign(e, f, sign);
    const hasInfinity = e.either(isInfinite(e, f, x), isInfinite(e, f, y));
    const hasZero = e.either(isZero(e, f, x), isZero(e, f, y));
    e.if(
      e.both(hasInfinity, hasZero),
      () => raise(e, Flag.IE),
      () => {
        raiseDenormals(e, f, x, y);
        e.if(
          e.either(hasInfinity, hasZero),
          () => result.set(e.select(hasInfinity, e.or(signed, e.constant(infinity(f))), signed)),
          () => {
            const [p, q] = [unpack(e, f, x), unpack(e, f, y)];
            const [high, low] = multiplyWide(e, p.significand, q.significand);
            const shift = e.op('i64.clz', high);
            const significand = e.shl(e.or(high, e.widen(e.nez(low))), shift);
            result.set(e.callFunction(round, sign, e.sub(e.add(e.add(p.exponent, q.exponent), e.constant(1)), shift), significand));
          },
        );
      },
    );
  });
}

/** Defines (cpu, high, low, divisor) → quotient of a 128-bit number by one whose top bit is set, `high` below it (Knuth's algorithm D). */
export function defineDivideWide(module: ModuleBuilder): Defined {
  return defineFunction(module, 'divide wide', ['i64', 'i64', 'i64'], 'i64', (e, high, low, divisor) => {
    const half = e.constant(32);
    const [d1, d0] = [e.shrU(divisor, half), e.zeroExtend(divisor, 32)];
    const digit = (rest: Value, next: Value) => {
      const first = e.op('i64.div_u', rest, d1);
      const q = e.variable(first);
      const r = e.variable(e.sub(rest, e.mul(first, d1)));
      // The estimate is at most two too large.
      for (let step = 0; step < 2; step++) {
        const [guess, remainder] = [q.get(), r.get()];
        const isLarge = e.either(e.nez(e.shrU(guess, half)), e.ltU(e.or(e.shl(remainder, half), next), e.mul(guess, d0)));
        e.if(e.both(e.eqz(e.shrU(remainder, half)), isLarge), () => {
          q.set(e.sub(guess, e.constant(1)));
          r.set(e.add(remainder, d1));
        });
      }
      return q.get();
    };
    const q1 = digit(high, e.shrU(low, half));
    const rest = e.sub(e.or(e.shl(high, half), e.shrU(low, half)), e.mul(q1, divisor));
    const q0 = digit(rest, e.zeroExtend(low, 32));
    return e.add(e.shl(q1, half), q0);
  });
}

export function defineDivide(module: ModuleBuilder, { format: f, round }: FormatFunctions, divideWide: Defined): Defined {
  return defineBinary(module, 'div', f, (e, x, y, result) => {
    const sign = e.xor(signOf(e, f, x), signOf(e, f, y));
    const signed = placeSign(e, f, sign);
    const [xInfinite, yInfinite, xZero, yZero] = [isInfinite(e, f, x), isInfinite(e, f, y), isZero(e, f, x), isZero(e, f, y)];
    const infinite = e.or(signed, e.constant(infinity(f)));
    e.if(
      e.either(e.both(xInfinite, yInfinite), e.both(xZero, yZero)),
      () => raise(e, Flag.IE),
      () => e.if(
        e.both(yZero, e.eqz(xInfinite)),
        () => {
          raise(e, Flag.ZE);
          result.set(infinite);
        },
        () => {
          raiseDenormals(e, f, x, y);
          e.if(
            e.either(e.either(xInfinite, yInfinite), xZero),
            () => result.set(e.select(xInfinite, infinite, signed)),
            () => {
              const [p, q] = [unpack(e, f, x), unpack(e, f, y)];
              const quotient = e.callFunction(divideWide, e.shrU(p.significand, e.constant(1)), e.shl(p.significand, e.constant(63)), q.significand);
              const isExact = e.eq(e.mul(quotient, q.significand), e.shl(p.significand, e.constant(63)));
              const shift = e.op('i64.clz', quotient);
              const significand = e.shl(e.or(quotient, e.widen(e.eqz(isExact))), shift);
              result.set(e.callFunction(round, sign, e.sub(e.sub(p.exponent, q.exponent), shift), significand));
            },
          );
        },
      ),
    );
  });
}

/** Defines (cpu, a) → the square root of one lane. */
export function defineSquareRoot(module: ModuleBuilder, { format: f, round }: FormatFunctions): Defined {
  return defineFunction(module, `sqrt ${f.name}`, ['i64'], 'i64', (e, a) => {
    const x = withDaz(e, f, a);
    const result = e.variable(x);
    e.if(
      isNan(e, f, x),
      () => {
        raiseIf(e, isSignaling(e, f, x), Flag.IE);
        result.set(makeQuiet(e, f, x));
      },
      () => e.if(e.eqz(isZero(e, f, x)), () => e.if(
        e.nez(signOf(e, f, x)),
        () => {
          raise(e, Flag.IE);
          result.set(e.constant(indefinite(f)));
        },
        () => e.if(e.eqz(isInfinite(e, f, x)), () => {
          raiseIf(e, isDenormal(e, f, x), Flag.DE);
          const { exponent, significand } = squareRootOf(e, unpack(e, f, x));
          result.set(e.callFunction(round, e.constant(0), exponent, significand));
        }),
      )),
    );
    return result.get();
  });
}

const DOUBLE_FRACTION_MASK = (1n << 52n) - 1n;

/** The root of a number of up to 53 bits: WebAssembly's is rounded to nearest, and its square tells on which side the exact one lies. */
function squareRootOf(e: FunctionWriter, { exponent, significand }: Unpacked): { exponent: Value; significand: Value } {
  const odd = e.and(exponent, e.constant(1));
  const fraction = e.and(e.shrU(significand, e.constant(11)), e.constant(DOUBLE_FRACTION_MASK));
  const scaled = e.or(e.shl(e.add(odd, e.constant(1023)), e.constant(52)), fraction);
  const root = e.op('i64.reinterpret_f64', e.op('f64.sqrt', e.op('f64.reinterpret_i64', scaled)));
  const r = e.or(e.and(root, e.constant(DOUBLE_FRACTION_MASK)), e.constant(1n << 52n));
  const [high, low] = multiplyWide(e, r, r);
  // radicand × 2^52, to be compared with r²
  const radicand = e.shl(e.shrU(significand, e.constant(11)), odd);
  const [wantedHigh, wantedLow] = [e.shrU(radicand, e.constant(12)), e.shl(radicand, e.constant(52))];
  const isBelow = e.either(e.ltU(high, wantedHigh), e.both(e.eq(high, wantedHigh), e.ltU(low, wantedLow)));
  const isAbove = e.either(e.ltU(wantedHigh, high), e.both(e.eq(high, wantedHigh), e.ltU(wantedLow, low)));
  const placed = e.shl(r, e.constant(11));
  return { exponent: e.shrS(exponent, e.constant(1)), significand: e.add(placed, e.sub(e.widen(isBelow), e.widen(isAbove))) };
}
