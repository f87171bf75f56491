/** FADD, FSUB, FMUL, FDIV, FSQRT: correctly rounded to the precision the control word asks for. */
import { Exception, type Float80, INDEFINITE, infinity, isInfinity, isZero, lsbExponent, negate, normalize, Rounding, zero } from './float80.ts';
import { denormalOperand, invalid, specialOperand } from './nan.ts';
import { type FloatEnvironment, roundToRegister } from './rounding.ts';

/** Beyond this distance the smaller addend only tells on which side of the larger the sum lies. */
const ALIGNMENT_MAX_BITS = 132;

export function add(env: FloatEnvironment, a: Float80, b: Float80): Float80 {
  const special = specialOperand(env, a, b);
  if (special) return special;
  if (isInfinity(a) && isInfinity(b) && a.negative !== b.negative) return invalid(env);
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (isInfinity(a)) return a;
  if (isInfinity(b)) return b;
  if (isZero(a) && isZero(b)) return zero(a.negative === b.negative ? a.negative : env.rounding === Rounding.Down);
  let exponentA = lsbExponent(a);
  let exponentB = lsbExponent(b);
  let significandA = a.significand;
  let significandB = b.significand;
  const distance = exponentA - exponentB;
  if (distance > ALIGNMENT_MAX_BITS && significandA !== 0n) {
    exponentB = exponentA - ALIGNMENT_MAX_BITS;
    if (significandB !== 0n) significandB = 1n;
  } else if (distance < -ALIGNMENT_MAX_BITS && significandB !== 0n) {
    exponentA = exponentB - ALIGNMENT_MAX_BITS;
    if (significandA !== 0n) significandA = 1n;
  }
  const low = Math.min(significandA === 0n ? exponentB : exponentA, significandB === 0n ? exponentA : exponentB);
  significandA = significandA === 0n ? 0n : significandA << BigInt(exponentA - low);
  significandB = significandB === 0n ? 0n : significandB << BigInt(exponentB - low);
  const sum = (a.negative ? -significandA : significandA) + (b.negative ? -significandB : significandB);
  if (sum === 0n) return zero(env.rounding === Rounding.Down);
  return roundToRegister(env, sum < 0n, sum < 0n ? -sum : sum, low, env.precisionBits);
}

export function subtract(env: FloatEnvironment, a: Float80, b: Float80): Float80 {
  // A NaN operand keeps its sign.
  return specialOperand(env, a, b) ?? add(env, a, negate(b));
}

export function multiply(env: FloatEnvironment, a: Float80, b: Float80): Float80 {
  const special = specialOperand(env, a, b);
  if (special) return special;
  const negative = a.negative !== b.negative;
  if ((isInfinity(a) && isZero(b)) || (isZero(a) && isInfinity(b))) return invalid(env);
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (isInfinity(a) || isInfinity(b)) return infinity(negative);
  return roundToRegister(env, negative, a.significand * b.significand, lsbExponent(a) + lsbExponent(b), env.precisionBits);
}

export function divide(env: FloatEnvironment, a: Float80, b: Float80): Float80 {
  const special = specialOperand(env, a, b);
  if (special) return special;
  const negative = a.negative !== b.negative;
  if ((isInfinity(a) && isInfinity(b)) || (isZero(a) && isZero(b))) return invalid(env);
  if (isZero(b) && !isInfinity(a)) {
    env.signal(Exception.ZE);
    return infinity(negative);
  }
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (isInfinity(a)) return infinity(negative);
  if (isInfinity(b) || isZero(a)) return zero(negative);
  const dividend = normalize(a);
  const divisor = normalize(b);
  const scaled = dividend.significand << 66n;
  let quotient = scaled / divisor.significand;
  if (quotient * divisor.significand !== scaled) quotient |= 1n;
  return roundToRegister(env, negative, quotient, dividend.exponent - divisor.exponent - 66, env.precisionBits);
}

export function squareRoot(env: FloatEnvironment, a: Float80): Float80 {
  const special = specialOperand(env, a);
  if (special) return special;
  if (isZero(a)) return a;
  if (a.negative) return invalid(env);
  if (denormalOperand(env, a)) return INDEFINITE;
  if (isInfinity(a)) return a;
  const { significand, exponent } = normalize(a);
  // The radicand is the significand times an even power of two, with 134 or 135 bits.
  const odd = (exponent & 1) !== 0;
  const radicand = significand << (odd ? 70n : 71n);
  let root = integerSquareRoot(radicand);
  if (root * root !== radicand) root |= 1n;
  return roundToRegister(env, false, root, (exponent - 63 - (odd ? 70 : 71)) / 2, env.precisionBits);
}

/** Floor of the square root. */
export function integerSquareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let shift = 0;
  for (let rest = value; rest >= 1n << 1000n; rest >>= 64n) shift += 64;
  const estimate = Math.sqrt(Number(value >> BigInt(shift)));
  let root = (BigInt(Math.floor(estimate)) + 1n) << BigInt(shift / 2);
  // Newton's iteration from above falls until it has reached the floor; an estimate from below rises once first.
  for (let next = (root + value / root) >> 1n, first = true; first || next < root; first = false) {
    root = next;
    next = (root + value / root) >> 1n;
  }
  return root;
}
