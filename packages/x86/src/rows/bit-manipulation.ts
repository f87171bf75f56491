import type { Emit, Operands, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { highProductU } from './multiply.ts';

/** BMI1 and BMI2: bit manipulation with VEX encodings of general registers (SDM vol. 1 §5.1.16). */

const RDX = 2;

/** ZF and SF from the result, CF as given, OF clear; AF and PF are undefined. */
function bitFlags(e: Emit, o: Operands, result: Value, carry: Value): void {
  const clear = e.constant32(0);
  e.flagsResult(e.signExtend(result, o.bits), { CF: carry, OF: clear, AF: clear });
}

export const ANDN = insn('ANDN', {
  rows: [row('VEX.LZ.NP.0F38 F2', 'Gy,By,Ey')],
  body(e, o) {
    const r = e.and(e.not(o.read(1)), o.read(2));
    o.write(0, r);
    bitFlags(e, o, r, e.constant32(0));
  },
});

/** What BLSI and kin make of their source, and when they set CF. */
function lowestBitForm(name: string, extension: number, change: (e: Emit, v: Value) => Value, carryIfZero: boolean): Insn {
  return insn(name, {
    rows: [row(`VEX.LZ.NP.0F38 F3 /${extension}`, 'By,Ey')],
    body(e, o) {
      const source = o.read(1);
      const r = change(e, source);
      o.write(0, r);
      bitFlags(e, o, r, carryIfZero ? e.eqz(source) : e.nez(source));
    },
  });
}

const less = (e: Emit, v: Value) => e.sub(v, e.constant(1));

export const BLSR = lowestBitForm('BLSR', 1, (e, v) => e.and(less(e, v), v), true);
export const BLSMSK = lowestBitForm('BLSMSK', 2, (e, v) => e.xor(less(e, v), v), true);
export const BLSI = lowestBitForm('BLSI', 3, (e, v) => e.and(e.sub(e.constant(0), v), v), false);

/** The low `count` bits of `v`; all of it for counts of 64 and more. */
function lowBits(e: Emit, v: Value, count: Value): Value {
  const mask = less(e, e.shl(e.constant(1), count));
  return e.select(e.ltU(count, e.constant(64)), e.and(v, mask), v);
}

/** The control's low byte is where the bits begin, the next how many they are. */
export const BEXTR = insn('BEXTR', {
  rows: [row('VEX.LZ.NP.0F38 F7', 'Gy,Ey,By')],
  body(e, o) {
    const source = o.read(1);
    const control = o.read(2);
    const start = e.and(control, e.constant(0xff));
    const moved = e.select(e.ltU(start, e.constant(64)), e.shrU(source, start), e.constant(0));
    const r = lowBits(e, moved, e.and(e.shrU(control, e.constant(8)), e.constant(0xff)));
    o.write(0, r);
    bitFlags(e, o, r, e.constant32(0));
  },
});

export const BZHI = insn('BZHI', {
  rows: [row('VEX.LZ.NP.0F38 F5', 'Gy,Ey,By')],
  body(e, o) {
    const source = o.read(1);
    const count = e.and(o.read(2), e.constant(0xff));
    const r = lowBits(e, source, count);
    o.write(0, r);
    bitFlags(e, o, r, e.ltU(e.constant(o.bits - 1), count));
  },
});

/** rDX times the source: the low half to the second operand, the high half to the first, which stays if they are one. */
export const MULX = insn('MULX', {
  rows: [row('VEX.LZ.F2.0F38 F6', 'Gy,By,Ey')],
  body(e, o) {
    const a = e.zeroExtend(e.register(RDX), o.bits);
    const b = o.read(2);
    const product = e.mul(a, b);
    const high = o.bits === 64 ? highProductU(e, a, b) : e.shrU(product, e.constant(32));
    o.write(1, product);
    o.write(0, high);
  },
});

/** Visits the mask's bits from the lowest on; `step` gets the bit and, as a bit too, its place among them. */
function eachMaskBit(e: Emit, mask: Value, step: (bit: Value, place: Value) => Value): Value {
  const result = e.variable(e.constant(0));
  const remaining = e.variable(mask);
  const place = e.variable(e.constant(1));
  e.if(e.nez(mask), () => {
    e.loopWhile(() => {
      const bits = remaining.get();
      const bit = e.and(bits, e.sub(e.constant(0), bits));
      result.set(e.or(result.get(), step(bit, place.get())));
      place.set(e.shl(place.get(), e.constant(1)));
      const rest = e.xor(bits, bit);
      remaining.set(rest);
      return e.nez(rest);
    });
  });
  return result.get();
}

export const PDEP = insn('PDEP', {
  rows: [row('VEX.LZ.F2.0F38 F5', 'Gy,By,Ey')],
  body(e, o) {
    const source = o.read(1);
    o.write(0, eachMaskBit(e, o.read(2), (bit, place) => e.select(e.nez(e.and(source, place)), bit, e.constant(0))));
  },
});

export const PEXT = insn('PEXT', {
  rows: [row('VEX.LZ.F3.0F38 F5', 'Gy,By,Ey')],
  body(e, o) {
    const source = o.read(1);
    o.write(0, eachMaskBit(e, o.read(2), (bit, place) => e.select(e.nez(e.and(source, bit)), place, e.constant(0))));
  },
});

const countOf = (e: Emit, o: Operands) => e.and(o.read(2), e.constant(o.bits - 1));

export const RORX = insn('RORX', {
  rows: [row('VEX.LZ.F2.0F3A F0', 'Gy,Ey,Ib')],
  body(e, o) {
    const source = o.read(1);
    const count = countOf(e, o);
    o.write(0, o.bits === 64 ? e.op('i64.rotr', source, count) : e.widen(e.op('i32.rotr', e.narrow(source), e.narrow(count))));
  },
});

/** Shifts that leave the flags alone. */
function flaglessShift(name: string, prefix: string, shift: (e: Emit, o: Operands, count: Value) => Value): Insn {
  return insn(name, { rows: [row(`VEX.LZ.${prefix}.0F38 F7`, 'Gy,Ey,By')], body: (e, o) => o.write(0, shift(e, o, countOf(e, o))) });
}

export const SHLX = flaglessShift('SHLX', '66', (e, o, count) => e.shl(o.read(1), count));
export const SHRX = flaglessShift('SHRX', 'F2', (e, o, count) => e.shrU(o.read(1), count));
export const SARX = flaglessShift('SARX', 'F3', (e, o, count) => e.shrS(o.readSigned(1), count));

export const BIT_MANIPULATION = [ANDN, BLSR, BLSMSK, BLSI, BEXTR, BZHI, MULX, PDEP, PEXT, RORX, SHLX, SHRX, SARX];
