import type { Emit, Value } from '../emit.ts';
import { FLOAT_FORMATS, type FloatFormat, mergeLow, narrowLanes, splatConstant } from './sse-vector.ts';

/**
 * Every floating-point operation of SSE and SSE2 that can round or raise an exception goes through this file.
 *
 * What it does exactly: results under round-to-nearest, and which NaN comes out (SDM vol. 1 §4.8.3.5, table 4-7), which
 * WebAssembly leaves open. Conversions to integers obey MXCSR.RC.
 *
 * What it does not do yet: MXCSR.RC other than nearest for results that are floating-point, DAZ and FTZ, the sticky
 * exception flags, and unmasked exceptions (#XM). These are for a slow path chosen here.
 */

const QUIET_BIT: Record<4 | 8, bigint> = { 4: 0x0040_0000n, 8: 0x0008_0000_0000_0000n };
/** The QNaN floating-point indefinite. */
const DEFAULT_NAN: Record<4 | 8, bigint> = { 4: 0xffc0_0000n, 8: 0xfff8_0000_0000_0000n };

export type BinaryOperation = 'add' | 'sub' | 'mul' | 'div';

/** Lanes that hold a NaN, as a mask. */
export function nanMask(e: Emit, vector: 'f32x4' | 'f64x2', v: Value): Value {
  return e.op(`${vector}.ne`, v, v);
}

/** What an operation that came out as NaN returns: the first operand that is a NaN, made quiet, else the indefinite. */
function nanResult(e: Emit, format: FloatFormat, operands: readonly Value[]): Value {
  const { vector, laneBytes } = FLOAT_FORMATS[format];
  const quiet = splatConstant(e, laneBytes, QUIET_BIT[laneBytes]);
  let result = splatConstant(e, laneBytes, DEFAULT_NAN[laneBytes]);
  for (const v of operands.toReversed()) result = e.op('v128.bitselect', e.op('v128.or', v, quiet), result, nanMask(e, vector, v));
  return result;
}

/** Computes `raw` in the format's lanes, with the NaNs a processor gives; a scalar form keeps `destination`'s upper lanes. */
function withNans(e: Emit, format: FloatFormat, destination: Value, operands: readonly Value[], name: string): Value {
  const { vector, element, laneBytes, scalar } = FLOAT_FORMATS[format];
  if (!scalar) {
    const raw = e.op(`${vector}.${name}`, ...operands);
    const result = e.variable(raw);
    const nans = nanMask(e, vector, raw);
    e.if(e.op('v128.any_true', nans), () => result.set(e.op('v128.bitselect', nanResult(e, format, operands), raw, nans)));
    return result.get();
  }
  const raw = e.op(`${element}.${name}`, ...operands.map((v) => e.lane(`${vector}.extract_lane`, 0, v)));
  const result = e.variable(e.lane(`${vector}.replace_lane`, 0, destination, raw));
  e.if(e.op(`${element}.ne`, raw, raw), () => result.set(mergeLow(e, laneBytes, nanResult(e, format, operands), destination)));
  return result.get();
}

/** a + b and kin. */
export function arithmetic(e: Emit, name: BinaryOperation, format: FloatFormat, a: Value, b: Value): Value {
  return withNans(e, format, a, [a, b], name);
}

export function squareRoot(e: Emit, format: FloatFormat, destination: Value, source: Value): Value {
  return withNans(e, format, destination, [source], 'sqrt');
}

/**
 * MIN and MAX: the second operand when either is a NaN or both are zeros, bits untouched. WebAssembly's pmin(x, y) is
 * `y < x ? y : x`, so the operands change places.
 */
export function extremum(e: Emit, name: 'pmin' | 'pmax', format: FloatFormat, a: Value, b: Value): Value {
  const { vector, laneBytes, scalar } = FLOAT_FORMATS[format];
  const result = e.op(`${vector}.${name}`, b, a);
  return scalar ? mergeLow(e, laneBytes, result, a) : result;
}

/** Predicates 0-3 are EQ, LT, LE and UNORD; bit 2 negates. Legacy encodings ignore the rest of the immediate. */
export function compareLanes(e: Emit, vector: 'f32x4' | 'f64x2', a: Value, b: Value, predicate: Value): Value {
  const unordered = e.op('v128.or', nanMask(e, vector, a), nanMask(e, vector, b));
  const even = e.select(e.bit(predicate, 1), e.op(`${vector}.le`, a, b), e.op(`${vector}.eq`, a, b));
  const odd = e.select(e.bit(predicate, 1), unordered, e.op(`${vector}.lt`, a, b));
  const base = e.select(e.bit(predicate, 0), odd, even);
  return e.select(e.bit(predicate, 2), e.op('v128.not', base), base);
}

/** Two floats compared; unordered ones are also `equal` and `less`, as COMISS and kin report it. */
export function compareLowest(e: Emit, element: 'f32' | 'f64', a: Value, b: Value): Record<'equal' | 'less' | 'unordered', Value> {
  const different = e.op('i32.or', e.op(`${element}.lt`, a, b), e.op(`${element}.gt`, a, b));
  return {
    equal: e.op('i32.eqz', different),
    less: e.op('i32.eqz', e.op(`${element}.ge`, a, b)),
    unordered: e.op('i32.or', e.op(`${element}.ne`, a, a), e.op(`${element}.ne`, b, b)),
  };
}

/** Both low singles to doubles (CVTPS2PD); scalar forms take lane 0 of the result. */
export function widenFloats(e: Emit, source: Value): Value {
  const raw = e.op('f64x2.promote_low_f32x4', source);
  const result = e.variable(raw);
  const nans = nanMask(e, 'f64x2', raw);
  e.if(e.op('v128.any_true', nans), () => {
    const bits = e.op('i64x2.extend_low_i32x4_u', source);
    const sign = e.op('i64x2.shl', e.op('v128.and', bits, splatConstant(e, 8, 0x8000_0000n)), e.constant32(32));
    const payload = e.op('i64x2.shl', e.op('v128.and', bits, splatConstant(e, 8, 0x7f_ffffn)), e.constant32(29));
    const quiet = e.op('v128.or', e.op('v128.or', sign, payload), splatConstant(e, 8, 0x7ff8_0000_0000_0000n));
    result.set(e.op('v128.bitselect', quiet, raw, nans));
  });
  return result.get();
}

/** Both doubles to singles, zero above (CVTPD2PS); scalar forms take lane 0 of the result. */
export function narrowFloats(e: Emit, source: Value): Value {
  const raw = e.op('f32x4.demote_f64x2_zero', source);
  const result = e.variable(raw);
  const nans = nanMask(e, 'f32x4', raw);
  e.if(e.op('v128.any_true', nans), () => {
    const sign = e.op('v128.and', e.op('i64x2.shr_u', source, e.constant32(32)), splatConstant(e, 8, 0x8000_0000n));
    const payload = e.op('v128.and', e.op('i64x2.shr_u', source, e.constant32(29)), splatConstant(e, 8, 0x7f_ffffn));
    const quiet = e.op('v128.or', e.op('v128.or', sign, payload), splatConstant(e, 8, 0x7fc0_0000n));
    result.set(e.op('v128.bitselect', narrowLanes(e, quiet), raw, nans));
  });
  return result.get();
}

/** A signed 64-bit integer to lane 0 of `destination` (CVTSI2SS, CVTSI2SD). */
export function fromInteger(e: Emit, format: 'ss' | 'sd', destination: Value, value: Value): Value {
  const { vector, element } = FLOAT_FORMATS[format];
  return e.lane(`${vector}.replace_lane`, 0, destination, e.op(`${element}.convert_i64_s`, value));
}

/** Four signed 32-bit integers to singles (CVTDQ2PS). */
export function fromIntegers(e: Emit, source: Value): Value {
  return e.op('f32x4.convert_i32x4_s', source);
}

/** Rounds to an integral value as MXCSR.RC says (SDM vol. 1 §4.8.4, table 4-8). NaNs come out as some NaN. */
export function roundByMode(e: Emit, type: 'f32' | 'f64' | 'f32x4' | 'f64x2', v: Value): Value {
  const result = e.variable(e.op(`${type}.nearest`, v));
  const mode = e.and(e.state('mxcsr'), e.constant(0x6000));
  e.if(e.nez(mode), () => {
    e.if(e.eq(mode, e.constant(0x2000)), () => result.set(e.op(`${type}.floor`, v)));
    e.if(e.eq(mode, e.constant(0x4000)), () => result.set(e.op(`${type}.ceil`, v)));
    e.if(e.eq(mode, e.constant(0x6000)), () => result.set(e.op(`${type}.trunc`, v)));
  });
  return result.get();
}

/** Packed floats to 32-bit integers, towards zero; what does not fit is the integer indefinite. Doubles give zero above. */
export function truncatePacked(e: Emit, vector: 'f32x4' | 'f64x2', v: Value): Value {
  const indefinite = splatConstant(e, 4, 0x8000_0000n);
  // Saturation is right below the range, so only NaNs and what lies above it need the indefinite.
  if (vector === 'f32x4') {
    const fits = e.op('f32x4.lt', v, splatConstant(e, 4, 0x4f00_0000n));
    return e.op('v128.bitselect', e.op('i32x4.trunc_sat_f32x4_s', v), indefinite, fits);
  }
  const misfits = e.op('v128.not', e.op('f64x2.lt', v, splatConstant(e, 8, 0x41e0_0000_0000_0000n)));
  return e.op('v128.bitselect', indefinite, e.op('i32x4.trunc_sat_f64x2_s_zero', v), narrowLanes(e, misfits));
}

/** A float to an integer of `bits`, towards zero; what does not fit is the integer indefinite. Zero-extended. */
export function truncateScalar(e: Emit, element: 'f32' | 'f64', bits: 32 | 64, v: Value): Value {
  const bound = bits === 32 ? 2 ** 31 : 2 ** 63;
  const fits = e.op(`${element}.lt`, v, element === 'f32' ? e.constantF32(bound) : e.constantF64(bound));
  const truncated = e.op(`i${bits}.trunc_sat_${element}_s`, v);
  return e.select(fits, bits === 32 ? e.widen(truncated) : truncated, e.constant(bits === 32 ? 0x8000_0000n : 0x8000_0000_0000_0000n));
}
