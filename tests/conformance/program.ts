import { ALL_ROWS, type OperandSpec, type Row } from '@hanok/x86';
import type { TestCase } from './driver.ts';
import { encode, immediateBytes, type OperandChoice } from './encode.ts';
import { missingFeature } from './exclusions.ts';
import { rowForms } from './forms.ts';
import { hostFlags } from './host.ts';
import { ARITHMETIC_FLAGS, FX, LAYOUT } from './layout.ts';
import { doublePattern, integerPattern, type Random } from './random.ts';

/** Instructions whose result the manual defines whatever their operands are. */
const DEFINED = [
  'ADD', 'ADC', 'SUB', 'SBB', 'CMP', 'INC', 'DEC', 'NEG', 'NOT', 'MOV', 'MOVZX', 'MOVSX', 'MOVSXD', 'LEA', 'XCHG', 'XADD', 'BSWAP', 'CBW', 'CWD', 'LAHF', 'SAHF', 'CLC', 'STC', 'CMC', 'CMPXCHG',
  'MOVBE', 'POPCNT', 'ADCX', 'ADOX', 'CRC32', 'RORX', 'SHLX', 'SHRX', 'SARX', 'MULX', 'PDEP', 'PEXT',
];
/** Instructions that leave some flag undefined; a comparison behind each defines them all again. */
const FLAGS_UNDEFINED = ['AND', 'OR', 'XOR', 'TEST', 'SHL', 'SHR', 'SAR', 'ROL', 'ROR', 'RCL', 'RCR', 'BT', 'BTS', 'BTR', 'BTC', 'MUL', 'IMUL', 'ANDN', 'BLSR', 'BZHI', 'BEXTR'];
const VECTOR = [
  'PADDB', 'PADDW', 'PADDD', 'PADDQ', 'PSUBD', 'PXOR', 'PAND', 'POR', 'PCMPEQD', 'PUNPCKLDQ', 'MOVDQA', 'MOVDQU', 'MOVQ', 'MOVD', 'PMOVMSKB', 'ADDSD', 'MULSD', 'SUBSD', 'CVTSI2SD', 'MOVSD', 'MOVAPS', 'SHUFPS', 'PSHUFD',
  'PALIGNR', 'PSHUFB', 'PSHUFHW', 'PSLLDQ', 'PBLENDW', 'PBLENDVB', 'INSERTPS', 'PINSRD', 'PINSRB', 'PEXTRD', 'PMOVZXBW', 'PHADDD', 'PMADDUBSW', 'AESENC', 'PCLMULQDQ', 'SHA1RNDS4',
];
const CONDITIONAL = /^(SET|CMOV)/;

/** RSP is the stack, RBX the middle of the window, R15 counts loops down. */
export const RSP = 4;
export const RBX = 3;
export const R15 = 15;
const RESERVED = new Set([RSP, RBX, R15]);
const LOOPS = 12n;
const BLOCKS_MAX = 9;
const STACK_OFFSET = 0x1e00;
export const WINDOW_MIDDLE = 0x1000;
const DATA_BYTES = 0x400;

const POOL = ALL_ROWS.filter(({ insn, operands, options }) => {
  const known = DEFINED.includes(insn.name) || FLAGS_UNDEFINED.includes(insn.name) || VECTOR.includes(insn.name) || CONDITIONAL.test(insn.name);
  return known && missingFeature(insn, hostFlags()) === undefined && !insn.system && !options.not64 && !operands.some(({ kind }) => 'OSCDPQNT'.includes(kind));
});

type Terminator = { kind: 'fall' | 'return' } | { kind: 'branch' | 'loop' | 'call' | 'jump'; to: number };
interface Block {
  readonly bytes: number[];
  readonly end: Terminator;
  start: number;
}

const jump32 = (opcode: readonly number[], from: number, to: number) => {
  const distance = to - (from + opcode.length + 4);
  return [...opcode, distance & 255, (distance >> 8) & 255, (distance >> 16) & 255, (distance >> 24) & 255];
};
/** DEC R15D. */
const COUNT_DOWN = [0x41, 0xff, 0xcf];
const RET = 0xc3;

function operandFor(random: Random, spec: OperandSpec, memory: boolean, bits: 16 | 32 | 64): OperandChoice | undefined {
  if (spec.kind === 'fixed') return { kind: 'implied' };
  if (spec.kind === 'I') return { kind: 'immediate', value: BigInt.asUintN(8 * immediateBytes(spec, { bits, addressBits: 64 }), integerPattern(random)) };
  if (spec.kind === 'M' || (memory && 'EW'.includes(spec.kind))) {
    const displacement = random.below(DATA_BYTES / 16) * 16;
    return { kind: 'memory', memory: { base: RBX, index: undefined, scale: 1, displacement, displacementBytes: 4, ripRelative: false } };
  }
  if ('VWU'.includes(spec.kind)) return { kind: 'register', number: random.below(16), highByte: false };
  if (spec.size === 'b' && random.oneIn(4)) return { kind: 'register', number: random.pick([4, 5, 6, 7].filter((number) => number !== 7)), highByte: true };
  const number = random.below(16);
  return RESERVED.has(number) ? undefined : { kind: 'register', number, highByte: false };
}

/** Instructions that move memory by a register's bits reach far; those that pick their own registers must miss ours. */
const reachesFar = (row: Row, memory: boolean) => memory && /^BT/.test(row.insn.name) && row.operands[1]?.kind === 'G';
const writesImplied = (row: Row) => row.plusRegister && row.insn.name !== 'MOV' && row.insn.name !== 'BSWAP' && row.insn.name !== 'XCHG';

function instruction(random: Random): number[] {
  for (;;) {
    const row = random.pick(POOL);
    const form = random.pick(rowForms(row));
    if (reachesFar(row, form.memory) || writesImplied(row)) continue;
    const operands = row.operands.map((spec) => operandFor(random, spec, form.memory, form.bits));
    if (operands.some((operand) => !operand)) continue;
    const usesHigh = operands.some((operand) => operand?.kind === 'register' && operand.highByte);
    const bytes = encode({
      row, mode: 64, bits: form.bits, addressBits: 64, lock: false, repeat: 0, segment: 0, emptyRex: !usesHigh, padding: 0, operands: operands as OperandChoice[],
    }, 0);
    if (!bytes || highByteOfReserved(operands as OperandChoice[])) continue;
    // CMP RCX, RBP
    return FLAGS_UNDEFINED.includes(row.insn.name) ? [...bytes, 0x48, 0x39, 0xe9] : [...bytes];
  }
}

/** 4 to 6 with `highByte` are AH, CH, DH; 7 would be BH, part of a register that must stay. */
const highByteOfReserved = (operands: readonly OperandChoice[]) => operands.some((operand) => operand.kind === 'register' && operand.highByte && operand.number === 7);

function terminator(random: Random, index: number, count: number, routine: boolean, calls: boolean): Terminator {
  if (routine) return { kind: 'return' };
  switch (random.below(6)) {
    case 0:
      return { kind: 'loop', to: random.below(index + 1) };
    case 1:
    case 2:
      return { kind: 'branch', to: random.between(index + 1, count) };
    case 3:
      return calls ? { kind: 'call', to: count + 1 } : { kind: 'fall' };
    case 4:
      return random.oneIn(2) ? { kind: 'jump', to: random.between(index + 1, count) } : { kind: 'fall' };
    default:
      return { kind: 'fall' };
  }
}

function terminatorBytes(random: Random, end: Terminator, at: number, starts: readonly number[]): number[] {
  switch (end.kind) {
    case 'fall': return [];
    case 'return': return [RET];
    case 'call': return jump32([0xe8], at, starts[end.to]!);
    case 'jump': return jump32([0xe9], at, starts[end.to]!);
    case 'loop': return [...COUNT_DOWN, ...jump32([0x0f, 0x8f], at + COUNT_DOWN.length, starts[end.to]!)];
    case 'branch': return jump32([0x0f, 0x80 | random.below(16)], at, starts[end.to]!);
  }
}

const LENGTHS = { fall: 0, return: 1, call: 5, jump: 5, loop: 9, branch: 6 } as const;

interface Assembled {
  readonly code: Uint8Array;
  readonly codeAddress: number;
  readonly exit: number;
}

/** Code that ends at its last byte: blocks with branches forwards, counted loops backwards, and with `calls` a routine to call. */
export function assemble(random: Random, instructionBytes: (random: Random) => number[], calls = true): Assembled {
  const count = random.between(2, BLOCKS_MAX);
  const make = (index: number, routine: boolean): Block => ({
    bytes: Array.from({ length: random.between(1, 6) }, () => instructionBytes(random)).flat(), end: terminator(random, index, count, routine, calls), start: 0,
  });
  const blocks = Array.from({ length: count }, (_, index) => make(index, false));
  const routine = make(count, true);
  const codeAddress = LAYOUT.codeBase + random.between(0, LAYOUT.codeBytes - 0x800);
  // Behind the last block: a jump over the routine to the exit.
  let at = codeAddress;
  for (const block of blocks) {
    block.start = at;
    at += block.bytes.length + LENGTHS[block.end.kind];
  }
  const over = at;
  routine.start = over + 5;
  const exit = routine.start + routine.bytes.length + 1;
  const starts = [...blocks.map(({ start }) => start), over, routine.start];
  const code = blocks.flatMap((block) => [...block.bytes, ...terminatorBytes(random, block.end, block.start + block.bytes.length, starts)]);
  code.push(...jump32([0xe9], over, exit), ...routine.bytes, RET);
  return { code: Uint8Array.from(code), codeAddress, exit };
}

/** A program of integer and vector instructions. */
export function generateProgram(random: Random): TestCase {
  const { code, codeAddress, exit } = assemble(random, instruction);
  return { mode: 64, code, codeAddress, exits: [exit], ...startState(random) };
}

/** What programs start from: RSP and RBX in the window, R15 for loops. */
export function startState(random: Random): Pick<TestCase, 'gpr' | 'rflags' | 'fx' | 'memory'> {
  const gpr = BigUint64Array.from({ length: 16 }, () => integerPattern(random));
  gpr[RSP] = BigInt(LAYOUT.windowBase + STACK_OFFSET);
  gpr[RBX] = BigInt(LAYOUT.windowBase + WINDOW_MIDDLE);
  gpr[R15] = LOOPS;
  const fx = new Uint8Array(FX.sizeBytes);
  const view = new DataView(fx.buffer);
  view.setUint16(FX.control, 0x37f, true);
  view.setUint32(FX.mxcsr, 0x1f80, true);
  for (let offset = FX.xmm; offset < FX.end; offset += 8) view.setBigUint64(offset, doublePattern(random), true);
  const memory = new Uint8Array(LAYOUT.windowBytes);
  random.bytes(memory);
  return { gpr, rflags: random.u32() & ARITHMETIC_FLAGS, fx, memory };
}
