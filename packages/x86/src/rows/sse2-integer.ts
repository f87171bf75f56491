import type { Emit, Operands, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import {
  byteIndices, interleave, isMmx, lowHalf, lowHalves, packedBinary, packedForm, readPacked, splatConstant, withMmx, zeroVector,
} from './sse-vector.ts';

/**
 * Packed integers in XMM and MMX registers (SDM vol. 1 §9.4, §10.4.4, §11.4.2). An MMX operand is computed as the lower
 * half of a vector, so that both forms share one meaning.
 */

/** Instructions that are one WebAssembly operation. */
const DIRECT: readonly (readonly [name: string, opcode: string, operation: string])[] = [
  ['PADDB', 'FC', 'i8x16.add'], ['PADDW', 'FD', 'i16x8.add'], ['PADDD', 'FE', 'i32x4.add'], ['PADDQ', 'D4', 'i64x2.add'],
  ['PSUBB', 'F8', 'i8x16.sub'], ['PSUBW', 'F9', 'i16x8.sub'], ['PSUBD', 'FA', 'i32x4.sub'], ['PSUBQ', 'FB', 'i64x2.sub'],
  ['PADDSB', 'EC', 'i8x16.add_sat_s'], ['PADDSW', 'ED', 'i16x8.add_sat_s'],
  ['PADDUSB', 'DC', 'i8x16.add_sat_u'], ['PADDUSW', 'DD', 'i16x8.add_sat_u'],
  ['PSUBSB', 'E8', 'i8x16.sub_sat_s'], ['PSUBSW', 'E9', 'i16x8.sub_sat_s'],
  ['PSUBUSB', 'D8', 'i8x16.sub_sat_u'], ['PSUBUSW', 'D9', 'i16x8.sub_sat_u'],
  ['PMULLW', 'D5', 'i16x8.mul'], ['PMADDWD', 'F5', 'i32x4.dot_i16x8_s'],
  ['PAVGB', 'E0', 'i8x16.avgr_u'], ['PAVGW', 'E3', 'i16x8.avgr_u'],
  ['PMINUB', 'DA', 'i8x16.min_u'], ['PMAXUB', 'DE', 'i8x16.max_u'], ['PMINSW', 'EA', 'i16x8.min_s'], ['PMAXSW', 'EE', 'i16x8.max_s'],
  ['PCMPEQB', '74', 'i8x16.eq'], ['PCMPEQW', '75', 'i16x8.eq'], ['PCMPEQD', '76', 'i32x4.eq'],
  ['PCMPGTB', '64', 'i8x16.gt_s'], ['PCMPGTW', '65', 'i16x8.gt_s'], ['PCMPGTD', '66', 'i32x4.gt_s'],
  ['PAND', 'DB', 'v128.and'], ['POR', 'EB', 'v128.or'], ['PXOR', 'EF', 'v128.xor'],
];

const PACKED_DIRECT = DIRECT.map(([name, opcode, operation]) => packedForm(name, opcode, (e, a, b) => e.op(operation, a, b)));
const PANDN = packedForm('PANDN', 'DF', (e, a, b) => e.op('v128.andnot', b, a));

/** Upper 16 bits of the eight 32-bit products. */
function multiplyHigh(e: Emit, sign: 's' | 'u', a: Value, b: Value): Value {
  const low = e.op(`i32x4.extmul_low_i16x8_${sign}`, a, b);
  const high = e.op(`i32x4.extmul_high_i16x8_${sign}`, a, b);
  return e.shuffle([2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31], low, high);
}

const PMULHW = packedForm('PMULHW', 'E5', (e, a, b) => multiplyHigh(e, 's', a, b));
const PMULHUW = packedForm('PMULHUW', 'E4', (e, a, b) => multiplyHigh(e, 'u', a, b));

/** The even 32-bit elements in the lower half. */
export function evenElements(e: Emit, v: Value): Value {
  return e.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11], v, v);
}

const PMULUDQ = packedForm('PMULUDQ', 'F4', (e, a, b) => e.op('i64x2.extmul_low_i32x4_u', evenElements(e, a), evenElements(e, b)));

const PSADBW = packedForm('PSADBW', 'F6', (e, a, b) => {
  const differences = e.op('v128.or', e.op('i8x16.sub_sat_u', a, b), e.op('i8x16.sub_sat_u', b, a));
  const fours = e.op('i32x4.extadd_pairwise_i16x8_u', e.op('i16x8.extadd_pairwise_i8x16_u', differences));
  const sums = e.op('i32x4.add', fours, e.op('i64x2.shr_u', fours, e.constant32(32)));
  return e.op('v128.and', sums, splatConstant(e, 8, 0xffff_ffffn));
});

/** PACK: the destination's elements, narrowed, below the source's. */
function packForm(name: string, opcode: string, operation: string): Insn {
  return insn(name, {
    rows: [row(`66 0F ${opcode}`, 'Vx,Wx'), row(`NP 0F ${opcode}`, 'Pq,Qq')],
    body: (e, o) =>
      packedBinary(e, o, (a, b) => {
        if (!isMmx(o)) return e.op(operation, a, b);
        const both = lowHalves(e, a, b);
        return e.op(operation, both, both);
      }),
  });
}

const PACKSSWB = packForm('PACKSSWB', '63', 'i8x16.narrow_i16x8_s');
const PACKUSWB = packForm('PACKUSWB', '67', 'i8x16.narrow_i16x8_u');
const PACKSSDW = packForm('PACKSSDW', '6B', 'i16x8.narrow_i32x4_s');

/** PUNPCKL and PUNPCKH. In MMX registers the high form is the upper half of what the low form makes of a vector. */
function unpackForm(name: string, opcode: string, laneBytes: number, high: boolean): Insn {
  return insn(name, {
    rows: [row(`66 0F ${opcode}`, 'Vx,Wx'), row(`NP 0F ${opcode}`, high ? 'Pq,Qq' : 'Pq,Qd')],
    body: (e, o) =>
      packedBinary(e, o, (a, b) => {
        if (!isMmx(o)) return interleave(e, laneBytes, high ? 8 : 0, a, b);
        const whole = interleave(e, laneBytes, 0, a, b);
        return high ? e.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 16, 16, 16], whole, zeroVector(e)) : whole;
      }),
  });
}

const PUNPCKLBW = unpackForm('PUNPCKLBW', '60', 1, false);
const PUNPCKLWD = unpackForm('PUNPCKLWD', '61', 2, false);
export const PUNPCKLDQ = unpackForm('PUNPCKLDQ', '62', 4, false);
const PUNPCKHBW = unpackForm('PUNPCKHBW', '68', 1, true);
const PUNPCKHWD = unpackForm('PUNPCKHWD', '69', 2, true);
const PUNPCKHDQ = unpackForm('PUNPCKHDQ', '6A', 4, true);
const PUNPCKLQDQ = insn('PUNPCKLQDQ', {
  rows: [row('66 0F 6C', 'Vx,Wx')],
  body: (e, o) => packedBinary(e, o, (a, b) => interleave(e, 8, 0, a, b)),
});
const PUNPCKHQDQ = insn('PUNPCKHQDQ', {
  rows: [row('66 0F 6D', 'Vx,Wx')],
  body: (e, o) => packedBinary(e, o, (a, b) => interleave(e, 8, 8, a, b)),
});

/** The count of a shift: an immediate, or all 64 low bits of the source. */
function shiftCount(e: Emit, o: Operands): Value {
  return o.sizeBits(1) === 128 ? lowHalf(e, o.readVector(1)) : o.read(1);
}

/** Logical shifts by the element's width or more give zero, arithmetic ones the sign (WebAssembly's counts wrap). */
function shiftLanes(e: Emit, operation: string, bits: number, v: Value, count: Value): Value {
  const inRange = e.ltU(count, e.constant(bits));
  if (operation === 'shr_s') return e.op(`i${bits}x${128 / bits}.shr_s`, v, e.narrow(e.select(inRange, count, e.constant(bits - 1))));
  return e.select(inRange, e.op(`i${bits}x${128 / bits}.${operation}`, v, e.narrow(count)), zeroVector(e));
}

function shiftForm(name: string, bits: number, operation: string, opcode: string, immediate: string): Insn {
  return insn(name, {
    rows: [
      row(`66 0F ${opcode}`, 'Vx,Wx'), row(`66 0F ${immediate}`, 'Ux,Ib'),
      row(`NP 0F ${opcode}`, 'Pq,Qq'), row(`NP 0F ${immediate}`, 'Nq,Ib'),
    ],
    body(e, o) {
      if (!isMmx(o)) {
        const count = shiftCount(e, o);
        o.writeVector(0, shiftLanes(e, operation, bits, o.readVector(0), count));
        return;
      }
      withMmx(e, o, 0, () => {
        const count = shiftCount(e, o);
        o.write(0, lowHalf(e, shiftLanes(e, operation, bits, readPacked(e, o, 0), count)));
      });
    },
  });
}

const PSRLW = shiftForm('PSRLW', 16, 'shr_u', 'D1', '71 /2');
const PSRLD = shiftForm('PSRLD', 32, 'shr_u', 'D2', '72 /2');
const PSRLQ = shiftForm('PSRLQ', 64, 'shr_u', 'D3', '73 /2');
const PSRAW = shiftForm('PSRAW', 16, 'shr_s', 'E1', '71 /4');
const PSRAD = shiftForm('PSRAD', 32, 'shr_s', 'E2', '72 /4');
const PSLLW = shiftForm('PSLLW', 16, 'shl', 'F1', '71 /6');
const PSLLD = shiftForm('PSLLD', 32, 'shl', 'F2', '72 /6');
const PSLLQ = shiftForm('PSLLQ', 64, 'shl', 'F3', '73 /6');

/** Shifts the whole register by bytes: swizzle gives zero for every index outside it. */
function byteShiftForm(name: string, extension: 3 | 7, operation: 'i8x16.add' | 'i8x16.sub'): Insn {
  return insn(name, {
    rows: [row(`66 0F 73 /${extension}`, 'Ux,Ib')],
    body(e, o) {
      const immediate = o.read(1);
      const count = e.select(e.ltU(immediate, e.constant(16)), immediate, e.constant(16));
      const indices = e.op(operation, byteIndices(e), e.op('i8x16.splat', e.narrow(count)));
      o.writeVector(0, e.op('i8x16.swizzle', o.readVector(0), indices));
    },
  });
}

const PSRLDQ = byteShiftForm('PSRLDQ', 3, 'i8x16.add');
export const PSLLDQ = byteShiftForm('PSLLDQ', 7, 'i8x16.sub');

export const SSE2_INTEGER = [
  ...PACKED_DIRECT, PANDN, PMULHW, PMULHUW, PMULUDQ, PSADBW, PACKSSWB, PACKUSWB, PACKSSDW,
  PUNPCKLBW, PUNPCKLWD, PUNPCKLDQ, PUNPCKHBW, PUNPCKHWD, PUNPCKHDQ, PUNPCKLQDQ, PUNPCKHQDQ,
  PSRLW, PSRLD, PSRLQ, PSRAW, PSRAD, PSLLW, PSLLD, PSLLQ, PSRLDQ, PSLLDQ,
];
