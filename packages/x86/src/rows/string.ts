import type { Emit, IntegerBits, Operands, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
const options = { repeat: true, perAddressSize: true } as const;
const DIRECTION_BIT = 10;

const index = (e: Emit, o: Operands, register: number) => e.zeroExtend(e.register(register), o.addressBits);

function advance(e: Emit, o: Operands, register: number, step: Value): void {
  e.setRegister(register, e.add(index(e, o, register), step), o.addressBits);
}

/** +size or -size as RFLAGS.DF says. */
function stepOf(e: Emit, bits: IntegerBits): Value {
  const size = bits / 8;
  return e.select(e.bit(e.state('systemFlags'), DIRECTION_BIT), e.constant(-size), e.constant(size));
}

/** Moves many elements at once: of `lengthBytes` as many as it can; the bytes done. */
type Bulk = (lengthBytes: Value) => Value;

/** Instructions that end before the count does, and what is left to do once they ended. */
interface Until {
  /** Runs an element and says whether the next may follow. */
  readonly element: () => Value;
  /** Runs once, after the last element. */
  readonly finish: () => void;
}

interface Repetition {
  readonly pointers: readonly number[];
  /** Registers that lose their upper half to 32-bit addresses before the first element (not in INS and OUTS). */
  readonly truncated?: readonly number[];
  readonly bulk?: Bulk;
}

/**
 * Runs one element, or with a repeat prefix as many as rCX says. Registers move after each step, so that a fault or an
 * interrupt in the middle finds them true (SDM vol. 2B, "REP"). The pointers move with the elements.
 */
function repeated(e: Emit, o: Operands, action: (() => void) | Until, { pointers, truncated = [], bulk }: Repetition): void {
  const step = stepOf(e, o.bits);
  const until = typeof action === 'function' ? undefined : action;
  const one = () => {
    const again = typeof action === 'function' ? action() : action.element();
    for (const pointer of pointers) advance(e, o, pointer, step);
    return again;
  };
  if (o.repeat === 0) {
    one();
    until?.finish();
    return;
  }
  if (o.addressBits === 32) truncateRegisters(e, truncated);
  // A repeated instruction resumes at itself after so many elements.
  const budget = e.variable(e.narrow(e.state('repeatSteps')));
  const more = e.variable(e.nez(index(e, o, RCX)));
  const countDown = (done: Value) => e.setRegister(RCX, e.sub(index(e, o, RCX), done), o.addressBits);
  const oneOf = () => {
    const again = one();
    countDown(e.constant(1));
    return again;
  };
  e.if(more.get(), () => {
    e.loopWhile(() => {
      let again: Value | void = undefined;
      if (bulk && o.addressBits === 64) severalOrOne(e, o, bulk, pointers, countDown, () => void oneOf());
      else again = oneOf();
      const left = e.nez(index(e, o, RCX));
      more.set(again ? e.op('i32.and', left, again) : left);
      budget.set(e.op('i32.sub', budget.get(), e.constant32(1)));
      return e.op('i32.and', more.get(), e.op('i32.ne', budget.get(), e.constant32(0)));
    });
    e.if(more.get(), () => e.jump(e.state('rip')), until?.finish);
  });
}

/**
 * What Intel's processors do to 64-bit registers even if the count is 0 or the first element faults (measured on family
 * 6; AMD's leave them alone).
 */
function truncateRegisters(e: Emit, registers: readonly number[]): void {
  for (const register of registers) e.setRegister(register, e.register(register, 32), 32);
}

/** Many elements where they go forwards over plain memory, else one. */
function severalOrOne(e: Emit, o: Operands, bulk: Bulk, pointers: readonly number[], countDown: (done: Value) => void, one: () => void): void {
  const shift = e.constant(Math.log2(o.bits / 8));
  const done = e.variable(e.constant(0));
  const count = e.register(RCX);
  // A count whose bytes overflow 64 bits has no room in any address space: it goes element by element into its fault.
  const plain = e.op('i32.and', e.eqz(e.bit(e.state('systemFlags'), DIRECTION_BIT)), e.eqz(e.shrU(count, e.constant(48))));
  const forwards = e.op('i32.and', plain, e.ne(e.state('repeatSteps'), e.constant(1)));
  e.if(forwards, () => done.set(bulk(e.shl(count, shift))));
  e.if(
    e.nez(done.get()),
    () => {
      for (const pointer of pointers) advance(e, o, pointer, done.get());
      countDown(e.shrU(done.get(), shift));
    },
    one,
  );
}

export const MOVS = insn('MOVS', {
  rows: [row('A4', 'AL', options), row('A5', 'rAX', options)],
  body(e, o) {
    const bulk = (lengthBytes: Value) => e.copyForward(e.register(RDI), e.register(RSI), lengthBytes, o.bits);
    const move = () => e.store('ES', index(e, o, RDI), e.load('data', index(e, o, RSI), o.bits), o.bits);
    repeated(e, o, move, { pointers: [RSI, RDI], truncated: [RCX, RSI, RDI], bulk });
  },
});

export const STOS = insn('STOS', {
  rows: [row('AA', 'AL', options), row('AB', 'rAX', options)],
  body(e, o) {
    const bulk = (lengthBytes: Value) => e.fillForward(e.register(RDI), e.register(0), lengthBytes, o.bits);
    repeated(e, o, () => e.store('ES', index(e, o, RDI), e.register(0), o.bits), { pointers: [RDI], truncated: [RCX, RDI], bulk });
  },
});

export const LODS = insn('LODS', {
  rows: [row('AC', 'AL', options), row('AD', 'rAX', options)],
  body: (e, o) => repeated(e, o, () => e.setRegister(0, e.load('data', index(e, o, RSI), o.bits), o.bits), { pointers: [RSI], truncated: [RCX] }),
});

/**
 * CMPS and SCAS. The flags change at the end only: after a fault in the middle they are what they were before the
 * instruction (SDM vol. 2B, "REP").
 */
function comparing(e: Emit, o: Operands, pair: () => readonly [first: Value, second: Value], pointers: readonly number[]): void {
  const first = e.variable(e.constant(0));
  const second = e.variable(e.constant(0));
  const element = () => {
    const [a, b] = pair();
    first.set(e.signExtend(a, o.bits));
    second.set(e.signExtend(b, o.bits));
    const equal = e.eq(first.get(), second.get());
    return o.repeat === 0xf3 ? equal : e.eqz(equal);
  };
  const finish = () => {
    const [a, b] = [first.get(), second.get()];
    e.flagsSub(a, b, e.signExtend(e.sub(a, b), o.bits));
  };
  repeated(e, o, { element, finish }, { pointers, truncated: [RCX] });
}

export const SCAS = insn('SCAS', {
  rows: [row('AE', 'AL', options), row('AF', 'rAX', options)],
  body: (e, o) => comparing(e, o, () => [e.register(0), e.load('ES', index(e, o, RDI), o.bits)], [RDI]),
});

export const CMPS = insn('CMPS', {
  rows: [row('A6', 'AL', options), row('A7', 'rAX', options)],
  body(e, o) {
    comparing(e, o, () => {
      // When both would fault, it is the second that processors report.
      const second = e.load('ES', index(e, o, RDI), o.bits);
      return [e.load('data', index(e, o, RSI), o.bits), second];
    }, [RSI, RDI]);
  },
});

/** INS and OUTS: ports by string. The write is probed first, since a port read cannot be undone. */
export const INS = insn('INS', {
  system: true,
  rows: [row('6C', 'AL', options), row('6D', 'eAX', options)],
  body(e, o) {
    repeated(e, o, () => {
      const at = index(e, o, RDI);
      e.helper('check-port', e.register(2, 16), e.constant(o.bits));
      e.store('ES', at, e.load('ES', at, o.bits), o.bits);
      const value = e.helper('port-in', e.register(2, 16), e.constant(o.bits));
      e.store('ES', at, value, o.bits);
    }, { pointers: [RDI] });
  },
});

export const OUTS = insn('OUTS', {
  system: true,
  rows: [row('6E', 'AL', options), row('6F', 'eAX', options)],
  body(e, o) {
    repeated(e, o, () => {
      e.helper('check-port', e.register(2, 16), e.constant(o.bits));
      e.helper('port-out', e.register(2, 16), e.load('data', index(e, o, RSI), o.bits), e.constant(o.bits));
    }, { pointers: [RSI] });
  },
});

export const STRING = [MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS];
