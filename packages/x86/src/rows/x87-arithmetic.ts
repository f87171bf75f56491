/** FADD, FSUB, FMUL, FDIV and the comparisons in all their forms. */
import type { Emit, Operands } from '../emit.ts';
import { insn, type Insn, row } from '../insn.ts';
import { begin } from './x87-begin.ts';

type Body = (e: Emit, o: Operands) => void;

/** ModRM.reg of D8 and DA, by which helpers know the operation; the reversed ones change places in DC and DE. */
const OPERATIONS = [
  { name: 'ADD', code: 0, reversed: 0 },
  { name: 'MUL', code: 1, reversed: 1 },
  { name: 'SUB', code: 4, reversed: 5 },
  { name: 'SUBR', code: 5, reversed: 4 },
  { name: 'DIV', code: 6, reversed: 7 },
  { name: 'DIVR', code: 7, reversed: 6 },
] as const;

const memory = (code: number, floatBits: number): Body => (e, o) => {
  begin(e);
  const value = floatBits ? o.read(0) : o.readSigned(0);
  e.helper('x87-arithmetic-memory', e.constant(code), value, e.constant(floatBits), o.offset(0));
};

/** ST(0) = ST(0) op ST(i). */
const toTop = (code: number): Body => (e, o) => {
  begin(e);
  e.helper('x87-arithmetic', e.constant(code), e.constant(0), o.number(0), e.constant(0));
};

/** ST(i) = ST(i) op ST(0). */
const fromTop = (code: number, pops: number): Body => (e, o) => {
  begin(e);
  e.helper('x87-arithmetic', e.constant(code), o.number(0), e.constant(0), e.constant(pops));
};

const ARITHMETIC: Insn[] = OPERATIONS.flatMap(({ name, code, reversed }) => [
  insn(`F${name}`, { rows: [row(`D8 /${code}`, 'Md')], body: memory(code, 32) }),
  insn(`F${name}`, { rows: [row(`DC /${code}`, 'Mq')], body: memory(code, 64) }),
  insn(`FI${name}`, { rows: [row(`DA /${code}`, 'Md'), row(`DE /${code}`, 'Mw')], body: memory(code, 0) }),
  insn(`F${name}`, { rows: [row(`D8 /${code}`, 'Tt')], body: toTop(code) }),
  insn(`F${name}`, { rows: [row(`DC /${reversed}`, 'Tt')], body: fromTop(code, 0) }),
  insn(`F${name}P`, { rows: [row(`DE /${reversed}`, 'Tt')], body: fromTop(code, 1) }),
]);

const compareMemory = (floatBits: number, pops: number): Body => (e, o) => {
  begin(e);
  const value = floatBits ? o.read(0) : o.readSigned(0);
  e.helper('x87-compare-memory', value, e.constant(floatBits), e.constant(pops), o.offset(0));
};

const compareRegister = (quietly: number, pops: number): Body => (e, o) => {
  begin(e);
  e.helper('x87-compare', o.number(0), e.constant(quietly), e.constant(pops));
};

const compareBoth = (quietly: number): Body => (e) => {
  begin(e);
  e.helper('x87-compare', e.constant(1), e.constant(quietly), e.constant(2));
};

const compareFlags = (quietly: number, pops: number): Body => (e, o) => {
  begin(e);
  const order = e.helper('x87-compare-flags', o.number(0), e.constant(quietly), e.constant(pops));
  const clear = e.constant32(0);
  e.flagsSet({ ZF: e.bit(order, 0), PF: e.bit(order, 1), CF: e.bit(order, 2), OF: clear, SF: clear, AF: clear });
};

/** DC /2, DC /3 and DE /2 with a register are the undocumented FCOM2, FCOMP3 and FCOMP5, which every processor has. */
const COMPARISONS: Insn[] = [
  insn('FCOM', { rows: [row('D8 /2', 'Md')], body: compareMemory(32, 0) }),
  insn('FCOM', { rows: [row('DC /2', 'Mq')], body: compareMemory(64, 0) }),
  insn('FCOM', { rows: [row('D8 /2', 'Tt'), row('DC /2', 'Tt')], body: compareRegister(0, 0) }),
  insn('FCOMP', { rows: [row('D8 /3', 'Md')], body: compareMemory(32, 1) }),
  insn('FCOMP', { rows: [row('DC /3', 'Mq')], body: compareMemory(64, 1) }),
  insn('FCOMP', { rows: [row('D8 /3', 'Tt'), row('DC /3', 'Tt'), row('DE /2', 'Tt')], body: compareRegister(0, 1) }),
  insn('FCOMPP', { rows: [row('DE D9')], body: compareBoth(0) }),
  insn('FICOM', { rows: [row('DA /2', 'Md'), row('DE /2', 'Mw')], body: compareMemory(0, 0) }),
  insn('FICOMP', { rows: [row('DA /3', 'Md'), row('DE /3', 'Mw')], body: compareMemory(0, 1) }),
  insn('FUCOM', { rows: [row('DD /4', 'Tt')], body: compareRegister(1, 0) }),
  insn('FUCOMP', { rows: [row('DD /5', 'Tt')], body: compareRegister(1, 1) }),
  insn('FUCOMPP', { rows: [row('DA E9')], body: compareBoth(1) }),
  insn('FCOMI', { rows: [row('DB /6', 'Tt')], body: compareFlags(0, 0) }),
  insn('FCOMIP', { rows: [row('DF /6', 'Tt')], body: compareFlags(0, 1) }),
  insn('FUCOMI', { rows: [row('DB /5', 'Tt')], body: compareFlags(1, 0) }),
  insn('FUCOMIP', { rows: [row('DF /5', 'Tt')], body: compareFlags(1, 1) }),
];

export const X87_ARITHMETIC: Insn[] = [...ARITHMETIC, ...COMPARISONS];
