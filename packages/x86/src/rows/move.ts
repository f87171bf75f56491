import { insn, row } from '../insn.ts';

export const MOV = insn('MOV', {
  rows: [
    row('88', 'Eb,Gb'),
    row('89', 'Ev,Gv'),
    row('8A', 'Gb,Eb'),
    row('8B', 'Gv,Ev'),
    row('A0', 'AL,Ob'),
    row('A1', 'rAX,Ov'),
    row('A2', 'Ob,AL'),
    row('A3', 'Ov,rAX'),
    row('B0+r', 'Zb,Ib'),
    row('B8+r', 'Zv,Iv'),
    row('C6 /0', 'Eb,Ib'),
    row('C7 /0', 'Ev,Iz'),
  ],
  body: (_, o) => o.write(0, o.read(1)),
});

export const MOVZX = insn('MOVZX', { rows: [row('0F B6', 'Gv,Eb'), row('0F B7', 'Gv,Ew')], body: (_, o) => o.write(0, o.read(1)) });
export const MOVSX = insn('MOVSX', { rows: [row('0F BE', 'Gv,Eb'), row('0F BF', 'Gv,Ew')], body: (_, o) => o.write(0, o.readSigned(1)) });
export const MOVSXD = insn('MOVSXD', { rows: [row('63', 'Gv,Ez', { only64: true })], body: (_, o) => o.write(0, o.readSigned(1)) });

export const MOVBE = insn('MOVBE', {
  rows: [row('NP 0F 38 F0', 'Gv,Mv'), row('66 0F 38 F0', 'Gv,Mv'), row('NP 0F 38 F1', 'Mv,Gv'), row('66 0F 38 F1', 'Mv,Gv')],
  body(e, o) {
    const value = o.read(1);
    let r = e.constant(0);
    for (let index = 0; index < o.bits / 8; index++) {
      const byte = e.and(e.shrU(value, e.constant(index * 8)), e.constant(0xff));
      r = e.or(r, e.shl(byte, e.constant(o.bits - 8 - index * 8)));
    }
    o.write(0, r);
  },
});

export const LEA = insn('LEA', { rows: [row('8D', 'Gv,M')], body: (_, o) => o.write(0, o.offset(1)) });

export const XCHG = insn('XCHG', {
  rows: [row('86', 'Eb,Gb', { lock: 'implied' }), row('87', 'Ev,Gv', { lock: 'implied' }), row('90+r', 'Zv,rAX')],
  body(_, o) {
    const a = o.read(0);
    const b = o.read(1);
    o.write(0, b);
    o.write(1, a);
  },
});

/** 90 exchanges nothing: the one form of XCHG that does not clear the upper half (SDM vol. 2B, "NOP"). */
export const NOP = insn('NOP', {
  rows: [
    row('90'), row('0F 1F /0', 'Ev'),
    // Hints that are not this processor's do nothing, and touch no memory (SDM vol. 2D table A-3).
    ...['0D', '18', '19', '1A', '1B', '1C', '1D', '1E', '1F'].map((opcode) => row(`0F ${opcode}`, 'Ev,Gv')),
  ],
  body: () => {},
});
export const PAUSE = insn('PAUSE', { rows: [row('F3 90')], body: (e) => e.pause() });
/** Control-flow enforcement, which is never on here: both do nothing then (SDM vol. 2A "ENDBR64", vol. 2B "RDSSPD"). */
const CONTROL_FLOW = [
  insn('ENDBR64', { rows: [row('F3 0F 1E FA')], body: () => {} }),
  insn('ENDBR32', { rows: [row('F3 0F 1E FB')], body: () => {} }),
  insn('RDSSP', { rows: [row('F3 0F 1E /1', 'Ry')], body: () => {} }),
];

export const CMOV = Array.from({ length: 16 }, (_, code) =>
  insn(`CMOV${conditionName(code)}`, {
    rows: [row(`0F ${(0x40 + code).toString(16).toUpperCase()}`, 'Gv,Ev')],
    // The source is read either way, and a 32-bit destination loses its upper half either way.
    body: (e, o) => {
      const source = o.read(1);
      o.write(0, e.select(e.condition(code), source, o.read(0)));
    },
  }),
);

const SETCC = Array.from({ length: 16 }, (_, code) =>
  insn(`SET${conditionName(code)}`, {
    rows: [row(`0F ${(0x90 + code).toString(16).toUpperCase()}`, 'Eb')],
    body: (e, o) => o.write(0, e.widen(e.condition(code))),
  }),
);

/** Condition suffixes, SDM vol. 1 appendix B. */
export function conditionName(code: number): string {
  return ['O', 'NO', 'B', 'AE', 'E', 'NE', 'BE', 'A', 'S', 'NS', 'P', 'NP', 'L', 'GE', 'LE', 'G'][code]!;
}

/** CBW, CWDE, CDQE: rAX's lower half with its sign. */
export const CBW = insn('CBW', {
  rows: [row('98', 'rAX')],
  body(e, o) {
    o.write(0, e.signExtend(e.register(0), o.bits / 2));
  },
});

/** CWD, CDQ, CQO: rDX filled with rAX's sign. */
export const CWD = insn('CWD', {
  rows: [row('99', 'rDX,rAX')],
  body: (e, o) => o.write(0, e.shrS(o.readSigned(1), e.constant(63))),
});

export const XLAT = insn('XLAT', {
  rows: [row('D7', '', { perAddressSize: true })],
  body(e, o) {
    const offset = e.zeroExtend(e.add(e.register(3), e.register(0, 8)), o.addressBits);
    e.setRegister(0, e.load('data', offset, 8), 8);
  },
});

export const MOVE = [MOV, MOVZX, MOVSX, MOVSXD, MOVBE, LEA, XCHG, NOP, PAUSE, ...CONTROL_FLOW, ...CMOV, ...SETCC, CBW, CWD, XLAT];
