import { type Emit, type Operands, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';

const not64 = { not64: true } as const;
const AL = (e: Emit) => e.register(0, 8);

/** DAA and DAS (SDM vol. 2A): the two halves of AL put back into decimal. */
function decimalAdjust(e: Emit, subtract: boolean): void {
  const al = AL(e);
  const lowNibble = e.and(al, e.constant(15));
  const low = e.op('i32.or', e.flag('AF'), e.ltU(e.constant(9), lowNibble));
  const high = e.op('i32.or', e.flag('CF'), e.ltU(e.constant(0x99), al));
  const change = e.add(e.select(low, e.constant(6), e.constant(0)), e.select(high, e.constant(0x60), e.constant(0)));
  const r = e.signExtend(subtract ? e.sub(al, change) : e.add(al, change), 8);
  e.setRegister(0, r, 8);
  const borrow = subtract ? e.op('i32.and', low, e.ltU(al, e.constant(6))) : e.constant32(0);
  e.flagsResult(r, { CF: e.op('i32.or', high, borrow), AF: low, OF: e.constant32(0) });
}

export const DAA = insn('DAA', { rows: [row('27', '', not64)], body: (e) => decimalAdjust(e, false) });
export const DAS = insn('DAS', { rows: [row('2F', '', not64)], body: (e) => decimalAdjust(e, true) });

function asciiAdjust(e: Emit, subtract: boolean): void {
  const adjust = e.op('i32.or', e.flag('AF'), e.ltU(e.constant(9), e.and(AL(e), e.constant(15))));
  const delta = e.select(adjust, e.constant(0x106), e.constant(0));
  const ax = e.register(0, 16);
  const moved = subtract ? e.sub(ax, delta) : e.add(ax, delta);
  e.setRegister(0, e.and(moved, e.constant(0xff0f)), 16);
  e.flagsSet({ CF: adjust, AF: adjust });
}

export const AAA = insn('AAA', { rows: [row('37', '', not64)], body: (e) => asciiAdjust(e, false) });
export const AAS = insn('AAS', { rows: [row('3F', '', not64)], body: (e) => asciiAdjust(e, true) });

export const AAM = insn('AAM', {
  rows: [row('D4', 'Ib', not64)],
  body(e: Emit, o: Operands) {
    const base = e.zeroExtend(o.read(0), 8);
    e.if(e.eqz(base), () => e.fault(Vector.DE));
    const al = AL(e);
    const quotient = e.op('i64.div_u', al, base);
    const remainder = e.op('i64.rem_u', al, base);
    e.setRegister(0, e.or(e.shl(quotient, e.constant(8)), remainder), 16);
    const no = e.constant32(0);
    e.flagsResult(e.signExtend(remainder, 8), { CF: no, OF: no, AF: no });
  },
});

export const AAD = insn('AAD', {
  rows: [row('D5', 'Ib', not64)],
  body(e: Emit, o: Operands) {
    const ah = e.and(e.shrU(e.register(0), e.constant(8)), e.constant(0xff));
    const r = e.and(e.add(AL(e), e.mul(ah, o.read(0))), e.constant(0xff));
    e.setRegister(0, r, 16);
    const no = e.constant32(0);
    e.flagsResult(e.signExtend(r, 8), { CF: no, OF: no, AF: no });
  },
});

const SALC = insn('SALC', {
  rows: [row('D6', '', not64)],
  body: (e) => e.setRegister(0, e.select(e.flag('CF'), e.constant(0xff), e.constant(0)), 8),
});

const BOUND = insn('BOUND', {
  rows: [row('62', 'Gv,Ma', not64)],
  body(e, o) {
    const value = o.readSigned(0);
    // What lies below the lower bound raises #BR before the upper one is read.
    e.if(e.ltS(value, o.readSigned(1)), () => e.fault(Vector.BR));
    o.displace(1, e.constant(o.bits / 8));
    e.if(e.ltS(o.readSigned(1), value), () => e.fault(Vector.BR));
  },
});

export const LEGACY = [DAA, DAS, AAA, AAS, AAM, AAD, SALC, BOUND];
