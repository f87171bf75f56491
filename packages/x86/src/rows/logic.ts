import type { Emit, Operands } from '../emit.ts';
import { insn, row } from '../insn.ts';
import { binaryRows } from './arithmetic.ts';

function bitwise(name: string, index: number, operation: 'i64.and' | 'i64.or' | 'i64.xor') {
  return insn(name, {
    rows: binaryRows(index),
    body(e: Emit, o: Operands) {
      const r = e.op(operation, o.readSigned(0), o.readSigned(1));
      o.write(0, r);
      e.flagsLogic(r);
    },
  });
}

export const OR = bitwise('OR', 1, 'i64.or');
export const AND = bitwise('AND', 4, 'i64.and');
export const XOR = bitwise('XOR', 6, 'i64.xor');

export const TEST = insn('TEST', {
  rows: [
    row('84', 'Eb,Gb'),
    row('85', 'Ev,Gv'),
    row('A8', 'AL,Ib'),
    row('A9', 'rAX,Iz'),
    row('F6 /0', 'Eb,Ib'),
    row('F6 /1', 'Eb,Ib'),
    row('F7 /0', 'Ev,Iz'),
    row('F7 /1', 'Ev,Iz'),
  ],
  body(e, o) {
    e.flagsLogic(e.and(o.readSigned(0), o.readSigned(1)));
  },
});

export const NOT = insn('NOT', {
  rows: [row('F6 /2', 'Eb', { lock: true }), row('F7 /2', 'Ev', { lock: true })],
  body(e, o) {
    o.write(0, e.not(o.read(0)));
  },
});

export const LOGIC = [OR, AND, XOR, TEST, NOT];
