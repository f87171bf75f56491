/**
 * Series over BigInt fixed-point numbers: `value / 2^fractionBits`. Results are good to a few units of the last place, so
 * callers ask for more places than they need.
 */
import { integerSquareRoot } from './arithmetic.ts';

/** Places beyond the leading bit that a result is computed to; a register keeps 64. */
export const WORKING_BITS = 128;

/** Arguments below 2^-TINY_BITS are where a function equals the first term of its series, as far as 64 bits can tell. */
export const TINY_BITS = 70;

const CONSTANT_BITS = 320;

/** sum of (±) x^(2k+1) / (2k+1) for |x| < 1: atan (alternating) or atanh. */
function arcSeries(x: bigint, fractionBits: number, alternating: boolean): bigint {
  const places = BigInt(fractionBits);
  const square = (x * x) >> places;
  let power = x;
  let sum = x;
  for (let odd = 3n, negative = alternating; ; odd += 2n, negative = alternating && !negative) {
    power = (power * square) >> places;
    const term = power / odd;
    if (term === 0n || term === -1n) return sum;
    sum += negative ? -term : term;
  }
}

/** sin and cos for |x| <= 1. */
export function sinCosSeries(x: bigint, fractionBits: number): { sin: bigint; cos: bigint } {
  const places = BigInt(fractionBits);
  const square = (x * x) >> places;
  const sum = (first: bigint, start: bigint): bigint => {
    let term = first;
    let total = first;
    for (let index = start; term !== 0n && term !== -1n; index += 2n) {
      term = -((term * square) >> places) / (index * (index + 1n));
      total += term;
    }
    return total;
  };
  return { sin: sum(x, 2n), cos: sum(1n << places, 1n) };
}

/** e^x - 1 for |x| < 1. */
export function expMinus1Series(x: bigint, fractionBits: number): bigint {
  const places = BigInt(fractionBits);
  let term = x;
  let total = x;
  for (let index = 2n; term !== 0n && term !== -1n; index += 1n) {
    term = ((term * x) >> places) / index;
    total += term;
  }
  return total;
}

/** Natural logarithm of `numerator / denominator`, which lies between 1/2 and 2. */
export function logarithm(numerator: bigint, denominator: bigint, fractionBits: number): bigint {
  const ratio = ((numerator - denominator) << BigInt(fractionBits)) / (numerator + denominator);
  return arcSeries(ratio, fractionBits, false) * 2n;
}

function atanOfInverse(value: bigint): bigint {
  return arcSeries((1n << BigInt(CONSTANT_BITS)) / value, CONSTANT_BITS, true);
}

function lazy<T>(compute: () => T): () => T {
  let held: { value: T } | undefined;
  return () => (held ??= { value: compute() }).value;
}

const GUARD_BITS = 16;
// Machin's formula.
const piLong = lazy(() => 16n * atanOfInverse(5n) - 4n * atanOfInverse(239n));
const ln2Long = lazy(() => logarithm(2n, 1n, CONSTANT_BITS));

/** Constants to at most CONSTANT_BITS - GUARD_BITS places. */
function shorten(value: bigint, fractionBits: number): bigint {
  if (fractionBits > CONSTANT_BITS - GUARD_BITS) throw new Error(`no constant has ${fractionBits} places`);
  return value >> BigInt(CONSTANT_BITS - fractionBits);
}

export function pi(fractionBits: number): bigint {
  return shorten(piLong(), fractionBits);
}

export function ln2(fractionBits: number): bigint {
  return shorten(ln2Long(), fractionBits);
}

const TABLE_STEPS = 16n;
const TABLE_BITS = CONSTANT_BITS - GUARD_BITS;

/** atan(k / 16), each by two halvings of the angle. */
const arcTable = lazy(() => Array.from({ length: Number(TABLE_STEPS) + 1 }, (_, step) => {
  const one = 1n << BigInt(TABLE_BITS);
  let x = (BigInt(step) << BigInt(TABLE_BITS)) / TABLE_STEPS;
  for (let halving = 0; halving < 2; halving++) x = (x << BigInt(TABLE_BITS)) / (one + integerSquareRoot(one * one + x * x));
  return arcSeries(x, TABLE_BITS, true) * 4n;
}));

/** Arc tangent for 0 <= x <= 1. */
export function arcTangent(x: bigint, fractionBits: number): bigint {
  const places = BigInt(fractionBits);
  const step = (x * TABLE_STEPS + (1n << (places - 1n))) >> places;
  const known = (step << places) / TABLE_STEPS;
  const rest = ((x - known) << places) / ((1n << places) + ((x * known) >> places));
  return (arcTable()[Number(step)]! >> BigInt(TABLE_BITS - fractionBits)) + arcSeries(rest, fractionBits, true);
}
