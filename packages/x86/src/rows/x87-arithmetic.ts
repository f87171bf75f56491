/** FADD, FSUB, FMUL, FDIV and the comparisons in all their forms. */
import type { Emit, Operands, Value } from '../emit.ts';
import { insn, type Insn, row } from '../insn.ts';
import { begin, quickly, waitPending } from './x87-begin.ts';

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

const QUICK = { 0: 'add', 1: 'mul', 4: 'sub', 5: 'subr', 6: 'div', 7: 'divr' } as const;
type Code = keyof typeof QUICK;

const memory = (code: Code, floatBits: 0 | 32 | 64): Body => (e, o) => {
  waitPending(e);
  const value = floatBits ? o.read(0) : o.readSigned(0);
  const offset = o.offset(0);
  quickly(e, `${QUICK[code]}.${floatBits}`, [e.state('rip'), value, offset], () => {
    begin(e);
    e.helper('x87-arithmetic-memory', e.constant(code), value, e.constant(floatBits), offset);
  });
};

function registers(e: Emit, code: Code, destination: Value, source: Value, pops: 0 | 1): void {
  quickly(e, `${QUICK[code]}.${pops ? 'pop' : 'register'}`, [e.state('rip'), destination, source], () => {
    begin(e);
    e.helper('x87-arithmetic', e.constant(code), destination, source, e.constant(pops));
  });
}

/** ST(0) = ST(0) op ST(i). */
const toTop = (code: Code): Body => (e, o) => registers(e, code, e.constant(0), o.number(0), 0);

/** ST(i) = ST(i) op ST(0). */
const fromTop = (code: Code, pops: 0 | 1): Body => (e, o) => registers(e, code, o.number(0), e.constant(0), pops);

const ARITHMETIC: Insn[] = OPERATIONS.flatMap(({ name, code, reversed }) => [
  insn(`F${name}`, { rows: [row(`D8 /${code}`, 'Md')], body: memory(code, 32) }),
  insn(`F${name}`, { rows: [row(`DC /${code}`, 'Mq')], body: memory(code, 64) }),
  insn(`FI${name}`, { rows: [row(`DA /${code}`, 'Md'), row(`DE /${code}`, 'Mw')], body: memory(code, 0) }),
  insn(`F${name}`, { rows: [row(`D8 /${code}`, 'Tt')], body: toTop(code) }),
  insn(`F${name}`, { rows: [row(`DC /${reversed}`, 'Tt')], body: fromTop(code, 0) }),
  insn(`F${name}P`, { rows: [row(`DE /${reversed}`, 'Tt')], body: fromTop(code, 1) }),
]);

const compareMemory = (floatBits: 0 | 32 | 64, pops: number): Body => (e, o) => {
  waitPending(e);
  const value = floatBits ? o.read(0) : o.readSigned(0);
  const offset = o.offset(0);
  quickly(e, `compare.${floatBits}`, [e.state('rip'), value, e.constant(pops), offset], () => {
    begin(e);
    e.helper('x87-compare-memory', value, e.constant(floatBits), e.constant(pops), offset);
  });
};

function compareWith(e: Emit, index: Value, quietly: number, pops: number): void {
  quickly(e, 'compare.register', [e.state('rip'), index, e.constant(pops)], () => {
    begin(e);
    e.helper('x87-compare', index, e.constant(quietly), e.constant(pops));
  });
}

const compareRegister = (quietly: number, pops: number): Body => (e, o) => compareWith(e, o.number(0), quietly, pops);

const compareBoth = (quietly: number): Body => (e) => compareWith(e, e.constant(1), quietly, 2);

const compareFlags = (quietly: number, pops: number): Body => (e, o) => {
  const index = o.number(0);
  const order = e.variable(e.widen(e.x87('order', e.state('rip'), index, e.constant(pops))));
  e.rarely(e.eqz(order.get()), () => {
    begin(e);
    order.set(e.helper('x87-compare-flags', index, e.constant(quietly), e.constant(pops)));
  });
  const flags = order.get();
  const clear = e.constant32(0);
  e.flagsSet({ ZF: e.bit(flags, 0), PF: e.bit(flags, 1), CF: e.bit(flags, 2), OF: clear, SF: clear, AF: clear });
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
