import { ALL_ROWS, type OperandSpec, type Row } from '@hanok/x86';
import type { TestCase } from './driver.ts';
import { encode, type OperandChoice } from './encode.ts';
import { exclusionOf } from './exclusions.ts';
import { rowForms } from './forms.ts';
import { FX } from './layout.ts';
import { assemble, RBX, startState, WINDOW_MIDDLE } from './program.ts';
import type { Random } from './random.ts';
import { drawImage } from './x87-cases.ts';

const STACK = ['FLD', 'FLD1', 'FLDZ', 'FLDPI', 'FILD', 'FST', 'FSTP', 'FIST', 'FISTP', 'FISTTP', 'FXCH', 'FDECSTP', 'FINCSTP', 'FFREE'];
const ARITHMETIC = [
  ...['FADD', 'FMUL', 'FSUB', 'FSUBR', 'FDIV', 'FDIVR'].flatMap((name) => [name, `${name}P`, `FI${name.slice(1)}`]), 'FSQRT', 'FCHS', 'FABS', 'FRNDINT',
];
const COMPARISONS = ['FCOM', 'FCOMP', 'FCOMPP', 'FUCOM', 'FUCOMP', 'FUCOMPP', 'FICOM', 'FCOMI', 'FCOMIP', 'FUCOMI', 'FUCOMIP', 'FTST', 'FXAM', 'FCMOVB', 'FCMOVNE', 'FCMOVU'];
const OTHERS = ['FNSTSW', 'FNSTCW', 'FNCLEX', 'EMMS', 'PADDD', 'MOVQ', 'MOVD', 'ADD', 'MOV'];

const rowsOf = (names: readonly string[]) => ALL_ROWS.filter((row) =>
  names.includes(row.insn.name) && exclusionOf(row) === undefined && !row.options.not64 && row.operands.every(({ kind }) => !'OSCDIVWUXY'.includes(kind)));
/** Mostly what leaves the stack as deep as it was, or nearly. */
const POOLS = [rowsOf(STACK), rowsOf(STACK), rowsOf(ARITHMETIC), rowsOf(ARITHMETIC), rowsOf(ARITHMETIC), rowsOf(COMPARISONS), rowsOf(OTHERS)];

/** RAX, RCX, RDX, RSI, RDI. */
const REGISTERS = [0, 1, 2, 6, 7];
const DATA_BYTES = 0x100;
const FXCH_ST0 = [0xd9, 0xc8];

function operandFor(random: Random, spec: OperandSpec, memory: boolean): OperandChoice {
  if (spec.kind === 'fixed') return { kind: 'implied' };
  if (spec.kind === 'M' || (memory && 'EQ'.includes(spec.kind))) {
    return { kind: 'memory', memory: { base: RBX, index: undefined, scale: 1, displacement: random.below(DATA_BYTES / 16) * 16, displacementBytes: 4, ripRelative: false } };
  }
  const number = 'TPQN'.includes(spec.kind) ? random.below(random.oneIn(3) ? 8 : 3) : random.pick(REGISTERS);
  return { kind: 'register', number, highByte: false };
}

function bytesOf(random: Random, row: Row): Uint8Array | undefined {
  const form = random.pick(rowForms(row));
  const operands = row.operands.map((spec) => operandFor(random, spec, form.memory));
  return encode({ row, mode: 64, bits: form.bits, addressBits: 64, lock: false, repeat: 0, segment: 0, emptyRex: false, padding: 0, operands }, 0);
}

function instruction(random: Random): number[] {
  for (;;) {
    const row = random.pick(random.pick(POOLS));
    const bytes = bytesOf(random, row);
    // Processors differ in what these do to C1 (`undefined-flags.ts`); an exchange defines it again.
    if (bytes) return /^FU?COMI/.test(row.insn.name) ? [...bytes, ...FXCH_ST0] : [...bytes];
  }
}

/** Masked exceptions, and mostly what compiled code does in place: rounding to nearest and 64 bits, with an inexact result behind it. */
function floatImage(random: Random): Uint8Array {
  const fx = drawImage(random);
  const view = new DataView(fx.buffer);
  const isOrdinary = !random.oneIn(4);
  view.setUint16(FX.control, isOrdinary ? 0x37f : view.getUint16(FX.control, true) | 0x3f, true);
  if (isOrdinary) view.setUint16(FX.status, view.getUint16(FX.status, true) | 0x20, true);
  return fx;
}

/** A program of x87 and MMX instructions, whose paths leave the stack at different depths. */
export function generateX87Program(random: Random): TestCase {
  const { code, codeAddress, exit } = assemble(random, instruction);
  const state = startState(random);
  const fx = floatImage(random);
  // Numbers as registers have them, where instructions find their operands.
  for (let at = 0; at < DATA_BYTES; at += 16) {
    const from = FX.registers + (at % 128);
    state.memory.set(fx.subarray(from, from + 16), WINDOW_MIDDLE + at);
  }
  return { ...state, mode: 64, code, codeAddress, exits: [exit], fx };
}
