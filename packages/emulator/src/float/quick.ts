import { FLOAT_FORMATS, type FloatFormat, type Value } from '@hanok/x86';
import type { FunctionWriter } from './function-writer.ts';

/**
 * Results that WebAssembly's own operation gives, and the tests that say so: what the tests in line with the code are too narrow for
 * (zeros, large and small numbers), and while PE is not set yet, that a result is exact.
 */
export interface Quick {
  readonly result: Value;
  /** i32 */
  readonly holds: Value;
}

const QUICK = ['add', 'sub', 'mul', 'div'] as const;
export type QuickOperation = (typeof QUICK)[number];
export const isQuick = (name: string): name is QuickOperation => (QUICK as readonly string[]).includes(name);

type Vector = 'f32x4' | 'f64x2';
const NORMAL_MIN = { f32x4: 0x0080_0000n, f64x2: 0x0010_0000_0000_0000n } as const;
const QUIET = { f32x4: 0x0040_0000n, f64x2: 0x0008_0000_0000_0000n } as const;
/** The QNaN floating-point indefinite. */
const INDEFINITE = { f32x4: 0xffc0_0000n, f64x2: 0xfff8_0000_0000_0000n } as const;
const INFINITY = { f32x4: 0x7f80_0000n, f64x2: 0x7ff0_0000_0000_0000n } as const;

function splat(e: FunctionWriter, vector: Vector, bits: bigint): Value {
  const laneBytes = vector === 'f32x4' ? 4 : 8;
  return e.constantVector(Array.from({ length: 16 }, (_, at) => Number((bits >> BigInt(8 * (at % laneBytes))) & 0xffn)));
}

/** Tests on the lanes of a vector, as masks. */
class Lanes {
  readonly e: FunctionWriter;
  readonly vector: Vector;

  constructor(e: FunctionWriter, vector: Vector) {
    this.e = e;
    this.vector = vector;
  }

  op(name: string, ...operands: Value[]): Value {
    return this.e.op(`${this.vector}.${name}`, ...operands);
  }
  all(...masks: Value[]): Value {
    return masks.reduce((a, b) => this.e.op('v128.and', a, b));
  }
  any(...masks: Value[]): Value {
    return masks.reduce((a, b) => this.e.op('v128.or', a, b));
  }
  isZero(v: Value): Value {
    return this.op('eq', v, splat(this.e, this.vector, 0n));
  }
  isNormalOrInfinite(v: Value): Value {
    return this.op('ge', this.op('abs', v), splat(this.e, this.vector, NORMAL_MIN[this.vector]));
  }
  /** The smallest normal number may be one that was rounded up to it, and so tiny. */
  isNormal(v: Value): Value {
    return this.all(this.op('gt', this.op('abs', v), splat(this.e, this.vector, NORMAL_MIN[this.vector])), this.isFinite(v));
  }
  isNan(v: Value): Value {
    return this.op('ne', v, v);
  }
  isInfinite(v: Value): Value {
    return this.op('eq', this.op('abs', v), splat(this.e, this.vector, INFINITY[this.vector]));
  }
  isDenormal(v: Value): Value {
    const isSmall = this.op('lt', this.op('abs', v), splat(this.e, this.vector, NORMAL_MIN[this.vector]));
    return this.e.op('v128.andnot', isSmall, this.isZero(v));
  }
  /** `v` with the bits of a lane set. */
  withBits(v: Value, bits: bigint): Value {
    return this.e.op('v128.or', v, splat(this.e, this.vector, bits));
  }
  isSignaling(v: Value): Value {
    const quiet = splat(this.e, this.vector, QUIET[this.vector]);
    const integers = this.vector === 'f32x4' ? 'i32x4' : 'i64x2';
    return this.e.op('v128.andnot', this.isNan(v), this.e.op(`${integers}.eq`, this.e.op('v128.and', v, quiet), quiet));
  }
  isFinite(v: Value): Value {
    return this.op('lt', this.op('abs', v), splat(this.e, this.vector, INFINITY[this.vector]));
  }
}

/** Lanes whose result is a zero that is exact. */
function exactZero(lanes: Lanes, name: QuickOperation, a: Value, b: Value, result: Value): Value {
  if (name === 'mul') return lanes.any(lanes.isZero(a), lanes.isZero(b));
  // Sums and differences that are zero are exact: the smallest denormal is their unit.
  return lanes.isZero(name === 'div' ? a : result);
}

/** The lanes that count: all, or lane 0 in the place of all. */
function operandLanes(e: FunctionWriter, format: FloatFormat, a: Value, b: Value): [Value, Value] {
  const { vector, scalar } = FLOAT_FORMATS[format];
  const lowest = (v: Value) => e.op(`${vector}.splat`, e.lane(`${vector}.extract_lane`, 0, v));
  return scalar ? [lowest(a), lowest(b)] : [a, b];
}

/** The result's lanes; of a scalar form lane 0 with `a`'s others kept. */
function placed(e: FunctionWriter, format: FloatFormat, a: Value, result: Value): Value {
  const { vector, scalar } = FLOAT_FORMATS[format];
  return scalar ? e.lane(`${vector}.replace_lane`, 0, a, e.lane(`${vector}.extract_lane`, 0, result)) : result;
}

const IE_AND_IM = 0x81n;
/** RC, FTZ and DAZ, and flags and masks of the exceptions that denormals bring: DE, UE and PE. */
const TINY = { mask: 0xf972n, value: 0x1932n } as const;

/** Infinities, NaNs and denormals, while no exception comes of them that is not masked and set already. */
export function quickSpecial(e: FunctionWriter, name: QuickOperation, format: FloatFormat, a: Value, b: Value): Quick {
  const { vector } = FLOAT_FORMATS[format];
  const lanes = new Lanes(e, vector);
  const [x, y] = operandLanes(e, format, a, b);
  const raw = lanes.op(name, x, y);
  const [nanX, nanY, nan] = [lanes.isNan(x), lanes.isNan(y), lanes.isNan(raw)];
  // A divisor that is infinite makes an exact zero, one that is zero raises ZE.
  const infinite = lanes.all(lanes.isInfinite(raw), name === 'div' ? lanes.isInfinite(x) : lanes.any(lanes.isInfinite(x), lanes.isInfinite(y)));
  const zero = lanes.all(lanes.isZero(raw), name === 'div' ? lanes.any(lanes.isZero(x), lanes.isInfinite(y)) : exactZero(lanes, name, x, y, raw));
  const isTinySilent = e.eq(e.and(e.state('mxcsr'), e.constant(TINY.mask)), e.constant(TINY.value));
  const tiny = e.op('i32x4.splat', e.op('i32.sub', e.constant32(0), isTinySilent));
  const finite = name === 'div' ? e.op('v128.andnot', lanes.isFinite(raw), lanes.isZero(y)) : lanes.isFinite(raw);
  const isKnown = lanes.any(lanes.isNormal(raw), nan, infinite, zero, lanes.all(tiny, finite));
  const hasDenormal = e.op('v128.andnot', lanes.any(lanes.isDenormal(x), lanes.isDenormal(y)), tiny);
  const known = e.op('v128.andnot', isKnown, hasDenormal);
  const invalid = lanes.any(e.op('v128.andnot', nan, lanes.any(nanX, nanY)), lanes.isSignaling(x), lanes.isSignaling(y));
  const silent = e.either(e.eqz(e.op('v128.any_true', invalid)), e.eq(e.and(e.state('mxcsr'), e.constant(IE_AND_IM)), e.constant(IE_AND_IM)));
  const ofY = e.op('v128.bitselect', lanes.withBits(y, QUIET[vector]), splat(e, vector, INDEFINITE[vector]), nanY);
  const chosen = e.op('v128.bitselect', lanes.withBits(x, QUIET[vector]), ofY, nanX);
  const all = e.op(`${vector === 'f32x4' ? 'i32x4' : 'i64x2'}.all_true`, known);
  return { result: placed(e, format, a, e.op('v128.bitselect', chosen, raw, nan)), holds: e.both(e.both(all, silent), e.eqz(e.roundingShows())) };
}

const RC = 0x6000n;

/** Whether the ordinary result of every lane that counts is certainly exact (i32). */
function isExact(e: FunctionWriter, name: QuickOperation, format: FloatFormat, x: Value, y: Value, raw: Value): Value {
  const { vector, scalar, laneBytes } = FLOAT_FORMATS[format];
  if (name === 'add' || name === 'sub') return isExactSum(e, vector, name, x, y, raw);
  const count = scalar ? 1 : 16 / laneBytes;
  const lane = (v: Value, index: number) => e.lane(`${vector}.extract_lane`, index, v);
  const exact = vector === 'f32x4' ? isExactSingle : isExactDouble;
  return Array.from({ length: count }, (_, index) => exact(e, name, lane(x, index), lane(y, index), lane(raw, index))).reduce((a, b) => e.both(a, b));
}

/** The rounding error of a sum is a number, found by Knuth's two-sum (TAOCP vol. 2 §4.2.2, theorem B). */
function isExactSum(e: FunctionWriter, vector: Vector, name: 'add' | 'sub', x: Value, b: Value, raw: Value): Value {
  const lanes = new Lanes(e, vector);
  const y = name === 'sub' ? lanes.op('neg', b) : b;
  const part = lanes.op('sub', raw, x);
  const error = lanes.op('add', lanes.op('sub', x, lanes.op('sub', raw, part)), lanes.op('sub', y, part));
  return e.op(`${vector === 'f32x4' ? 'i32x4' : 'i64x2'}.all_true`, lanes.isZero(error));
}

/** Products of singles are exact doubles. */
function isExactSingle(e: FunctionWriter, name: 'mul' | 'div', x: Value, y: Value, raw: Value): Value {
  const [p, q, r] = [x, y, raw].map((v) => e.op('f64.promote_f32', v)) as [Value, Value, Value];
  return name === 'mul' ? e.op('f64.eq', e.op('f64.mul', p, q), r) : e.op('f64.eq', e.op('f64.mul', r, q), p);
}

const DOUBLE_BITS = 53;

/** A product is exact where the factors' significands have few enough bits; a quotient where its product with the divisor is. */
function isExactDouble(e: FunctionWriter, name: 'mul' | 'div', x: Value, y: Value, raw: Value): Value {
  const unusedBits = (v: Value) => e.op('i64.ctz', e.or(e.op('i64.reinterpret_f64', v), e.constant(1n << 52n)));
  const fits = (a: Value, b: Value) => e.ltU(e.constant(DOUBLE_BITS - 1), e.add(unusedBits(a), unusedBits(b)));
  const product = name === 'mul' ? fits(x, y) : e.both(fits(raw, y), e.op('f64.eq', e.op('f64.mul', raw, y), x));
  return e.either(product, e.op('f64.eq', raw, e.constantF64(0)));
}

/** Numbers. */
export function quickArithmetic(e: FunctionWriter, name: QuickOperation, format: FloatFormat, a: Value, b: Value): Quick {
  const { vector } = FLOAT_FORMATS[format];
  const lanes = new Lanes(e, vector);
  const [x, y] = operandLanes(e, format, a, b);
  const raw = lanes.op(name, x, y);
  const operandsOrdinary = lanes.all(lanes.any(lanes.isNormalOrInfinite(x), lanes.isZero(x)), lanes.any(lanes.isNormalOrInfinite(y), lanes.isZero(y)));
  const resultOrdinary = lanes.any(lanes.isNormal(raw), lanes.all(exactZero(lanes, name, x, y, raw), lanes.isZero(raw)));
  const ordinary = e.op(`${vector === 'f32x4' ? 'i32x4' : 'i64x2'}.all_true`, lanes.all(operandsOrdinary, resultOrdinary));
  const holds = e.variable(e.both(ordinary, e.op('i32.eqz', e.roundingShows())));
  const isNearest = e.eqz(e.and(e.state('mxcsr'), e.constant(RC)));
  // An exact result raises no PE: integers in doubles stay here although no program ever sets that flag for them.
  e.if(e.both(e.both(ordinary, isNearest), e.eqz(holds.get())), () => holds.set(isExact(e, name, format, x, y, raw)));
  return { result: placed(e, format, a, raw), holds: holds.get() };
}
