import type { Emit, Operands, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { arithmetic, extremum, nanMask, squareRoot } from './sse-arithmetic.ts';
import { FLOAT_FORMATS, type FloatFormat, mergeLow, splatConstant } from './sse-vector.ts';

/** Floating-point arithmetic and logic of SSE and SSE2 (SDM vol. 1 §10.4.1.2, §10.4.3, §11.4.1.2, §11.4.1.3). */

type Compute = (e: Emit, format: FloatFormat, a: Value, b: Value) => Value;

/** The forms of one opcode: `name` with the format as its suffix. */
function floatForms(name: string, opcode: string, formats: readonly FloatFormat[], compute: Compute): Insn[] {
  return formats.map((format) =>
    insn(name + format.toUpperCase(), {
      rows: [row(`${FLOAT_FORMATS[format].prefix} 0F ${opcode}`, `V${format},W${format}`)],
      body(e: Emit, o: Operands) {
        const source = o.readVector(1);
        o.writeVector(0, compute(e, format, o.readVector(0), source));
      },
    }),
  );
}

const ALL = ['ps', 'ss', 'pd', 'sd'] as const;
const PACKED = ['ps', 'pd'] as const;
const SINGLE = ['ps', 'ss'] as const;

const ADD_FLOAT = floatForms('ADD', '58', ALL, (e, format, a, b) => arithmetic(e, 'add', format, a, b));
const MUL_FLOAT = floatForms('MUL', '59', ALL, (e, format, a, b) => arithmetic(e, 'mul', format, a, b));
const SUB_FLOAT = floatForms('SUB', '5C', ALL, (e, format, a, b) => arithmetic(e, 'sub', format, a, b));
const DIV_FLOAT = floatForms('DIV', '5E', ALL, (e, format, a, b) => arithmetic(e, 'div', format, a, b));
const SQRT_FLOAT = floatForms('SQRT', '51', ALL, squareRoot);
const MIN_FLOAT = floatForms('MIN', '5D', ALL, (e, format, a, b) => extremum(e, 'pmin', format, a, b));
const MAX_FLOAT = floatForms('MAX', '5F', ALL, (e, format, a, b) => extremum(e, 'pmax', format, a, b));

const AND_FLOAT = floatForms('AND', '54', PACKED, (e, _format, a, b) => e.op('v128.and', a, b));
const ANDN_FLOAT = floatForms('ANDN', '55', PACKED, (e, _format, a, b) => e.op('v128.andnot', b, a));
const OR_FLOAT = floatForms('OR', '56', PACKED, (e, _format, a, b) => e.op('v128.or', a, b));
const XOR_FLOAT = floatForms('XOR', '57', PACKED, (e, _format, a, b) => e.op('v128.xor', a, b));

function signOf(e: Emit, v: Value): Value {
  return e.op('v128.and', v, splatConstant(e, 4, 0x8000_0000n));
}

/** Lanes of `v` that are denormal or zero. */
function tinyMask(e: Emit, v: Value): Value {
  const magnitude = e.op('v128.and', v, splatConstant(e, 4, 0x7fff_ffffn));
  return e.op('i32x4.lt_s', magnitude, splatConstant(e, 4, 0x0080_0000n));
}

/** Denormals to zeros of the same sign, as RCPPS and RSQRTPS do whatever MXCSR says. */
function flushTiny(e: Emit, v: Value): Value {
  return e.op('v128.bitselect', signOf(e, v), v, tinyMask(e, v));
}

/**
 * RCPPS and RSQRTPS promise a relative error up to 1.5 * 2^-12 and each maker's tables differ. Ours is the quotient
 * rounded to 12 significant bits: within the bound, and the same on every host.
 */
function approximate(e: Emit, source: Value, compute: (flushed: Value) => Value): Value {
  const exact = compute(flushTiny(e, source));
  const rounded = e.op('i32x4.add', exact, splatConstant(e, 4, 0x400n));
  const short = flushTiny(e, e.op('v128.and', rounded, splatConstant(e, 4, 0xffff_f800n)));
  const numbers = e.op('v128.bitselect', splatConstant(e, 4, 0xffc0_0000n), short, nanMask(e, 'f32x4', exact));
  const quiet = e.op('v128.or', source, splatConstant(e, 4, 0x0040_0000n));
  return e.op('v128.bitselect', quiet, numbers, nanMask(e, 'f32x4', source));
}

function keepUpper(e: Emit, format: FloatFormat, result: Value, destination: Value): Value {
  return FLOAT_FORMATS[format].scalar ? mergeLow(e, 4, result, destination) : result;
}

const ONE = 0x3f80_0000n;

const RSQRT_FLOAT = floatForms('RSQRT', '52', SINGLE, (e, format, a, b) => {
  const inverse = (v: Value): Value => e.op('f32x4.div', splatConstant(e, 4, ONE), e.op('f32x4.sqrt', v));
  return keepUpper(e, format, approximate(e, b, inverse), a);
});
const RCP_FLOAT = floatForms('RCP', '53', SINGLE, (e, format, a, b) => {
  const inverse = (v: Value): Value => e.op('f32x4.div', splatConstant(e, 4, ONE), v);
  return keepUpper(e, format, approximate(e, b, inverse), a);
});

export const SSE_FLOAT = [
  ...ADD_FLOAT, ...MUL_FLOAT, ...SUB_FLOAT, ...DIV_FLOAT, ...SQRT_FLOAT, ...MIN_FLOAT, ...MAX_FLOAT,
  ...AND_FLOAT, ...ANDN_FLOAT, ...OR_FLOAT, ...XOR_FLOAT, ...RSQRT_FLOAT, ...RCP_FLOAT,
];
