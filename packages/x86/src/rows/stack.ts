import type { Emit, IntegerBits, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';

const RSP = 4;
const RBP = 5;

/** A stack pointer moved by `delta` bytes, within the stack segment's width outside 64-bit mode. */
function movedStackPointer(e: Emit, pointer: Value, delta: number | Value): Value {
  const moved = e.add(pointer, typeof delta === 'number' ? e.constant(delta) : delta);
  if (e.mode64) return moved;
  const mask = e.state('stackMask');
  return e.or(e.and(pointer, e.not(mask)), e.and(moved, mask));
}

const stackOffset = (e: Emit, pointer: Value) => (e.mode64 ? pointer : e.and(pointer, e.state('stackMask')));

/** Writes below the stack pointer, then moves it: a fault leaves it as it was. */
export function push(e: Emit, value: Value, bits: IntegerBits): void {
  const pointer = movedStackPointer(e, e.register(RSP), -(bits / 8));
  e.store('SS', stackOffset(e, pointer), value, bits);
  e.setRegister(RSP, pointer);
}

/** What lies at the top of the stack, `index` slots up. The pointer stays. */
export function peek(e: Emit, bits: IntegerBits, index = 0): Value {
  return e.load('SS', stackOffset(e, movedStackPointer(e, e.register(RSP), index * (bits / 8))), bits);
}

export function dropStack(e: Emit, bytes: number | Value): void {
  e.setRegister(RSP, movedStackPointer(e, e.register(RSP), bytes));
}

const stack = { default64: true, perMode: true } as const;

export const PUSH = insn('PUSH', {
  rows: [row('50+r', 'Zv', stack), row('FF /6', 'Ev', stack), row('68', 'Iz', stack), row('6A', 'Ib', stack)],
  body: (e, o) => push(e, o.readSigned(0), o.bits),
});

const PUSH_SEGMENT = insn('PUSH', {
  rows: [
    row('0F A0', 'FS', stack),
    row('0F A8', 'GS', stack),
    row('06', 'ES', { ...stack, not64: true }),
    row('0E', 'CS', { ...stack, not64: true }),
    row('16', 'SS', { ...stack, not64: true }),
    row('1E', 'DS', { ...stack, not64: true }),
  ],
  body: (e, o) => (o.bits === 32 ? pushWord(e, o.read(0)) : push(e, o.read(0), o.bits)),
});

/** Takes four bytes and writes two, as newer processors do (SDM vol. 2B, "PUSH"). */
function pushWord(e: Emit, value: Value): void {
  const pointer = movedStackPointer(e, e.register(RSP), -4);
  e.store('SS', stackOffset(e, pointer), value, 16);
  e.setRegister(RSP, pointer);
}

export const POP = insn('POP', {
  rows: [row('58+r', 'Zv', stack), row('8F /0', 'Ev', stack)],
  body(e, o) {
    const value = peek(e, o.bits);
    if (!o.isMemory(0)) {
      dropStack(e, o.bits / 8);
      o.write(0, value);
      return;
    }
    // An address built on RSP uses its value after the pop (SDM vol. 2B, "POP"); it is put back until the write is done.
    const before = e.register(RSP);
    const after = movedStackPointer(e, before, o.bits / 8);
    e.setRegister(RSP, after);
    const offset = o.offset(0);
    e.setRegister(RSP, before);
    e.store('data', offset, value, o.bits);
    e.setRegister(RSP, after);
  },
});

const POP_SEGMENT = insn('POP', {
  system: true,
  rows: [
    row('0F A1', 'FS', stack),
    row('0F A9', 'GS', stack),
    row('07', 'ES', { ...stack, not64: true }),
    row('17', 'SS', { ...stack, not64: true }),
    row('1F', 'DS', { ...stack, not64: true }),
  ],
  body(e, o) {
    const selector = peek(e, o.bits);
    e.helper('load-segment', o.number(0), selector);
    dropStack(e, o.bits / 8);
  },
});

export const PUSHA = insn('PUSHA', {
  rows: [row('60', 'rAX', { not64: true, perMode: true })],
  body(e, o) {
    const pointer = e.register(RSP);
    const values = Array.from({ length: 8 }, (_, index) => e.register(index, o.bits));
    const slot = (index: number) => stackOffset(e, movedStackPointer(e, pointer, -(index * o.bits) / 8));
    values.forEach((value, index) => e.store('SS', slot(index + 1), value, o.bits));
    e.setRegister(RSP, movedStackPointer(e, pointer, -o.bits));
  },
});

export const POPA = insn('POPA', {
  rows: [row('61', 'rAX', { not64: true, perMode: true })],
  body(e, o) {
    const values = Array.from({ length: 8 }, (_, index) => peek(e, o.bits, index));
    dropStack(e, o.bits);
    values.forEach((value, index) => {
      if (7 - index !== RSP) e.setRegister(7 - index, value, o.bits);
    });
  },
});

export const ENTER = insn('ENTER', {
  rows: [row('C8', 'Iw,Ib', stack)],
  body: (e, o) => void e.helper('enter', e.zeroExtend(o.read(0), 16), e.and(o.read(1), e.constant(31)), e.constant(o.bits)),
});

export const LEAVE = insn('LEAVE', {
  rows: [row('C9', 'rBP', stack)],
  body(e, o) {
    const frame = e.register(RBP);
    const pointer = e.mode64 ? frame : movedStackPointer(e, frame, 0);
    const value = e.load('SS', stackOffset(e, pointer), o.bits);
    e.setRegister(RSP, movedStackPointer(e, pointer, o.bits / 8));
    e.setRegister(RBP, value, o.bits);
  },
});

export const STACK = [PUSH, PUSH_SEGMENT, POP, POP_SEGMENT, PUSHA, POPA, ENTER, LEAVE];
