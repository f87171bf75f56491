import type { Emit, IntegerBits, Operands, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
const options = { repeat: true, perAddressSize: true } as const;
const DIRECTION_BIT = 10;

/** Elements one run of a repeated instruction handles before it lets interrupts in; it then resumes at itself. */
const ELEMENTS_AT_ONCE = 4096;

const index = (e: Emit, o: Operands, register: number) => e.zeroExtend(e.register(register), o.addressBits);

function advance(e: Emit, o: Operands, register: number, step: Value): void {
  e.setRegister(register, e.add(index(e, o, register), step), o.addressBits);
}

/** +size or -size as RFLAGS.DF says. */
function stepOf(e: Emit, bits: IntegerBits): Value {
  const size = bits / 8;
  return e.select(e.bit(e.state('systemFlags'), DIRECTION_BIT), e.constant(-size), e.constant(size));
}

/**
 * Runs one element, or with a repeat prefix as many as rCX says. Registers move after each element, so that a fault or
 * an interrupt in the middle finds them true (SDM vol. 2B, "REP"). `element` returns the flag test that goes on.
 */
function repeated(e: Emit, o: Operands, element: (step: Value) => void, compares: boolean): void {
  const step = stepOf(e, o.bits);
  if (o.repeat === 0) {
    element(step);
    return;
  }
  const budget = e.variable(e.constant32(ELEMENTS_AT_ONCE));
  const more = e.variable(e.nez(index(e, o, RCX)));
  e.if(more.get(), () => {
    e.loopWhile(() => {
      element(step);
      const left = e.zeroExtend(e.sub(e.register(RCX), e.constant(1)), o.addressBits);
      e.setRegister(RCX, left, o.addressBits);
      let again = e.nez(left);
      if (compares) {
        const zero = e.flag('ZF');
        again = e.op('i32.and', again, o.repeat === 0xf3 ? zero : e.op('i32.eqz', zero));
      }
      more.set(again);
      budget.set(e.op('i32.sub', budget.get(), e.constant32(1)));
      return e.op('i32.and', again, e.op('i32.ne', budget.get(), e.constant32(0)));
    });
    e.if(more.get(), () => e.jump(e.state('rip')));
  });
}

export const MOVS = insn('MOVS', {
  rows: [row('A4', 'AL', options), row('A5', 'rAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      const value = e.load('data', index(e, o, RSI), o.bits);
      e.store('ES', index(e, o, RDI), value, o.bits);
      advance(e, o, RSI, step);
      advance(e, o, RDI, step);
    }, false);
  },
});

export const STOS = insn('STOS', {
  rows: [row('AA', 'AL', options), row('AB', 'rAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      e.store('ES', index(e, o, RDI), e.register(0), o.bits);
      advance(e, o, RDI, step);
    }, false);
  },
});

export const LODS = insn('LODS', {
  rows: [row('AC', 'AL', options), row('AD', 'rAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      e.setRegister(0, e.load('data', index(e, o, RSI), o.bits), o.bits);
      advance(e, o, RSI, step);
    }, false);
  },
});

export const SCAS = insn('SCAS', {
  rows: [row('AE', 'AL', options), row('AF', 'rAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      const b = e.signExtend(e.load('ES', index(e, o, RDI), o.bits), o.bits);
      const a = e.signExtend(e.register(0), o.bits);
      e.flagsSub(a, b, e.signExtend(e.sub(a, b), o.bits));
      advance(e, o, RDI, step);
    }, true);
  },
});

export const CMPS = insn('CMPS', {
  rows: [row('A6', 'AL', options), row('A7', 'rAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      const a = e.signExtend(e.load('data', index(e, o, RSI), o.bits), o.bits);
      const b = e.signExtend(e.load('ES', index(e, o, RDI), o.bits), o.bits);
      e.flagsSub(a, b, e.signExtend(e.sub(a, b), o.bits));
      advance(e, o, RSI, step);
      advance(e, o, RDI, step);
    }, true);
  },
});

/** INS and OUTS: ports by string. The write is probed first, since a port read cannot be undone. */
export const INS = insn('INS', {
  system: true,
  rows: [row('6C', 'AL', options), row('6D', 'eAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      const at = index(e, o, RDI);
      e.helper('check-port', e.register(2, 16), e.constant(o.bits));
      e.store('ES', at, e.load('ES', at, o.bits), o.bits);
      const value = e.helper('port-in', e.register(2, 16), e.constant(o.bits));
      e.store('ES', at, value, o.bits);
      advance(e, o, RDI, step);
    }, false);
  },
});

export const OUTS = insn('OUTS', {
  system: true,
  rows: [row('6E', 'AL', options), row('6F', 'eAX', options)],
  body(e, o) {
    repeated(e, o, (step) => {
      e.helper('check-port', e.register(2, 16), e.constant(o.bits));
      const value = e.load('data', index(e, o, RSI), o.bits);
      e.helper('port-out', e.register(2, 16), value, e.constant(o.bits));
      advance(e, o, RSI, step);
    }, false);
  },
});

export const STRING = [MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS];
