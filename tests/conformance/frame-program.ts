import { ALL_ROWS, type OperandSpec, type Row } from '@hanok/x86';
import type { TestCase } from './driver.ts';
import { encode, type OperandChoice } from './encode.ts';
import { rowForms } from './forms.ts';
import { LAYOUT } from './layout.ts';
import { assemble, R15, RBX, RSP, startState, WINDOW_MIDDLE } from './program.ts';
import type { Random } from './random.ts';

/** What compilers make of frames and structures: accesses near a few registers, which move by constants and are copied. */
const ACCESSES = ['MOV', 'MOV', 'MOV', 'ADD', 'SUB', 'ADC', 'CMP', 'INC', 'NOT', 'TEST', 'MOVZX', 'MOVSX', 'CMOVB', 'SETLE', 'MOVDQU', 'MOVUPS', 'PADDD', 'MOVSD', 'MOVQ', 'BSWAP'];
const RBP = 5;
const RSI = 6;
const BASES = [RBX, RSP, RBP, RSI];
const RESERVED = new Set([...BASES, R15]);
/** How far from its register an access is, either way. */
const REACH = 0xc0;
/** How far from the window's middle, where a page ends, or from its ends registers start; some accesses fault. */
const SPREAD = 0x80;

const rowsOf = (names: readonly string[]) => names.flatMap((name) => ALL_ROWS.filter(({ insn, operands, options }) => insn.name === name && !options.not64 && !operands.some(({ kind }) => 'OSCDPQNTJ'.includes(kind))));
const ACCESS_ROWS = rowsOf(ACCESSES);
const rowFor = (name: string, kinds: string) => ALL_ROWS.find(({ insn, operands, options }) => insn.name === name && !options.not64 && operands.map(({ kind, size }) => kind + size).join() === kinds)!;
const MOVE = rowFor('MOV', 'Ev,Gv');
const LEA = ALL_ROWS.find(({ insn }) => insn.name === 'LEA')!;
const ADD_CONSTANT = rowFor('ADD', 'Ev,Ib');
const SUBTRACT_CONSTANT = rowFor('SUB', 'Ev,Ib');

const register = (number: number): OperandChoice => ({ kind: 'register', number, highByte: false });
const near = (random: Random): OperandChoice => ({
  kind: 'memory', memory: { base: random.pick(BASES), index: undefined, scale: 1, displacement: random.below(2 * REACH / 8) * 8 - REACH + (random.oneIn(8) ? random.below(8) : 0), displacementBytes: 4, ripRelative: false },
});
const code = (row: Row, bits: 16 | 32 | 64, operands: readonly OperandChoice[]) =>
  encode({ row, mode: 64, bits, addressBits: 64, lock: false, repeat: 0, segment: 0, emptyRex: true, padding: 0, operands: [...operands] }, 0);

function other(random: Random): number {
  const number = random.below(16);
  return RESERVED.has(number) ? other(random) : number;
}

function operandFor(random: Random, spec: OperandSpec, memory: boolean): OperandChoice {
  if (spec.kind === 'fixed') return { kind: 'implied' };
  if (spec.kind === 'I') return { kind: 'immediate', value: BigInt(random.below(128)) };
  if (spec.kind === 'M' || (memory && 'EW'.includes(spec.kind))) return near(random);
  return register(other(random));
}

function access(random: Random): Uint8Array | undefined {
  const row = random.pick(ACCESS_ROWS);
  const form = random.pick(rowForms(row).filter(({ memory }) => memory || random.oneIn(4)));
  return form && code(row, form.bits, row.operands.map((spec) => operandFor(random, spec, form.memory)));
}

/** Moves and copies of the registers that accesses are near. */
function move(random: Random): Uint8Array | undefined {
  const [to, from] = [random.pick(BASES), random.pick(BASES)];
  const step: OperandChoice = { kind: 'immediate', value: BigInt(random.below(8) * 8) };
  switch (random.below(4)) {
    case 0: return code(MOVE, 64, [register(to), register(from)]);
    case 1: return code(LEA, 64, [register(to), near(random)]);
    case 2: return code(ADD_CONSTANT, 64, [register(to), step]);
    default: return code(SUBTRACT_CONSTANT, 64, [register(to), step]);
  }
}

/** PUSH and POP of a register. */
function stack(random: Random): Uint8Array {
  const number = other(random);
  const opcode = (random.oneIn(2) ? 0x50 : 0x58) | (number & 7);
  return number < 8 ? Uint8Array.of(opcode) : Uint8Array.of(0x41, opcode);
}

function instruction(random: Random): number[] {
  for (;;) {
    const bytes = random.oneIn(6) ? move(random) : random.oneIn(4) ? stack(random) : access(random);
    if (bytes) return [...bytes];
  }
}

/** A program that ends at its exit or with a fault at the window's edge. It calls nothing: what it writes may be anywhere on its stack. */
export function generateFrameProgram(random: Random): TestCase {
  const { code: bytes, codeAddress, exit } = assemble(random, instruction, false);
  const state = startState(random);
  const places = [WINDOW_MIDDLE, WINDOW_MIDDLE, WINDOW_MIDDLE / 2, LAYOUT.windowBytes - 2 * REACH, 2 * REACH];
  for (const base of BASES) state.gpr[base] = BigInt(LAYOUT.windowBase + random.pick(places) + random.between(-SPREAD / 8, SPREAD / 8) * 8);
  return { mode: 64, code: bytes, codeAddress, exits: [exit], ...state };
}
