/** x87 (SDM vol. 1 §8, vol. 2A "F…"). The arithmetic is in the engine's helpers named `x87-…`; bodies bring the operands. */
import type { Emit, Operands, Value, X87Quick } from '../emit.ts';
import { insn, type Insn, row } from '../insn.ts';
import { X87_ARITHMETIC } from './x87-arithmetic.ts';
import { begin, quickly, waitPending } from './x87-begin.ts';
import { X87_CONTROL } from './x87-control.ts';

type Body = (e: Emit, o: Operands) => void;

const loadFloat = (bits: 32 | 64): Body => (e, o) => {
  waitPending(e);
  const [value, offset] = [o.read(0), o.offset(0)];
  quickly(e, `load.${bits}`, [e.state('rip'), value, offset], () => {
    begin(e);
    e.helper('x87-load-float', value, e.constant(bits), offset);
  });
};
const loadInteger: Body = (e, o) => {
  waitPending(e);
  const [value, offset] = [o.readSigned(0), o.offset(0)];
  quickly(e, 'load.integer', [e.state('rip'), value, offset], () => {
    begin(e);
    e.helper('x87-load-integer', value, offset);
  });
};
const memoryHelper = (name: string, purpose?: 'write'): Body => (e, o) => {
  begin(e);
  e.helper(name, o.linear(0, purpose), o.offset(0));
};
/** Whether ten bytes at a linear address lie on one page, so that both parts of an extended number fault, or none. */
const onOnePage = (e: Emit, linear: Value): Value => e.ltU(e.and(linear, e.constant(0xfff)), e.constant(0x1000 - 9));

const loadExtended: Body = (e, o) => {
  waitPending(e);
  const [linear, offset] = [o.linear(0), o.offset(0)];
  const done = e.variable(e.constant32(0));
  e.if(onOnePage(e, linear), () => {
    const significand = e.load('data', offset, 64);
    const head = e.load('data', e.add(offset, e.constant(8)), 16);
    done.set(e.x87('load.extended', e.state('rip'), significand, head, offset));
  });
  e.rarely(e.eqz(done.get()), () => {
    begin(e);
    e.helper('x87-load-extended', linear, offset);
  });
};
const storeExtended: Body = (e, o) => {
  waitPending(e);
  const [linear, offset] = [o.linear(0, 'write'), o.offset(0)];
  const found = e.op('i32.and', onOnePage(e, linear), e.x87('store.extended'));
  e.rarely(e.eqz(found), () => {
    begin(e);
    e.helper('x87-store-extended', linear, offset);
  });
  e.if(found, () => {
    e.store('data', offset, e.x87Stored('value'), 64);
    e.store('data', e.add(offset, e.constant(8)), e.x87Stored('head'), 16);
    e.x87('stored', e.state('rip'), offset, e.constant(1));
  });
};
const storeFloat = (bits: 32 | 64, pops: number): Body => (e, o) =>
  store(e, o, pops, e.x87(`store.${bits}`), (linear, offset) => void e.helper('x87-store-float', linear, e.constant(bits), e.constant(pops), offset));
const storeInteger = (bits: number, pops: number, truncates = 0): Body => (e, o) =>
  store(e, o, pops, e.x87('store.integer', e.constant(bits), e.constant(truncates)), (linear, offset) =>
    void e.helper('x87-store-integer', linear, e.constant(bits), e.constant(pops), e.constant(truncates), offset));

/** Stores what the ordinary case found, and only then changes the x87's state; or calls `helper`. */
function store(e: Emit, o: Operands, pops: number, found: Value, helper: (linear: Value, offset: Value) => void): void {
  waitPending(e);
  const [linear, offset] = [o.linear(0), o.offset(0)];
  e.rarely(e.eqz(found), () => {
    begin(e);
    helper(linear, offset);
  });
  e.if(found, () => {
    o.write(0, e.x87Stored('value'));
    e.x87('stored', e.state('rip'), offset, e.constant(pops));
  });
}
const storeRegister = (pops: number): Body => (e, o) => {
  const index = o.number(0);
  quickly(e, 'store.register', [e.state('rip'), index, e.constant(pops)], () => {
    begin(e);
    e.helper('x87-store-register', index, e.constant(pops));
  });
};
/** A helper that takes nothing or constants. */
const fixed = (name: string, ...args: number[]): Body => (e) => {
  begin(e);
  e.helper(name, ...args.map((value) => e.constant(value)));
};

const one = (name: string, encoding: string, operands: string, body: Body): Insn => insn(name, { rows: [row(encoding, operands)], body });

const MOVES: Insn[] = [
  one('FLD', 'D9 /0', 'Md', loadFloat(32)),
  one('FLD', 'DD /0', 'Mq', loadFloat(64)),
  one('FLD', 'DB /5', 'Mt', loadExtended),
  one('FLD', 'D9 /0', 'Tt', (e, o) => {
    const index = o.number(0);
    quickly(e, 'load.register', [e.state('rip'), index], () => {
      begin(e);
      e.helper('x87-load-register', index);
    });
  }),
  one('FILD', 'DF /0', 'Mw', loadInteger),
  one('FILD', 'DB /0', 'Md', loadInteger),
  one('FILD', 'DF /5', 'Mq', loadInteger),
  one('FBLD', 'DF /4', 'Mt', memoryHelper('x87-load-bcd')),
  one('FST', 'D9 /2', 'Md', storeFloat(32, 0)),
  one('FST', 'DD /2', 'Mq', storeFloat(64, 0)),
  one('FST', 'DD /2', 'Tt', storeRegister(0)),
  one('FSTP', 'D9 /3', 'Md', storeFloat(32, 1)),
  one('FSTP', 'DD /3', 'Mq', storeFloat(64, 1)),
  one('FSTP', 'DB /7', 'Mt', storeExtended),
  // DF /2, DF /3 and D9 /3 are the undocumented FSTP8, FSTP9 and FSTP1, which every processor has.
  insn('FSTP', { rows: [row('DD /3', 'Tt'), row('DF /2', 'Tt'), row('DF /3', 'Tt')], body: storeRegister(1) }),
  one('FSTP1', 'D9 /3', 'Tt', (e, o) => {
    begin(e);
    e.helper('x87-store-register-quietly', o.number(0));
  }),
  one('FIST', 'DF /2', 'Mw', storeInteger(16, 0)),
  one('FIST', 'DB /2', 'Md', storeInteger(32, 0)),
  one('FISTP', 'DF /3', 'Mw', storeInteger(16, 1)),
  one('FISTP', 'DB /3', 'Md', storeInteger(32, 1)),
  one('FISTP', 'DF /7', 'Mq', storeInteger(64, 1)),
  one('FISTTP', 'DF /1', 'Mw', storeInteger(16, 1, 1)),
  one('FISTTP', 'DB /1', 'Md', storeInteger(32, 1, 1)),
  one('FISTTP', 'DD /1', 'Mq', storeInteger(64, 1, 1)),
  one('FBSTP', 'DF /6', 'Mt', memoryHelper('x87-store-bcd', 'write')),
  // DD and DF /1 are the undocumented FXCH4 and FXCH7.
  insn('FXCH', {
    rows: [row('D9 /1', 'Tt'), row('DD /1', 'Tt'), row('DF /1', 'Tt')],
    body(e, o) {
      const index = o.number(0);
      quickly(e, 'exchange', [e.state('rip'), index], () => {
        begin(e);
        e.helper('x87-exchange', index);
      });
    },
  }),
];

const QUICK_CONSTANTS: Readonly<Record<string, X87Quick>> = { FLD1: 'load.one', FLDZ: 'load.zero' };

const CONSTANTS: Insn[] = ['FLD1', 'FLDL2T', 'FLDL2E', 'FLDPI', 'FLDLG2', 'FLDLN2', 'FLDZ'].map((name, index) => {
  const load = fixed('x87-load-constant', index);
  const quick = QUICK_CONSTANTS[name];
  const body: Body = quick ? (e, o) => quickly(e, quick, [e.state('rip')], () => load(e, o)) : load;
  return one(name, `D9 ${(0xe8 + index).toString(16).toUpperCase()}`, '', body);
});

function moveIf(name: string, encoding: string, condition: (e: Emit) => Value): Insn {
  return one(name, encoding, 'Tt', (e, o) => {
    const [index, moves] = [o.number(0), e.widen(condition(e))];
    quickly(e, 'move', [e.state('rip'), index, moves], () => {
      begin(e);
      e.helper('x87-move-if', index, moves);
    });
  });
}

const belowOrEqual = (e: Emit): Value => e.op('i32.or', e.flag('CF'), e.flag('ZF'));
const not = (condition: (e: Emit) => Value) => (e: Emit): Value => e.op('i32.eqz', condition(e));

const CONDITIONAL_MOVES: Insn[] = [
  moveIf('FCMOVB', 'DA /0', (e) => e.flag('CF')),
  moveIf('FCMOVE', 'DA /1', (e) => e.flag('ZF')),
  moveIf('FCMOVBE', 'DA /2', belowOrEqual),
  moveIf('FCMOVU', 'DA /3', (e) => e.flag('PF')),
  moveIf('FCMOVNB', 'DB /0', not((e) => e.flag('CF'))),
  moveIf('FCMOVNE', 'DB /1', not((e) => e.flag('ZF'))),
  moveIf('FCMOVNBE', 'DB /2', not(belowOrEqual)),
  moveIf('FCMOVNU', 'DB /3', not((e) => e.flag('PF'))),
];

const changeSign = (clears: 0 | 1): Body => (e, o) =>
  quickly(e, 'sign', [e.state('rip'), e.constant(clears)], () => fixed('x87-sign', clears)(e, o));

/** One-operand functions on ST(0), and those on ST(0) and ST(1) that name no register: second byte after D9. */
const FUNCTIONS: Insn[] = [
  one('FCHS', 'D9 E0', '', changeSign(0)),
  one('FABS', 'D9 E1', '', changeSign(1)),
  one('FTST', 'D9 E4', '', fixed('x87-test')),
  one('FXAM', 'D9 E5', '', fixed('x87-examine')),
  one('F2XM1', 'D9 F0', '', fixed('x87-f2xm1')),
  one('FYL2X', 'D9 F1', '', fixed('x87-fyl2x')),
  one('FPTAN', 'D9 F2', '', fixed('x87-fptan')),
  one('FPATAN', 'D9 F3', '', fixed('x87-fpatan')),
  one('FXTRACT', 'D9 F4', '', fixed('x87-extract')),
  one('FPREM1', 'D9 F5', '', fixed('x87-remainder', 1)),
  one('FDECSTP', 'D9 F6', '', fixed('x87-rotate', -1)),
  one('FINCSTP', 'D9 F7', '', fixed('x87-rotate', 1)),
  one('FPREM', 'D9 F8', '', fixed('x87-remainder', 0)),
  one('FYL2XP1', 'D9 F9', '', fixed('x87-fyl2xp1')),
  one('FSQRT', 'D9 FA', '', fixed('x87-square-root')),
  one('FSINCOS', 'D9 FB', '', fixed('x87-fsincos')),
  one('FRNDINT', 'D9 FC', '', fixed('x87-round-to-integer')),
  one('FSCALE', 'D9 FD', '', fixed('x87-scale')),
  one('FSIN', 'D9 FE', '', fixed('x87-fsin')),
  one('FCOS', 'D9 FF', '', fixed('x87-fcos')),
];

export const X87: Insn[] = [...MOVES, ...CONSTANTS, ...CONDITIONAL_MOVES, ...FUNCTIONS, ...X87_ARITHMETIC, ...X87_CONTROL];
