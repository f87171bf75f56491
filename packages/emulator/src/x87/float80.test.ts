import assert from 'node:assert/strict';
import { test } from 'node:test';
import { add, divide, integerSquareRoot, multiply, squareRoot, subtract } from './arithmetic.ts';
import { compare, examine, Order } from './compare.ts';
import { fromBcd, fromFloat, fromInteger, roundToIntegral, toBcd, toFloat, toInteger } from './convert.ts';
import { bitLength, Exception, float80, type Float80, INDEFINITE, infinity, INTEGER_BIT, isZero, negate, ONE, zero } from './float80.ts';
import { FloatEnvironment } from './rounding.ts';
import { extract, remainder, scale } from './scale.ts';
import { angle, exponentialMinus1, logarithmPlus1Times, logarithmTimes, trigonometric } from './transcendental.ts';

/** All exceptions masked, 64 bits, to nearest: what FNINIT leaves. */
const DEFAULT_CONTROL = 0x37f;
const ROUND_DOWN = 0x77f;
const ROUND_UP = 0xb7f;
const ROUND_ZERO = 0xf7f;
const SINGLE_PRECISION = 0x07f;

const environment = (control = DEFAULT_CONTROL) => new FloatEnvironment(control);

/** Twenty hexadecimal digits: sign and exponent, then significand, as debuggers print a register. */
function hex(a: Float80): string {
  const head = (a.negative ? 0x8000 : 0) | a.exponent;
  return head.toString(16).padStart(4, '0') + a.significand.toString(16).padStart(16, '0');
}

function fromHex(text: string): Float80 {
  const head = Number.parseInt(text.slice(0, 4), 16);
  return float80((head & 0x8000) !== 0, head & 0x7fff, BigInt(`0x${text.slice(4)}`));
}

function fromNumber(value: number): Float80 {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return fromFloat(view.getBigUint64(0), 64);
}

function toNumber(a: Float80): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, toFloat(environment(), a, 64));
  return view.getFloat64(0);
}

const SMALLEST_NORMAL = float80(false, 1, INTEGER_BIT);
const LARGEST = float80(false, 0x7ffe, (1n << 64n) - 1n);
const SIGNALING = fromHex('7fffa000000000000000');

test('numbers that a double holds compute as doubles do when the result is exact', () => {
  for (const [a, b] of [[1.5, 2.25], [-7, 0.125], [1e10, -3], [0.5, 0.5], [-1, 1]] as const) {
    assert.equal(toNumber(add(environment(), fromNumber(a), fromNumber(b))), a + b);
    assert.equal(toNumber(subtract(environment(), fromNumber(a), fromNumber(b))), a - b);
    assert.equal(toNumber(multiply(environment(), fromNumber(a), fromNumber(b))), a * b);
  }
});

test('one third in each rounding direction and precision', () => {
  const third = (control: number) => hex(divide(environment(control), ONE, fromNumber(3)));
  assert.equal(third(DEFAULT_CONTROL), '3ffdaaaaaaaaaaaaaaab');
  assert.equal(third(ROUND_UP), '3ffdaaaaaaaaaaaaaaab');
  assert.equal(third(ROUND_DOWN), '3ffdaaaaaaaaaaaaaaaa');
  assert.equal(third(ROUND_ZERO), '3ffdaaaaaaaaaaaaaaaa');
  assert.equal(third(SINGLE_PRECISION), '3ffdaaaaab0000000000');
  assert.equal(third(0x27f), '3ffdaaaaaaaaaaaaa800');
});

test('an inexact result reports PE, and C1 when its magnitude went up', () => {
  const env = environment();
  divide(env, fromNumber(2), fromNumber(3));
  assert.equal(env.raised, Exception.PE);
  assert.equal(env.roundedUp, true);
  const exact = environment();
  divide(exact, ONE, fromNumber(4));
  assert.equal(exact.raised, 0);
});

test('sums that cancel are zero with the sign the rounding direction asks for', () => {
  assert.equal(hex(subtract(environment(), ONE, ONE)), hex(zero(false)));
  assert.equal(hex(subtract(environment(ROUND_DOWN), ONE, ONE)), hex(zero(true)));
  assert.equal(hex(add(environment(), zero(true), zero(true))), hex(zero(true)));
});

test('an addend far below the last place moves only directed roundings', () => {
  const tiny = float80(false, 1, INTEGER_BIT);
  assert.equal(hex(add(environment(), ONE, tiny)), hex(ONE));
  assert.equal(hex(add(environment(ROUND_UP), ONE, tiny)), '3fff8000000000000001');
  assert.equal(hex(subtract(environment(ROUND_DOWN), ONE, tiny)), '3ffeffffffffffffffff');
});

test('overflow and underflow, masked', () => {
  const over = environment();
  assert.equal(hex(multiply(over, LARGEST, fromNumber(2))), hex(infinity(false)));
  assert.equal(over.raised, Exception.OE | Exception.PE);
  assert.equal(hex(multiply(environment(ROUND_ZERO), LARGEST, fromNumber(2))), hex(LARGEST));
  const under = environment();
  assert.equal(hex(divide(under, SMALLEST_NORMAL, fromNumber(2))), '00004000000000000000');
  assert.equal(under.raised, 0, 'an exact denormal is no underflow while UE is masked');
  const inexact = environment();
  assert.equal(hex(divide(inexact, SMALLEST_NORMAL, fromNumber(3))), '00002aaaaaaaaaaaaaab');
  assert.equal(inexact.raised, Exception.UE | Exception.PE);
});

test('overflow and underflow, unmasked: the exponent is scaled by 24576', () => {
  const over = environment(DEFAULT_CONTROL & ~Exception.OE);
  assert.equal(multiply(over, LARGEST, fromNumber(2)).exponent, 0x7fff - 24576);
  const under = environment(DEFAULT_CONTROL & ~Exception.UE);
  assert.equal(divide(under, SMALLEST_NORMAL, fromNumber(2)).exponent, 24576);
  assert.equal(under.raised, Exception.UE);
});

test('invalid operations give the indefinite', () => {
  const cases: ((env: FloatEnvironment) => Float80)[] = [
    (env) => subtract(env, infinity(false), infinity(false)),
    (env) => multiply(env, infinity(false), zero(true)),
    (env) => divide(env, zero(false), zero(false)),
    (env) => divide(env, infinity(true), infinity(false)),
    (env) => squareRoot(env, negate(ONE)),
    (env) => add(env, ONE, fromHex('40001000000000000000')),
    (env) => remainder(env, ONE, zero(false), false).value,
    (env) => scale(env, zero(false), infinity(false)),
  ];
  for (const compute of cases) {
    const env = environment();
    assert.equal(hex(compute(env)), hex(INDEFINITE));
    assert.equal(env.raised, Exception.IE);
    const unmasked = environment(DEFAULT_CONTROL & ~Exception.IE);
    compute(unmasked);
    assert.equal(unmasked.aborted, true);
  }
});

test('of two NaNs the larger significand wins, a quiet one over a signaling one', () => {
  const [small, large] = [fromHex('7fffc000000000000001'), fromHex('ffffc000000000000002')];
  assert.equal(hex(add(environment(), small, large)), hex(large));
  assert.equal(hex(add(environment(), large, small)), hex(large));
  const env = environment();
  assert.equal(hex(multiply(env, SIGNALING, small)), hex(small));
  assert.equal(env.raised, Exception.IE);
  assert.equal(hex(multiply(environment(), SIGNALING, ONE)), '7fffe000000000000000');
});

test('division by zero', () => {
  const env = environment();
  assert.equal(hex(divide(env, negate(ONE), zero(false))), hex(infinity(true)));
  assert.equal(env.raised, Exception.ZE);
});

test('square roots', () => {
  assert.equal(toNumber(squareRoot(environment(), fromNumber(144))), 12);
  assert.equal(hex(squareRoot(environment(), fromNumber(2))), '3fffb504f333f9de6484');
  assert.equal(hex(squareRoot(environment(), zero(true))), hex(zero(true)));
  for (const value of [0n, 1n, 2n, 3n, 4n, 10n ** 40n, 10n ** 40n - 1n, (1n << 1500n) + 1n]) {
    const root = integerSquareRoot(value);
    assert.ok(root * root <= value && (root + 1n) * (root + 1n) > value);
  }
});

test('bit lengths of small and huge values', () => {
  for (const length of [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 700]) {
    assert.equal(bitLength(length === 0 ? 0n : (1n << BigInt(length)) - 1n), length);
    if (length > 0) assert.equal(bitLength(1n << BigInt(length - 1)), length);
  }
});

test('integers: rounding, the largest that fit, the indefinite', () => {
  assert.equal(toInteger(environment(), fromNumber(2.5), 32), 2n);
  assert.equal(toInteger(environment(), fromNumber(3.5), 32), 4n);
  assert.equal(toInteger(environment(ROUND_DOWN), fromNumber(-2.5), 32), 0xffff_fffdn);
  assert.equal(toInteger(environment(), fromInteger(-(2n ** 63n)), 64), 1n << 63n);
  const env = environment();
  assert.equal(toInteger(env, fromInteger(32768n), 16), 0x8000n);
  assert.equal(env.raised, Exception.IE);
  assert.equal(toInteger(environment(), fromNumber(-32768.5), 16), 0x8000n);
  assert.equal(toNumber(roundToIntegral(environment(), fromNumber(-0.25))), -0);
  assert.equal(toNumber(roundToIntegral(environment(ROUND_UP), fromNumber(7.1))), 8);
});

test('packed BCD', () => {
  assert.equal(toBcd(environment(), fromNumber(-1234567890)), (1n << 79n) | 0x1234567890n);
  assert.equal(toNumber(fromBcd((1n << 79n) | 0x99n)), -99);
  assert.equal(toBcd(environment(), fromInteger(10n ** 18n)), 0xffff_c000_0000_0000_0000n);
  assert.equal(toBcd(environment(), fromInteger(10n ** 18n - 1n)), 0x99_9999_9999_9999_9999n);
});

test('single and double precision numbers, denormals included', () => {
  assert.equal(hex(fromFloat(1n, 32)), '3f6a8000000000000000');
  assert.equal(fromFloat(1n, 32).denormal, true);
  assert.equal(toFloat(environment(), fromHex('3f6a8000000000000000'), 32), 1n);
  assert.equal(hex(fromFloat(0x3ff0_0000_0000_0001n, 64)), '3fff8000000000000800');
  const env = environment();
  assert.equal(toFloat(env, LARGEST, 64), 0x7ff0_0000_0000_0000n);
  assert.equal(env.raised, Exception.OE | Exception.PE);
  assert.equal(toFloat(environment(), SIGNALING, 32), 0x7fe0_0000n);
});

test('comparison and classes', () => {
  const env = environment();
  assert.equal(compare(env, ONE, fromNumber(2), false), Order.Less);
  assert.equal(compare(env, zero(true), zero(false), false), Order.Equal);
  assert.equal(compare(env, negate(ONE), fromNumber(-2), false), Order.Greater);
  assert.equal(env.raised, 0);
  assert.equal(compare(env, INDEFINITE, ONE, true), Order.Unordered);
  assert.equal(env.raised, 0);
  assert.equal(compare(env, INDEFINITE, ONE, false), Order.Unordered);
  assert.equal(env.raised, Exception.IE);
  const classes = [fromHex('40001000000000000000'), INDEFINITE, ONE, infinity(true), zero(false), fromHex('00000000000000000001')];
  assert.deepEqual(classes.map(examine), [0, 0x100, 0x400, 0x500, 0x4000, 0x4400]);
});

test('remainders, scaling, extraction', () => {
  const seven = remainder(environment(), fromNumber(7), fromNumber(4), false);
  assert.deepEqual([toNumber(seven.value), seven.quotient], [3, 1]);
  const nearest = remainder(environment(), fromNumber(7), fromNumber(4), true);
  assert.deepEqual([toNumber(nearest.value), nearest.quotient], [-1, 2]);
  const far = remainder(environment(), fromNumber(2 ** 100), fromNumber(3), false);
  assert.equal(far.incomplete, true);
  assert.equal(toNumber(scale(environment(), fromNumber(1.5), fromNumber(-2.9))), 0.375);
  const parts = extract(environment(), fromNumber(-40));
  assert.deepEqual([toNumber(parts.exponent), toNumber(parts.significand)], [5, -1.25]);
  const env = environment();
  assert.equal(hex(extract(env, zero(true)).exponent), hex(infinity(true)));
  assert.equal(env.raised, Exception.ZE);
});

test('transcendental functions at known points', () => {
  const pi = fromHex('4000c90fdaa22168c235');
  assert.equal(hex(angle(environment(), negate(ONE), zero(false))), hex(pi));
  assert.equal(hex(logarithmTimes(environment(), fromNumber(10), ONE)), '4000d49a784bcd1b8afe');
  assert.equal(hex(logarithmTimes(environment(), fromNumber(2), fromHex('3ffeb17217f7d1cf79ac'))), '3ffeb17217f7d1cf79ac');
  const one = trigonometric(environment(), ONE)!;
  assert.equal(hex(one.sin(environment())), '3ffed76aa47848677021');
  assert.equal(hex(one.cos(environment())), '3ffe8a51407da8345c92');
  assert.equal(hex(one.tan(environment())), '3fffc75922e5f71d2dc5');
  assert.equal(trigonometric(environment(), float80(false, 0x3fff + 63, INTEGER_BIT)), undefined);
  assert.equal(toNumber(exponentialMinus1(environment(), negate(ONE))), -0.5);
  assert.equal(isZero(logarithmPlus1Times(environment(), zero(false), ONE)), true);
});

test('transcendental functions agree with the double-precision library to its own accuracy', () => {
  for (const x of [1e-30, 1e-7, 0.01, 0.3, 0.7, 0.99, 1.3, 2, 11.5, 700.25]) {
    const close = (actual: Float80, expected: number, what: string) => {
      const error = Math.abs(toNumber(actual) - expected) / Math.abs(expected);
      assert.ok(error < 1e-14, `${what}(${x}) is off by ${error}`);
    };
    const a = fromNumber(x);
    const functions = trigonometric(environment(), a)!;
    close(functions.sin(environment()), Math.sin(x), 'sin');
    close(functions.cos(environment()), Math.cos(x), 'cos');
    close(functions.tan(environment()), Math.tan(x), 'tan');
    close(angle(environment(), ONE, a), Math.atan(x), 'atan');
    close(angle(environment(), negate(a), ONE), Math.atan2(1, -x), 'atan2');
    close(logarithmTimes(environment(), a, ONE), Math.log2(x), 'log2');
    if (x < 0.3) close(logarithmPlus1Times(environment(), a, ONE), Math.log1p(x) / Math.LN2, 'log2(1 + x)');
    if (x < 1) close(exponentialMinus1(environment(), a), Math.expm1(x * Math.LN2), '2^x - 1');
  }
});
