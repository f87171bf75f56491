/** Control instructions: those that wait for pending exceptions, those that do not, and FXSAVE and FXRSTOR. */
import type { Emit, Operands } from '../emit.ts';
import { insn, type Insn, row } from '../insn.ts';
import { quickly, waitPending } from './x87-begin.ts';

type Body = (e: Emit, o: Operands) => void;

const beginWaiting = (e: Emit): void => void e.helper('x87-begin-control');
const beginNoWait = (e: Emit): void => void e.helper('x87-begin-no-wait');

const free = (pops: number): Body => (e, o) => {
  beginWaiting(e);
  e.helper('x87-free', o.number(0), e.constant(pops));
};

const readWord = (name: 'control' | 'status'): Body => (e, o) => {
  const word = e.variable(e.constant(0));
  const found = e.x87(name);
  e.rarely(e.eqz(found), () => {
    beginNoWait(e);
    word.set(e.helper(`x87-${name}`));
  });
  e.if(found, () => word.set(e.x87Stored('value')));
  o.write(0, word.get());
};

/** The image's format follows the operand size. */
const environment = (helper: string, begin: (e: Emit) => void, purpose?: 'write'): Body => (e, o) => {
  begin(e);
  e.helper(helper, o.linear(0, purpose), e.constant(o.bits));
};

/** @param wide REX.W: instruction and data pointer have 64 bits in the area */
const extended = (helper: string, wide: number, purpose?: 'write'): Body => (e, o) => {
  beginNoWait(e);
  e.helper(helper, o.linear(0, purpose), e.constant(wide));
};

export const X87_CONTROL: Insn[] = [
  insn('FWAIT', { rows: [row('9B')], body: (e) => void e.helper('x87-wait') }),
  insn('FNOP', { rows: [row('D9 D0')], body: beginWaiting }),
  // FENI, FDISI and FSETPM of the 8087 and the 80287: without effect since (SDM vol. 3B, "Architecture Compatibility").
  insn('FNENI', { rows: [row('DB E0')], body: beginNoWait }),
  insn('FNDISI', { rows: [row('DB E1')], body: beginNoWait }),
  insn('FNSETPM', { rows: [row('DB E4')], body: beginNoWait }),
  insn('FFREE', { rows: [row('DD /0', 'Tt')], body: free(0) }),
  insn('FFREEP', { rows: [row('DF /0', 'Tt')], body: free(1) }),
  insn('FNINIT', {
    rows: [row('DB E3')],
    body(e) {
      beginNoWait(e);
      e.helper('x87-initialize');
    },
  }),
  insn('FNCLEX', {
    rows: [row('DB E2')],
    body(e) {
      beginNoWait(e);
      e.helper('x87-clear-exceptions');
    },
  }),
  insn('FLDCW', {
    rows: [row('D9 /5', 'Mw')],
    body(e, o) {
      waitPending(e, 'x87-begin-control');
      const value = o.read(0);
      quickly(e, 'set-control', [value], () => {
        beginWaiting(e);
        e.helper('x87-set-control', value);
      });
    },
  }),
  insn('FNSTCW', { rows: [row('D9 /7', 'Mw')], body: readWord('control') }),
  insn('FNSTSW', { rows: [row('DD /7', 'Mw'), row('DF E0', 'AX')], body: readWord('status') }),
  insn('FLDENV', { rows: [row('D9 /4', 'M')], body: environment('x87-load-environment', beginWaiting) }),
  insn('FNSTENV', { rows: [row('D9 /6', 'M')], body: environment('x87-store-environment', beginNoWait, 'write') }),
  insn('FRSTOR', { rows: [row('DD /4', 'M')], body: environment('x87-restore', beginWaiting) }),
  insn('FNSAVE', { rows: [row('DD /6', 'M')], body: environment('x87-save', beginNoWait, 'write') }),
  insn('FXSAVE', { rows: [row('NP W0 0F AE /0', 'M')], body: extended('x87-fxsave', 0, 'write') }),
  insn('FXSAVE64', { rows: [row('NP REX.W 0F AE /0', 'M')], body: extended('x87-fxsave', 1, 'write') }),
  insn('FXRSTOR', { rows: [row('NP W0 0F AE /1', 'M')], body: extended('x87-fxrstor', 0) }),
  insn('FXRSTOR64', { rows: [row('NP REX.W 0F AE /1', 'M')], body: extended('x87-fxrstor', 1) }),
];
