import type { Emit, Value } from '../emit.ts';
import { FLOAT_FORMATS, type FloatFormat, interleave, lowHalf, lowHalves, splatConstant } from './sse-vector.ts';

/**
 * Every floating-point operation of SSE that can round or raise an exception goes through this file.
 *
 * Each is computed twice in the code, once at run time. The ordinary case is one WebAssembly operation and a test: that the
 * operands are such that nothing but PE can be raised, and where the result may be inexact also that rounding is to nearest and
 * PE is masked and set (`Emit.roundingShows`), so that WebAssembly's result is all there is to it. DAZ, FTZ and the other masks
 * need not be looked at: they matter for denormals and exceptions only. Everything else is `Emit.exactFloat`: denormals, NaNs,
 * infinities, zeros where they are not worth a test, the other rounding modes, the first inexact result, unmasked exceptions.
 *
 * A new instruction composes `arithmetic`, `squareRoot`, `extremum`, `compareLanes`, `roundToIntegral` and the conversions, or adds
 * an operation to `ExactFloat` and pairs it with its ordinary case here by `unless`.
 */

type Vector = 'f32x4' | 'f64x2';

const FRACTION_BITS: Record<4 | 8, number> = { 4: 23, 8: 52 };
const NORMAL_MIN: Record<4 | 8, bigint> = { 4: 0x0080_0000n, 8: 0x0010_0000_0000_0000n };
const LANES: Record<4 | 8, 'i32x4' | 'i64x2'> = { 4: 'i32x4', 8: 'i64x2' };

export type BinaryOperation = 'add' | 'sub' | 'mul' | 'div';

/** Lanes that hold a NaN, as a mask. */
export function nanMask(e: Emit, vector: Vector, v: Value): Value {
  return e.op(`${vector}.ne`, v, v);
}

/** `ordinary`, unless `condition` (i32) is nonzero: then what `exact` computes. */
function unless(e: Emit, condition: Value, ordinary: Value, exact: () => Value): Value {
  const result = e.variable(ordinary);
  e.rarely(condition, () => result.set(exact()));
  return result.get();
}

const either = (e: Emit, a: Value, b: Value) => e.op('i32.or', a, b);

/** Both lowest lanes side by side, so that one test looks at both. */
function pairLowest(e: Emit, laneBytes: 4 | 8, a: Value, b: Value): Value {
  return laneBytes === 8 ? lowHalves(e, a, b) : interleave(e, 4, 0, a, b);
}

/** The lowest exponent of the middle half of a double's range. */
const MIDDLE_LOWEST = 512n;

/** Doubles outside the middle of the exponent range (zeros too), as the lanes' top bits. */
function outsideMiddle(e: Emit, v: Value): Value {
  // Half of all exponents are in the middle: less the lowest one, the top bit tells.
  return e.op('i64x2.sub', e.op('i64x2.add', v, v), splatConstant(e, 8, MIDDLE_LOWEST << 53n));
}

/** A single's exponents that matter, as they stand in its bits shifted up by one: `lowest` and the one above the last. */
interface Range {
  readonly lowest: number;
  readonly end: number;
}
/** Normal numbers; the smallest, to which tiny ones may have been rounded, are left out. */
const NORMAL: Range = { lowest: 2, end: 255 };
/** Sums and differences of these do not overflow, and are normal or zero. */
const SUMMABLE: Range = { lowest: 26, end: 254 };
const EXPONENT_SHIFT = 24n;
const MIN_SIGNED = 0x8000_0000n;

/** Singles shifted up, so that those of the range are the lowest signed integers. */
function fromLowest(e: Emit, { lowest }: Range, v: Value): Value {
  return e.op('i32x4.sub', e.op('i32x4.add', v, v), splatConstant(e, 4, (BigInt(lowest) << EXPONENT_SHIFT) ^ MIN_SIGNED));
}
function beyond(e: Emit, { lowest, end }: Range, v: Value): Value {
  return e.op('i32x4.gt_s', v, splatConstant(e, 4, ((BigInt(end - lowest) << EXPONENT_SHIFT) - 1n) ^ MIN_SIGNED));
}

/** The top bits of lanes as a number (i32): of all, or of the first `count`. */
function topBits(e: Emit, laneBytes: 4 | 8, v: Value, count = 16 / laneBytes): Value {
  const bits = e.op(`${LANES[laneBytes]}.bitmask`, v);
  return count === 16 / laneBytes ? bits : e.op('i32.and', bits, e.constant32(2 ** count - 1));
}

/** Nonzero (i32) unless both operands and the result are such that it is WebAssembly's, and nothing but inexact. */
function isExtraordinary(e: Emit, name: BinaryOperation, format: FloatFormat, a: Value, b: Value, result: Value): Value {
  const { laneBytes, scalar } = FLOAT_FORMATS[format];
  // What is made of doubles in the middle is always normal, or zero.
  if (laneBytes === 8) return topBits(e, 8, scalar ? outsideMiddle(e, lowHalves(e, a, b)) : e.op('v128.or', outsideMiddle(e, a), outsideMiddle(e, b)));
  const sums = name === 'add' || name === 'sub';
  const range = sums ? SUMMABLE : NORMAL;
  const check = (v: Value) => fromLowest(e, range, v);
  const highest = (x: Value, y: Value) => e.op('i32x4.max_s', x, y);
  if (scalar) {
    const pair = pairLowest(e, 4, a, b);
    return topBits(e, 4, beyond(e, range, check(sums ? pair : lowHalves(e, pair, result))), sums ? 2 : 3);
  }
  const operands = highest(check(a), check(b));
  return topBits(e, 4, beyond(e, range, sums ? operands : highest(operands, check(result))));
}

/** Lanes that are normal numbers, zeros or infinities: they compare, and change format upwards, without exceptions. */
function plainLanes(e: Emit, laneBytes: 4 | 8, v: Value): Value {
  const { vector } = FLOAT_FORMATS[laneBytes === 4 ? 'ps' : 'pd'];
  const isNormal = e.op(`${vector}.ge`, e.op(`${vector}.abs`, v), splatConstant(e, laneBytes, NORMAL_MIN[laneBytes]));
  return e.op('v128.or', isNormal, e.op(`${vector}.eq`, v, splatConstant(e, laneBytes, 0n)));
}

/** Nonzero (i32) when an operand is a NaN or denormal. */
function hasSpecial(e: Emit, format: FloatFormat, a: Value, b: Value): Value {
  const { laneBytes, scalar } = FLOAT_FORMATS[format];
  if (scalar) return topBits(e, laneBytes, e.op('v128.not', plainLanes(e, laneBytes, pairLowest(e, laneBytes, a, b))), 2);
  return topBits(e, laneBytes, e.op('v128.not', e.op('v128.and', plainLanes(e, laneBytes, a), plainLanes(e, laneBytes, b))));
}

/** The operation on all lanes, or on lane 0 with `into`'s others kept. */
function ordinary(e: Emit, format: FloatFormat, name: string, into: Value, operands: readonly Value[]): Value {
  const { vector, element, scalar } = FLOAT_FORMATS[format];
  if (!scalar) return e.op(`${vector}.${name}`, ...operands);
  const raw = e.op(`${element}.${name}`, ...operands.map((v) => e.lane(`${vector}.extract_lane`, 0, v)));
  return e.lane(`${vector}.replace_lane`, 0, into, raw);
}

/** a + b and kin. */
export function arithmetic(e: Emit, name: BinaryOperation, format: FloatFormat, a: Value, b: Value): Value {
  const result = ordinary(e, format, name, a, [a, b]);
  const shows = either(e, isExtraordinary(e, name, format, a, b, result), e.roundingShows());
  return unless(e, shows, result, () => e.exactFloat(`${name}.${format}`, a, b));
}

export function squareRoot(e: Emit, format: FloatFormat, destination: Value, source: Value): Value {
  const { laneBytes, scalar } = FLOAT_FORMATS[format];
  const special = laneBytes === 8 ? outsideMiddle(e, source) : beyond(e, NORMAL, fromLowest(e, NORMAL, source));
  const bits = topBits(e, laneBytes, e.op('v128.or', source, special), scalar ? 1 : 16 / laneBytes);
  const root = ordinary(e, format, 'sqrt', destination, [source]);
  return unless(e, either(e, bits, e.roundingShows()), root, () => e.exactFloat(`sqrt.${format}`, destination, source));
}

/**
 * MIN and MAX: the second operand when either is a NaN or both are zeros, bits untouched. WebAssembly's pmin(x, y) is
 * `y < x ? y : x`, so the operands change places.
 */
export function extremum(e: Emit, name: 'pmin' | 'pmax', format: FloatFormat, a: Value, b: Value): Value {
  const { vector, laneBytes, scalar } = FLOAT_FORMATS[format];
  const all = e.op(`${vector}.${name}`, b, a);
  const result = scalar ? e.lane(`${LANES[laneBytes]}.replace_lane`, 0, a, e.lane(`${LANES[laneBytes]}.extract_lane`, 0, all)) : all;
  return unless(e, hasSpecial(e, format, a, b), result, () => e.exactFloat(`${name === 'pmin' ? 'min' : 'max'}.${format}`, a, b));
}

/** Predicates 0-3 are EQ, LT, LE and UNORD; bit 2 negates. Legacy encodings ignore the rest of the immediate. A scalar form keeps `a`'s upper lanes. */
export function compareLanes(e: Emit, format: FloatFormat, a: Value, b: Value, predicate: Value): Value {
  const { vector, laneBytes, scalar } = FLOAT_FORMATS[format];
  const lanes = LANES[laneBytes];
  const less = e.op(`${vector}.lt`, a, b);
  const even = e.select(e.bit(predicate, 1), e.op(`${vector}.le`, a, b), e.op(`${vector}.eq`, a, b));
  // Without NaNs nothing is unordered.
  const odd = e.select(e.bit(predicate, 1), splatConstant(e, laneBytes, 0n), less);
  const base = e.select(e.bit(predicate, 0), odd, even);
  const all = e.select(e.bit(predicate, 2), e.op('v128.not', base), base);
  const result = scalar ? e.lane(`${lanes}.replace_lane`, 0, a, e.lane(`${lanes}.extract_lane`, 0, all)) : all;
  return unless(e, hasSpecial(e, format, a, b), result, () => e.exactFloat(`compare.${format}`, a, b, predicate));
}

/** The lowest lanes compared; unordered ones are also `equal` and `less`, as COMISS and kin report it. `quiet`: a QNaN is not invalid. */
export function compareLowest(e: Emit, format: 'ss' | 'sd', a: Value, b: Value, quiet: boolean): Record<'equal' | 'less' | 'unordered', Value> {
  const { vector, element } = FLOAT_FORMATS[format];
  const [x, y] = [e.lane(`${vector}.extract_lane`, 0, a), e.lane(`${vector}.extract_lane`, 0, b)];
  const equal = e.variable(e.op(`${element}.eq`, x, y));
  const less = e.variable(e.op(`${element}.lt`, x, y));
  const unordered = e.variable(e.constant32(0));
  e.rarely(hasSpecial(e, format, a, b), () => {
    const flags = e.exactFloat(`${quiet ? 'quiet-order' : 'order'}.${format}`, a, b);
    less.set(e.bit(flags, 0));
    unordered.set(e.bit(flags, 2));
    equal.set(e.bit(flags, 6));
  });
  return { equal: equal.get(), less: less.get(), unordered: unordered.get() };
}

/** Both low singles to doubles (CVTPS2PD); `lanes` 1 leaves the second alone (its place is unspecified). */
export function widenFloats(e: Emit, source: Value, lanes: 1 | 2): Value {
  const special = e.op('i32.and', e.op('i32x4.bitmask', e.op('v128.not', plainLanes(e, 4, source))), e.constant32(2 ** lanes - 1));
  return unless(e, special, e.op('f64x2.promote_low_f32x4', source), () => e.exactFloat(lanes === 1 ? 'widen.ss' : 'widen.ps', source));
}

const [ROUND_BY_MXCSR_BIT, ROUND_SILENTLY_BIT] = [2, 3];

/** ROUNDPS and kin, with their immediate (SDM vol. 2B, "ROUNDPD"). A scalar form keeps `destination`'s upper lanes. */
export function roundToIntegral(e: Emit, format: FloatFormat, destination: Value, source: Value, immediate: Value): Value {
  const compute = (name: string) => ordinary(e, format, name, destination, [source]);
  const [down, up] = [e.bit(immediate, 0), e.bit(immediate, 1)];
  const directed = e.select(up, e.select(down, compute('trunc'), compute('ceil')), e.select(down, compute('floor'), compute('nearest')));
  const byMxcsr = e.bit(immediate, ROUND_BY_MXCSR_BIT);
  const shows = e.select(either(e, byMxcsr, e.eqz(e.bit(immediate, ROUND_SILENTLY_BIT))), e.roundingShows(), e.constant32(0));
  const result = e.select(byMxcsr, compute('nearest'), directed);
  return unless(e, either(e, hasSpecial(e, format, source, source), shows), result, () => e.exactFloat(`round.${format}`, destination, source, immediate));
}

/** ADDSUBPS and ADDSUBPD: differences in even lanes, sums in odd ones. */
export function addSubtract(e: Emit, format: 'ps' | 'pd', a: Value, b: Value): Value {
  const { vector, laneBytes } = FLOAT_FORMATS[format];
  const isOutside = (v: Value) => (laneBytes === 8 ? outsideMiddle(e, v) : beyond(e, SUMMABLE, fromLowest(e, SUMMABLE, v)));
  const signs = format === 'ps' ? [0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0] : [0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0];
  const sum = e.op(`${vector}.add`, a, e.op('v128.xor', b, e.constantVector(signs)));
  const special = topBits(e, laneBytes, e.op('v128.or', isOutside(a), isOutside(b)));
  return unless(e, either(e, special, e.roundingShows()), sum, () => e.exactFloat(`addsub.${format}`, a, b));
}

/** Exponents of doubles that are in the middle of a single's range, where the lowest is so much. */
const NARROW_LOWEST = 1023n - 64n;

/** Both doubles to singles, zero above (CVTPD2PS); `lanes` 1 leaves the second alone (its place is unspecified). */
export function narrowFloats(e: Emit, source: Value, lanes: 1 | 2): Value {
  const distance = e.op('i64x2.sub', e.op('i64x2.add', source, source), splatConstant(e, 8, NARROW_LOWEST << 53n));
  // 128 exponents are near enough.
  const far = e.op('v128.and', distance, splatConstant(e, 8, 0xf000_0000_0000_0000n));
  const special = lanes === 1 ? e.nez(lowHalf(e, far)) : e.op('v128.any_true', far);
  return unless(e, either(e, special, e.roundingShows()), e.op('f32x4.demote_f64x2_zero', source), () => e.exactFloat(lanes === 1 ? 'narrow.sd' : 'narrow.pd', source));
}

/** A signed integer of `bits` to lane 0 of `destination` (CVTSI2SS, CVTSI2SD). */
export function fromInteger(e: Emit, format: 'ss' | 'sd', bits: 32 | 64, destination: Value, value: Value): Value {
  const { vector, element, laneBytes } = FLOAT_FORMATS[format];
  const result = e.lane(`${vector}.replace_lane`, 0, destination, e.op(`${element}.convert_i64_s`, value));
  if (format === 'sd' && bits === 32) return result;
  const fractionBits = FRACTION_BITS[laneBytes];
  const isWide = e.ltU(e.constant(2n ** BigInt(fractionBits + 2)), e.add(value, e.constant(2n ** BigInt(fractionBits + 1))));
  const shows = e.op('i32.and', isWide, e.op('i32.ne', e.roundingShows(), e.constant32(0)));
  return unless(e, shows, result, () => e.exactFloat(`from-integer.${format}`, destination, value));
}

/** Four signed 32-bit integers to singles (CVTDQ2PS). */
export function fromIntegers(e: Emit, source: Value): Value {
  return unless(e, e.roundingShows(), e.op('f32x4.convert_i32x4_s', source), () => e.exactFloat('from-integers.ps', source));
}

/** Packed floats to 32-bit integers, towards zero or as MXCSR.RC says; what does not fit is the integer indefinite. Doubles give zero above. */
export function toIntegers(e: Emit, format: 'ps' | 'pd', source: Value, rounds: boolean): Value {
  const { vector, laneBytes } = FLOAT_FORMATS[format];
  const limit = splatConstant(e, laneBytes, format === 'ps' ? 0x4f00_0000n : 0x41df_ffff_ffc0_0000n);
  const fits = e.op(`${vector}.lt`, e.op(`${vector}.abs`, source), limit);
  const misfits = e.op('i32.eqz', e.op(`${LANES[laneBytes]}.all_true`, fits));
  const integral = rounds ? e.op(`${vector}.nearest`, source) : source;
  const result = e.op(format === 'ps' ? 'i32x4.trunc_sat_f32x4_s' : 'i32x4.trunc_sat_f64x2_s_zero', integral);
  return unless(e, either(e, misfits, e.roundingShows()), result, () => e.exactFloat(`${rounds ? 'to-integer' : 'truncate'}.${format}`, source));
}

/** The lowest float to an integer of `bits`, towards zero or as MXCSR.RC says; what does not fit is the integer indefinite. Zero-extended. */
export function toInteger(e: Emit, format: 'ss' | 'sd', bits: 32 | 64, source: Value, rounds: boolean): Value {
  const { vector, element } = FLOAT_FORMATS[format];
  const v = e.lane(`${vector}.extract_lane`, 0, source);
  // Rounding may add one to what still fits.
  const bound = 2 ** (bits - 1) - (bits === 32 && format === 'sd' ? 1 : 0);
  const fits = e.op(`${element}.lt`, e.op(`${element}.abs`, v), element === 'f32' ? e.constantF32(bound) : e.constantF64(bound));
  const integral = rounds ? e.op(`${element}.nearest`, v) : v;
  const truncated = e.op(`i64.trunc_sat_${element}_s`, integral);
  const result = e.zeroExtend(truncated, bits);
  const shows = either(e, e.op('i32.eqz', fits), e.roundingShows());
  return unless(e, shows, result, () => e.exactFloat(`${rounds ? 'to-integer' : 'truncate'}.${format}.${bits}`, source));
}
