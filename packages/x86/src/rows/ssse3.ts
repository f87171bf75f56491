import type { Emit, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { byteIndices, everySecond, isMmx, lowHalves, packedBinary, packedForm, packedUnary, splatConstant } from './sse-vector.ts';

/** Supplemental SSE3, in XMM and MMX registers (SDM vol. 1 §12.6). */

/** Neighbours of the destination, then of the source, combined. An MMX pair of operands is one vector of neighbours. */
function horizontalForm(name: string, opcode: string, laneBytes: 2 | 4, operation: string): Insn {
  return insn(name, {
    rows: [row(`66 0F 38 ${opcode}`, 'Vx,Wx'), row(`NP 0F 38 ${opcode}`, 'Pq,Qq')],
    body: (e, o) =>
      packedBinary(e, o, (a, b) => {
        const both = isMmx(o) ? lowHalves(e, a, b) : undefined;
        const [x, y] = [both ?? a, both ?? b];
        return e.op(operation, everySecond(e, laneBytes, 0, x, y), everySecond(e, laneBytes, 1, x, y));
      }),
  });
}

const HORIZONTAL = [
  horizontalForm('PHADDW', '01', 2, 'i16x8.add'), horizontalForm('PHADDD', '02', 4, 'i32x4.add'), horizontalForm('PHADDSW', '03', 2, 'i16x8.add_sat_s'),
  horizontalForm('PHSUBW', '05', 2, 'i16x8.sub'), horizontalForm('PHSUBD', '06', 4, 'i32x4.sub'), horizontalForm('PHSUBSW', '07', 2, 'i16x8.sub_sat_s'),
];

/** An index with its top bit set gives zero, as swizzle does for every index beyond 15. */
function shuffleBytes(e: Emit, v: Value, indices: Value, mask: bigint): Value {
  return e.op('i8x16.swizzle', v, e.op('v128.and', indices, splatConstant(e, 1, mask)));
}

export const PSHUFB = insn('PSHUFB', {
  rows: [row('66 0F 38 00', 'Vx,Wx'), row('NP 0F 38 00', 'Pq,Qq')],
  body: (e, o) => packedBinary(e, o, (a, b) => shuffleBytes(e, a, b, isMmx(o) ? 0x87n : 0x8fn)),
});

/** Unsigned bytes of the destination times signed ones of the source, neighbours added with saturation. */
export const PMADDUBSW = packedForm('PMADDUBSW', '38 04', (e, a, b) => {
  const products = (half: string) => e.op('i16x8.mul', e.op(`i16x8.extend_${half}_i8x16_u`, a), e.op(`i16x8.extend_${half}_i8x16_s`, b));
  const [low, high] = [products('low'), products('high')];
  return e.op('i16x8.add_sat_s', everySecond(e, 2, 0, low, high), everySecond(e, 2, 1, low, high));
});

/** WebAssembly saturates the one product that does not fit, -1 times -1 as fractions; here it wraps. */
export const PMULHRSW = packedForm('PMULHRSW', '38 0B', (e, a, b) => {
  const least = splatConstant(e, 2, 0x8000n);
  const wraps = e.op('v128.and', e.op('i16x8.eq', a, least), e.op('i16x8.eq', b, least));
  return e.op('v128.xor', e.op('i16x8.q15mulr_sat_s', a, b), wraps);
});

/** The destination's elements, negated where the source's are negative and cleared where they are zero. */
function signForm(name: string, opcode: string, shape: string, bits: number): Insn {
  return packedForm(name, opcode, (e, a, b) => {
    const negative = e.op(`${shape}.shr_s`, b, e.constant32(bits - 1));
    const signed = e.op(`${shape}.sub`, e.op('v128.xor', a, negative), negative);
    return e.op('v128.andnot', signed, e.op(`${shape}.eq`, b, splatConstant(e, 1, 0n)));
  });
}

function absoluteForm(name: string, opcode: string, shape: string): Insn {
  return insn(name, {
    rows: [row(`66 0F 38 ${opcode}`, 'Vx,Wx'), row(`NP 0F 38 ${opcode}`, 'Pq,Qq')],
    body: (e, o) => packedUnary(e, o, (source) => e.op(`${shape}.abs`, source)),
  });
}

/** Source and destination side by side, moved down by some bytes: where swizzle's index leaves one, the other has it. */
export const PALIGNR = insn('PALIGNR', {
  rows: [row('66 0F 3A 0F', 'Vx,Wx,Ib'), row('NP 0F 3A 0F', 'Pq,Qq,Ib')],
  body: (e, o) =>
    packedBinary(e, o, (a, b) => {
      const immediate = o.read(2);
      const bytes = e.select(e.ltU(immediate, e.constant(32)), immediate, e.constant(32));
      const indices = e.op('i8x16.add', byteIndices(e), e.op('i8x16.splat', e.narrow(bytes)));
      if (isMmx(o)) return e.op('i8x16.swizzle', lowHalves(e, b, a), indices);
      const above = e.op('i8x16.sub', indices, splatConstant(e, 1, 16n));
      return e.op('v128.or', e.op('i8x16.swizzle', b, indices), e.op('i8x16.swizzle', a, above));
    }),
});

export const SSSE3 = [
  ...HORIZONTAL, PSHUFB, PMADDUBSW, PMULHRSW, PALIGNR,
  signForm('PSIGNB', '38 08', 'i8x16', 8), signForm('PSIGNW', '38 09', 'i16x8', 16), signForm('PSIGND', '38 0A', 'i32x4', 32),
  absoluteForm('PABSB', '1C', 'i8x16'), absoluteForm('PABSW', '1D', 'i16x8'), absoluteForm('PABSD', '1E', 'i32x4'),
];
