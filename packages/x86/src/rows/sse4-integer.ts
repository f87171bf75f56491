import type { Emit, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { evenElements } from './sse2-integer.ts';
import { byteIndices, fromHalves, laneMask, splatConstant, vectorForm, vectorMove } from './sse-vector.ts';

/** Packed integers, blends and tests of SSE4.1 and SSE4.2 (SDM vol. 1 §12.10, §12.11). */

/** Instructions that are one WebAssembly operation. */
const DIRECT: readonly (readonly [name: string, opcode: string, operation: string])[] = [
  ['PCMPEQQ', '29', 'i64x2.eq'], ['PCMPGTQ', '37', 'i64x2.gt_s'], ['PACKUSDW', '2B', 'i16x8.narrow_i32x4_u'], ['PMULLD', '40', 'i32x4.mul'],
  ['PMINSB', '38', 'i8x16.min_s'], ['PMINSD', '39', 'i32x4.min_s'], ['PMINUW', '3A', 'i16x8.min_u'], ['PMINUD', '3B', 'i32x4.min_u'],
  ['PMAXSB', '3C', 'i8x16.max_s'], ['PMAXSD', '3D', 'i32x4.max_s'], ['PMAXUW', '3E', 'i16x8.max_u'], ['PMAXUD', '3F', 'i32x4.max_u'],
];

const SSE4_DIRECT = DIRECT.map(([name, opcode, operation]) => vectorForm(name, `66 0F 38 ${opcode}`, 'Vx,Wx', (e, a, b) => e.op(operation, a, b)));

const PMULDQ = vectorForm('PMULDQ', '66 0F 38 28', 'Vx,Wx', (e, a, b) => e.op('i64x2.extmul_low_i32x4_s', evenElements(e, a), evenElements(e, b)));

/** Operations that double the width of the lower half's elements, from the source's width on. */
const WIDEN = ['i16x8.extend_low_i8x16', 'i32x4.extend_low_i16x8', 'i64x2.extend_low_i32x4'] as const;

/** PMOVSX and PMOVZX: opcode, operands, and which of the widening steps. */
const EXTENSIONS: readonly (readonly [suffix: string, opcode: string, source: string, first: number, last: number])[] = [
  ['BW', '0', 'Wq', 0, 0], ['BD', '1', 'Wd', 0, 1], ['BQ', '2', 'Ww', 0, 2], ['WD', '3', 'Wq', 1, 1], ['WQ', '4', 'Wd', 1, 2], ['DQ', '5', 'Wq', 2, 2],
];

function extensionForms(name: string, row: '2' | '3', sign: 's' | 'u'): Insn[] {
  return EXTENSIONS.map(([suffix, opcode, source, first, last]) =>
    vectorMove(name + suffix, `66 0F 38 ${row}${opcode}`, `Vx,${source}`, (e, v) =>
      WIDEN.slice(first, last + 1).reduce((narrow, step) => e.op(`${step}_${sign}`, narrow), v)),
  );
}

/** The least word and its place; the first of several. */
export const PHMINPOSUW = vectorMove('PHMINPOSUW', '66 0F 38 41', 'Vx,Wx', (e, v) => {
  let least = v;
  for (const distance of [8, 4, 2]) {
    const turned = e.shuffle(Array.from({ length: 16 }, (_, byte) => (byte + distance) % 16), least, least);
    least = e.op('i16x8.min_u', least, turned);
  }
  const place = e.op('i32.ctz', e.op('i16x8.bitmask', e.op('i16x8.eq', v, least)));
  const word = e.widen(e.lane('i16x8.extract_lane_u', 0, least));
  return fromHalves(e, e.or(word, e.shl(e.widen(place), e.constant(16))));
});

/** Sums of four absolute differences between a group of the source and eight places of the destination. */
export const MPSADBW = insn('MPSADBW', {
  rows: [row('66 0F 3A 42', 'Vx,Wx,Ib')],
  body(e, o) {
    const b = o.readVector(1);
    const a = o.readVector(0);
    const control = o.read(2);
    const groupOf = (bits: number, shift: number) => e.op('i8x16.splat', e.narrow(e.shl(e.and(e.shrU(control, e.constant(shift)), e.constant(bits)), e.constant(2))));
    const [start, group] = [groupOf(1, 2), groupOf(3, 0)];
    let sums: Value | undefined;
    for (let index = 0; index < 4; index++) {
      const places = e.op('i8x16.add', byteIndices(e), e.op('i8x16.add', start, splatConstant(e, 1, BigInt(index))));
      const x = e.op('i8x16.swizzle', a, places);
      const y = e.op('i8x16.swizzle', b, e.op('i8x16.add', group, splatConstant(e, 1, BigInt(index))));
      const difference = e.op('v128.or', e.op('i8x16.sub_sat_u', x, y), e.op('i8x16.sub_sat_u', y, x));
      const wide = e.op('i16x8.extend_low_i8x16_u', difference);
      sums = sums ? e.op('i16x8.add', sums, wide) : wide;
    }
    o.writeVector(0, sums!);
  },
});

/** Elements of the source where an immediate's bits say so. */
function blendForm(name: string, opcode: string, laneBytes: 2 | 4 | 8): Insn {
  return insn(name, {
    rows: [row(`66 0F 3A ${opcode}`, 'Vx,Wx,Ib')],
    body(e, o) {
      const source = o.readVector(1);
      o.writeVector(0, e.op('v128.bitselect', source, o.readVector(0), laneMask(e, laneBytes, o.read(2))));
    },
  });
}

/** Elements of the source where those of XMM0 are negative. */
function variableBlendForm(name: string, opcode: string, shape: string, bits: number): Insn {
  return vectorForm(name, `66 0F 38 ${opcode}`, 'Vx,Wx', (e, a, b) =>
    e.op('v128.bitselect', b, a, e.op(`${shape}.shr_s`, e.vectorRegister(0), e.constant32(bits - 1))));
}

function isZero(e: Emit, v: Value): Value {
  return e.op('i32.eqz', e.op('v128.any_true', v));
}

export const PTEST = insn('PTEST', {
  rows: [row('66 0F 38 17', 'Vx,Wx')],
  body(e, o) {
    const b = o.readVector(1);
    const a = o.readVector(0);
    const clear = e.constant32(0);
    e.flagsSet({ ZF: isZero(e, e.op('v128.and', a, b)), CF: isZero(e, e.op('v128.andnot', b, a)), OF: clear, SF: clear, AF: clear, PF: clear });
  },
});

export const SSE4_INTEGER = [
  ...SSE4_DIRECT, PMULDQ, ...extensionForms('PMOVSX', '2', 's'), ...extensionForms('PMOVZX', '3', 'u'), PHMINPOSUW, MPSADBW,
  blendForm('PBLENDW', '0E', 2), blendForm('BLENDPS', '0C', 4), blendForm('BLENDPD', '0D', 8),
  variableBlendForm('PBLENDVB', '10', 'i8x16', 8), variableBlendForm('BLENDVPS', '14', 'i32x4', 32), variableBlendForm('BLENDVPD', '15', 'i64x2', 64), PTEST,
];
