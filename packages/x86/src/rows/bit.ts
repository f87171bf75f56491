import type { Emit, Operands, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';

type BitChange = (e: Emit, value: Value, mask: Value) => Value;

/** A register offset may name any bit of memory around the operand (SDM vol. 2A, "BT"). */
function bitTest(e: Emit, o: Operands, change?: BitChange): void {
  const offset = o.readSigned(1);
  if (o.isMemory(0) && o.sizeBits(1) > 8) {
    const unitShift = e.constant(Math.log2(o.bits));
    o.displace(0, e.mul(e.shrS(offset, unitShift), e.constant(o.bits / 8)));
  }
  const value = o.read(0);
  const position = e.and(offset, e.constant(o.bits - 1));
  const selected = e.narrow(e.and(e.shrU(value, position), e.constant(1)));
  if (change) o.write(0, change(e, value, e.shl(e.constant(1), position)));
  e.flagsSet({ CF: selected });
}

const bitRows = (opcode: string, extension: number, lock: boolean) => [
  row(`0F ${opcode}`, 'Ev,Gv', { lock }),
  row(`0F BA /${extension}`, 'Ev,Ib', { lock }),
];

export const BT = insn('BT', { rows: bitRows('A3', 4, false), body: (e, o) => bitTest(e, o) });
export const BTS = insn('BTS', { rows: bitRows('AB', 5, true), body: (e, o) => bitTest(e, o, (_, value, mask) => e.or(value, mask)) });
export const BTR = insn('BTR', { rows: bitRows('B3', 6, true), body: (e, o) => bitTest(e, o, (_, value, mask) => e.and(value, e.not(mask))) });
export const BTC = insn('BTC', { rows: bitRows('BB', 7, true), body: (e, o) => bitTest(e, o, (_, value, mask) => e.xor(value, mask)) });

/** A source of zero leaves the destination as it is, on AMD by the manual and on Intel in fact; only ZF is defined. */
function bitScan(e: Emit, o: Operands, find: (value: Value) => Value): void {
  const source = o.read(1);
  e.if(e.nez(source), () => o.write(0, find(source)));
  e.flagsSet({ ZF: e.eqz(source) });
}

export const BSF = insn('BSF', {
  rows: [row('NP 0F BC', 'Gv,Ev'), row('66 0F BC', 'Gv,Ev'), row('F2 0F BC', 'Gv,Ev')],
  body: (e, o) => bitScan(e, o, (source) => e.op('i64.ctz', source)),
});

export const BSR = insn('BSR', {
  rows: [row('NP 0F BD', 'Gv,Ev'), row('66 0F BD', 'Gv,Ev'), row('F2 0F BD', 'Gv,Ev')],
  body: (e, o) => bitScan(e, o, (source) => e.sub(e.constant(63), e.op('i64.clz', source))),
});

/** TZCNT and LZCNT: a processor without them runs BSF and BSR, since it ignores the F3. */
export const TZCNT = insn('TZCNT', {
  rows: [row('F3 0F BC', 'Gv,Ev')],
  body(e, o) {
    const source = o.read(1);
    const r = e.select(e.eqz(source), e.constant(o.bits), e.op('i64.ctz', source));
    o.write(0, r);
    e.flagsSet({ CF: e.eqz(source), ZF: e.eqz(r) });
  },
});

export const LZCNT = insn('LZCNT', {
  rows: [row('F3 0F BD', 'Gv,Ev')],
  body(e, o) {
    const source = o.read(1);
    const r = e.sub(e.op('i64.clz', source), e.constant(64 - o.bits));
    o.write(0, r);
    e.flagsSet({ CF: e.eqz(source), ZF: e.eqz(r) });
  },
});

export const POPCNT = insn('POPCNT', {
  rows: [row('F3 0F B8', 'Gv,Ev')],
  body(e, o) {
    const source = o.read(1);
    o.write(0, e.op('i64.popcnt', source));
    const no = e.constant32(0);
    e.flagsSet({ ZF: e.eqz(source), CF: no, PF: no, AF: no, SF: no, OF: no });
  },
});

export const BSWAP = insn('BSWAP', {
  rows: [row('0F C8+r', 'Zv')],
  body(e, o) {
    const value = o.read(0);
    const swapHalves = (v: Value, shift: number, mask: bigint) =>
      e.or(e.and(e.shrU(v, e.constant(shift)), e.constant(mask)), e.shl(e.and(v, e.constant(mask)), e.constant(shift)));
    const bytes = swapHalves(swapHalves(value, 8, 0x00ff00ff00ff00ffn), 16, 0x0000ffff0000ffffn);
    if (o.bits === 64) o.write(0, e.op('i64.rotl', bytes, e.constant(32)));
    // A 16-bit BSWAP is undefined (SDM vol. 2A, "BSWAP"); processors give zero.
    else o.write(0, o.bits === 32 ? bytes : e.constant(0));
  },
});

export const BIT = [BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT, BSWAP];
