import type { Emit, Operands, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';

const shiftRows = (extension: number) => [
  row(`C0 /${extension}`, 'Eb,Ib'),
  row(`C1 /${extension}`, 'Ev,Ib'),
  row(`D0 /${extension}`, 'Eb,1'),
  row(`D1 /${extension}`, 'Ev,1'),
  row(`D2 /${extension}`, 'Eb,CL'),
  row(`D3 /${extension}`, 'Ev,CL'),
];

/** The count as the processor takes it: modulo 64 for 64-bit operands, modulo 32 for all others. */
function maskedCount(e: Emit, o: Operands, index: number): Value {
  return e.and(o.read(index), e.constant(o.bits === 64 ? 63 : 31));
}

const top = (e: Emit, o: Operands, value: Value) => e.bit(value, o.bits - 1);

export const SHL = insn('SHL', {
  rows: [...shiftRows(4), ...shiftRows(6)],
  body(e, o) {
    const count = maskedCount(e, o, 1);
    const value = o.read(0);
    const r = e.signExtend(e.shl(value, count), o.bits);
    o.write(0, r);
    e.if(e.nez(count), () => {
      // Bits beyond the operand have left it; for counts above its size CF is undefined, zero here.
      const lastOut = e.narrow(e.and(e.shrU(e.shl(value, e.sub(count, e.constant(1))), e.constant(o.bits - 1)), e.constant(1)));
      e.flagsResult(r, { CF: lastOut, OF: e.op('i32.xor', lastOut, top(e, o, r)), AF: e.constant32(0) });
    });
  },
});

export const SHR = insn('SHR', {
  rows: shiftRows(5),
  body(e, o) {
    const count = maskedCount(e, o, 1);
    const value = o.read(0);
    const r = e.signExtend(e.shrU(value, count), o.bits);
    o.write(0, r);
    e.if(e.nez(count), () => {
      const lastOut = e.narrow(e.and(e.shrU(value, e.sub(count, e.constant(1))), e.constant(1)));
      e.flagsResult(r, { CF: lastOut, OF: top(e, o, value), AF: e.constant32(0) });
    });
  },
});

export const SAR = insn('SAR', {
  rows: shiftRows(7),
  body(e, o) {
    const count = maskedCount(e, o, 1);
    const value = o.readSigned(0);
    const r = e.shrS(value, count);
    o.write(0, r);
    e.if(e.nez(count), () => {
      const lastOut = e.narrow(e.and(e.shrS(value, e.sub(count, e.constant(1))), e.constant(1)));
      e.flagsResult(r, { CF: lastOut, OF: e.constant32(0), AF: e.constant32(0) });
    });
  },
});

/** A rotation of 8 or 16 bits is one of 32 or 64 with the operand repeated. */
function rotateLeft(e: Emit, o: Operands, value: Value, count: Value): Value {
  if (o.bits === 64) return e.op('i64.rotl', value, count);
  if (o.bits === 32) return e.widen(e.op('i32.rotl', e.narrow(value), e.narrow(count)));
  const part = e.and(count, e.constant(o.bits - 1));
  const left = e.shl(value, part);
  return e.or(left, e.shrU(value, e.sub(e.constant(o.bits), part)));
}

export const ROL = insn('ROL', {
  rows: shiftRows(0),
  body(e, o) {
    const count = maskedCount(e, o, 1);
    const r = rotateLeft(e, o, o.read(0), count);
    o.write(0, r);
    e.if(e.nez(count), () => {
      const carry = e.bit(r, 0);
      e.flagsSet({ CF: carry, OF: e.op('i32.xor', carry, top(e, o, r)) });
    });
  },
});

export const ROR = insn('ROR', {
  rows: shiftRows(1),
  body(e, o) {
    const count = maskedCount(e, o, 1);
    const left = e.and(e.sub(e.constant(o.bits), count), e.constant(o.bits - 1));
    const r = rotateLeft(e, o, o.read(0), left);
    o.write(0, r);
    e.if(e.nez(count), () => {
      const carry = top(e, o, r);
      e.flagsSet({ CF: carry, OF: e.op('i32.xor', carry, e.bit(r, o.bits - 2)) });
    });
  },
});

/** Count of a rotation through CF: 8- and 16-bit operands turn around after 9 and 17 steps. */
function carryCount(e: Emit, o: Operands): Value {
  const count = maskedCount(e, o, 1);
  return o.bits < 32 ? e.op('i64.rem_u', count, e.constant(o.bits + 1)) : count;
}

/** `value << count` where a count of 64 gives zero. */
const shlWide = (e: Emit, value: Value, count: Value) =>
  e.select(e.ltU(count, e.constant(64)), e.shl(value, count), e.constant(0));
const shrWide = (e: Emit, value: Value, count: Value) =>
  e.select(e.ltU(count, e.constant(64)), e.shrU(value, count), e.constant(0));

export const RCL = insn('RCL', {
  rows: shiftRows(2),
  body(e, o) {
    const count = carryCount(e, o);
    const value = o.read(0);
    const carry = e.widen(e.flag('CF'));
    const one = e.constant(1);
    const before = e.sub(count, one);
    const turned = e.or(e.shl(value, count), e.or(e.shl(carry, before), shrWide(e, value, e.sub(e.constant(o.bits + 1), count))));
    const r = e.zeroExtend(e.select(e.eqz(count), value, turned), o.bits);
    o.write(0, r);
    e.if(e.nez(count), () => {
      const out = e.narrow(e.and(e.shrU(value, e.sub(e.constant(o.bits), count)), one));
      e.flagsSet({ CF: out, OF: e.op('i32.xor', out, top(e, o, r)) });
    });
  },
});

export const RCR = insn('RCR', {
  rows: shiftRows(3),
  body(e, o) {
    const count = carryCount(e, o);
    const value = o.read(0);
    const carry = e.widen(e.flag('CF'));
    const one = e.constant(1);
    const carryIn = e.shl(carry, e.sub(e.constant(o.bits), count));
    const turned = e.or(e.shrU(value, count), e.or(carryIn, shlWide(e, value, e.sub(e.constant(o.bits + 1), count))));
    const r = e.zeroExtend(e.select(e.eqz(count), value, turned), o.bits);
    o.write(0, r);
    e.if(e.nez(count), () => {
      const out = e.narrow(e.and(e.shrU(value, e.sub(count, one)), one));
      e.flagsSet({ CF: out, OF: e.op('i32.xor', top(e, o, r), e.bit(r, o.bits - 2)) });
    });
  },
});

/** SHLD and SHRD: the bits that come in are another register's. A count of 0 changes nothing but may clear the upper half. */
function doubleShift(e: Emit, o: Operands, left: boolean): void {
  const count = e.and(o.read(2), e.constant(o.bits === 64 ? 63 : 31));
  const value = o.read(0);
  const other = o.read(1);
  const rest = e.sub(e.constant(o.bits), count);
  const shifted = left
    ? e.or(e.shl(value, count), shrWide(e, other, rest))
    : e.or(e.shrU(value, count), shlWide(e, other, rest));
  const r = e.signExtend(e.select(e.eqz(count), value, shifted), o.bits);
  o.write(0, r);
  e.if(e.nez(count), () => {
    const position = left ? rest : e.sub(count, e.constant(1));
    const lastOut = e.narrow(e.and(e.shrU(value, position), e.constant(1)));
    e.flagsResult(r, { CF: lastOut, OF: e.op('i32.xor', top(e, o, value), top(e, o, r)), AF: e.constant32(0) });
  });
}

export const SHLD = insn('SHLD', { rows: [row('0F A4', 'Ev,Gv,Ib'), row('0F A5', 'Ev,Gv,CL')], body: (e, o) => doubleShift(e, o, true) });
export const SHRD = insn('SHRD', { rows: [row('0F AC', 'Ev,Gv,Ib'), row('0F AD', 'Ev,Gv,CL')], body: (e, o) => doubleShift(e, o, false) });

export const SHIFT = [SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD];
