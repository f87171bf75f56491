import type { Emit, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { fromInteger, fromIntegers, narrowFloats, toInteger, toIntegers, widenFloats } from './sse-arithmetic.ts';
import { fromHalves, lowHalf, mergeLow, vectorMove, withMmx, zeroVector } from './sse-vector.ts';

/** Conversions of SSE and SSE2 (SDM vol. 1 §10.4.4, §11.4.1.6; the map is figure 11-8). */

const roundPacked = (format: 'ps' | 'pd') => (e: Emit, v: Value) => toIntegers(e, format, v, true);
const chopPacked = (format: 'ps' | 'pd') => (e: Emit, v: Value) => toIntegers(e, format, v, false);

export const CVTPS2PD = vectorMove('CVTPS2PD', 'NP 0F 5A', 'Vpd,Wq', (e, v) => widenFloats(e, v, 2));
export const CVTPD2PS = vectorMove('CVTPD2PS', '66 0F 5A', 'Vps,Wpd', (e, v) => narrowFloats(e, v, 2));
export const CVTDQ2PS = vectorMove('CVTDQ2PS', 'NP 0F 5B', 'Vps,Wdq', fromIntegers);
const CVTDQ2PD = vectorMove('CVTDQ2PD', 'F3 0F E6', 'Vpd,Wq', (e, v) => e.op('f64x2.convert_low_i32x4_s', v));
const CVTPS2DQ = vectorMove('CVTPS2DQ', '66 0F 5B', 'Vdq,Wps', roundPacked('ps'));
const CVTTPS2DQ = vectorMove('CVTTPS2DQ', 'F3 0F 5B', 'Vdq,Wps', chopPacked('ps'));
const CVTPD2DQ = vectorMove('CVTPD2DQ', 'F2 0F E6', 'Vdq,Wpd', roundPacked('pd'));
const CVTTPD2DQ = vectorMove('CVTTPD2DQ', '66 0F E6', 'Vdq,Wpd', chopPacked('pd'));

const CVTSS2SD = insn('CVTSS2SD', {
  rows: [row('F3 0F 5A', 'Vsd,Wss')],
  body(e, o) {
    const source = o.readVector(1);
    o.writeVector(0, mergeLow(e, 8, widenFloats(e, source, 1), o.readVector(0)));
  },
});
const CVTSD2SS = insn('CVTSD2SS', {
  rows: [row('F2 0F 5A', 'Vss,Wsd')],
  body(e, o) {
    const source = o.readVector(1);
    o.writeVector(0, mergeLow(e, 4, narrowFloats(e, source, 1), o.readVector(0)));
  },
});

function fromIntegerForm(name: string, encoding: string, format: 'ss' | 'sd'): Insn {
  return insn(name, {
    rows: [row(encoding, `V${format},Ey`)],
    body(e, o) {
      const value = o.readSigned(1);
      o.writeVector(0, fromInteger(e, format, o.sizeBits(1) === 64 ? 64 : 32, o.readVector(0), value));
    },
  });
}

export const CVTSI2SS = fromIntegerForm('CVTSI2SS', 'F3 0F 2A', 'ss');
export const CVTSI2SD = fromIntegerForm('CVTSI2SD', 'F2 0F 2A', 'sd');

function toIntegerForm(name: string, encoding: string, format: 'ss' | 'sd', rounds: boolean): Insn {
  return insn(name, {
    rows: [row(encoding, `Gy,W${format}`)],
    body(e, o) {
      o.write(0, toInteger(e, format, o.sizeBits(0) === 64 ? 64 : 32, o.readVector(1), rounds));
    },
  });
}

const CVTSS2SI = toIntegerForm('CVTSS2SI', 'F3 0F 2D', 'ss', true);
const CVTTSS2SI = toIntegerForm('CVTTSS2SI', 'F3 0F 2C', 'ss', false);
const CVTSD2SI = toIntegerForm('CVTSD2SI', 'F2 0F 2D', 'sd', true);
const CVTTSD2SI = toIntegerForm('CVTTSD2SI', 'F2 0F 2C', 'sd', false);

/** To an MMX register. The conversion may raise #XM, so it comes before the x87 state changes. */
function toMmxForm(name: string, encoding: string, operands: string, convert: (e: Emit, source: Value) => Value): Insn {
  return insn(name, {
    rows: [row(encoding, operands)],
    body(e, o) {
      e.helper('mmx-check');
      const source = o.readVector(1);
      const result = lowHalf(e, convert(e, o.sizeBits(1) === 64 ? mergeLow(e, 8, source, zeroVector(e)) : source));
      withMmx(e, o, 0, () => o.write(0, result));
    },
  });
}

export const CVTPS2PI = toMmxForm('CVTPS2PI', 'NP 0F 2D', 'Pq,Wq', roundPacked('ps'));
export const CVTTPS2PI = toMmxForm('CVTTPS2PI', 'NP 0F 2C', 'Pq,Wq', chopPacked('ps'));
export const CVTPD2PI = toMmxForm('CVTPD2PI', '66 0F 2D', 'Pq,Wpd', roundPacked('pd'));
export const CVTTPD2PI = toMmxForm('CVTTPD2PI', '66 0F 2C', 'Pq,Wpd', chopPacked('pd'));

/**
 * With a memory operand the MMX state stays as it is: on processors of both vendors (measured on Intel's family 6 and
 * AMD's 19h), while SDM vol. 2A says so of CVTPI2PD only.
 */
export const CVTPI2PS = insn('CVTPI2PS', {
  rows: [row('NP 0F 2A', 'Vps,Qq')],
  body(e, o) {
    if (!o.isMemory(1)) e.helper('mmx-check');
    const result = mergeLow(e, 8, fromIntegers(e, fromHalves(e, o.read(1))), o.readVector(0));
    if (o.isMemory(1)) o.writeVector(0, result);
    else withMmx(e, o, undefined, () => o.writeVector(0, result));
  },
});
/** With a memory operand it does not touch the MMX state (SDM vol. 2A, "CVTPI2PD"). */
const CVTPI2PD = insn('CVTPI2PD', {
  rows: [row('66 0F 2A', 'Vpd,Qq')],
  body(e, o) {
    const convert = (): void => o.writeVector(0, e.op('f64x2.convert_low_i32x4_s', fromHalves(e, o.read(1))));
    if (o.isMemory(1)) convert();
    else withMmx(e, o, undefined, convert);
  },
});

export const SSE_CONVERT = [
  CVTPS2PD, CVTPD2PS, CVTDQ2PS, CVTDQ2PD, CVTPS2DQ, CVTTPS2DQ, CVTPD2DQ, CVTTPD2DQ, CVTSS2SD, CVTSD2SS, CVTSI2SS, CVTSI2SD,
  CVTSS2SI, CVTTSS2SI, CVTSD2SI, CVTTSD2SI, CVTPS2PI, CVTTPS2PI, CVTPD2PI, CVTTPD2PI, CVTPI2PS, CVTPI2PD,
];
