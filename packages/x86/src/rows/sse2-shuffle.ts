import type { Emit, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { FLOAT_FORMATS, type FloatFormat, fromHalves, highHalf, interleave, lowHalf, packedBinary, withMmx } from './sse-vector.ts';

/** Shuffles of SSE and SSE2 (SDM vol. 1 §10.4.2, §11.4.1.5, §11.4.2). The control is an immediate the engine may not know. */

/** Byte indices that choose two 32-bit elements, from the two selectors in the low four bits of `control`. */
function doublewordPair(e: Emit, control: Value): Value {
  const selectors = e.and(e.or(control, e.shl(control, e.constant(30))), e.constant(0x3_0000_0003n));
  return e.add(e.mul(selectors, e.constant(0x0404_0404n)), e.constant(0x0302_0100_0302_0100n));
}

/** Byte indices that choose four 16-bit elements, from the four selectors in the low eight bits of `control`. */
function wordIndices(e: Emit, control: Value): Value {
  const nibbles = e.and(e.or(control, e.shl(control, e.constant(28))), e.constant(0xf_0000_000fn));
  const selectors = e.and(e.or(nibbles, e.shl(nibbles, e.constant(14))), e.constant(0x0003_0003_0003_0003n));
  return e.add(e.mul(selectors, e.constant(0x0202n)), e.constant(0x0100_0100_0100_0100n));
}

function doublewordIndices(e: Emit, control: Value): Value {
  const low = doublewordPair(e, e.and(control, e.constant(0xf)));
  return fromHalves(e, low, doublewordPair(e, e.shrU(control, e.constant(4))));
}

export const PSHUFD = insn('PSHUFD', {
  rows: [row('66 0F 70', 'Vx,Wx,Ib')],
  body: (e, o) => o.writeVector(0, e.op('i8x16.swizzle', o.readVector(1), doublewordIndices(e, o.read(2)))),
});
const PSHUFLW = insn('PSHUFLW', {
  rows: [row('F2 0F 70', 'Vx,Wx,Ib')],
  body(e, o) {
    const indices = fromHalves(e, wordIndices(e, o.read(2)), e.constant(0x0f0e_0d0c_0b0a_0908n));
    o.writeVector(0, e.op('i8x16.swizzle', o.readVector(1), indices));
  },
});
export const PSHUFHW = insn('PSHUFHW', {
  rows: [row('F3 0F 70', 'Vx,Wx,Ib')],
  body(e, o) {
    const upper = e.add(wordIndices(e, o.read(2)), e.constant(0x0808_0808_0808_0808n));
    o.writeVector(0, e.op('i8x16.swizzle', o.readVector(1), fromHalves(e, e.constant(0x0706_0504_0302_0100n), upper)));
  },
});
const PSHUFW = insn('PSHUFW', {
  rows: [row('NP 0F 70', 'Pq,Qq,Ib')],
  body: (e, o) =>
    withMmx(e, o, 0, () => {
      const indices = fromHalves(e, wordIndices(e, o.read(2)));
      o.write(0, lowHalf(e, e.op('i8x16.swizzle', fromHalves(e, o.read(1)), indices)));
    }),
});

export const SHUFPS = insn('SHUFPS', {
  rows: [row('NP 0F C6', 'Vps,Wps,Ib')],
  body(e, o) {
    const indices = doublewordIndices(e, o.read(2));
    const fromSource = e.op('i8x16.swizzle', o.readVector(1), indices);
    const fromDestination = e.op('i8x16.swizzle', o.readVector(0), indices);
    o.writeVector(0, e.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31], fromDestination, fromSource));
  },
});
const SHUFPD = insn('SHUFPD', {
  rows: [row('66 0F C6', 'Vpd,Wpd,Ib')],
  body(e, o) {
    const b = o.readVector(1);
    const a = o.readVector(0);
    const control = o.read(2);
    const low = e.select(e.bit(control, 0), highHalf(e, a), lowHalf(e, a));
    o.writeVector(0, fromHalves(e, low, e.select(e.bit(control, 1), highHalf(e, b), lowHalf(e, b))));
  },
});

function unpackFloats(name: string, opcode: string, format: FloatFormat, first: 0 | 8): Insn {
  const { prefix, laneBytes } = FLOAT_FORMATS[format];
  return insn(name, {
    rows: [row(`${prefix} 0F ${opcode}`, `V${format},W${format}`)],
    body: (e, o) => packedBinary(e, o, (a, b) => interleave(e, laneBytes, first, a, b)),
  });
}

const UNPCKLPS = unpackFloats('UNPCKLPS', '14', 'ps', 0);
const UNPCKLPD = unpackFloats('UNPCKLPD', '14', 'pd', 0);
const UNPCKHPS = unpackFloats('UNPCKHPS', '15', 'ps', 8);
const UNPCKHPD = unpackFloats('UNPCKHPD', '15', 'pd', 8);

export const SSE2_SHUFFLE = [
  PSHUFD, PSHUFLW, PSHUFHW, PSHUFW, SHUFPS, SHUFPD, UNPCKLPS, UNPCKLPD, UNPCKHPS, UNPCKHPD,
];
