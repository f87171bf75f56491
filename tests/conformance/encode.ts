import type { OperandSpec, Row } from '@hanok/x86';
import type { CaseMode } from './forms.ts';

/** How a memory operand is addressed. Register numbers 0-15; an address with neither base nor index is absolute. */
export interface MemoryChoice {
  readonly base: number | undefined;
  readonly index: number | undefined;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: number;
  readonly displacementBytes: 0 | 1 | 4;
  /** Address relative to the next instruction; `displacement` is then the absolute target. */
  readonly ripRelative: boolean;
}

export type OperandChoice =
  | { readonly kind: 'register'; readonly number: number; readonly highByte: boolean }
  | { readonly kind: 'memory'; readonly memory: MemoryChoice }
  /** Immediates, relative branch distances and absolute offsets: the bits as encoded. */
  | { readonly kind: 'immediate'; readonly value: bigint }
  | { readonly kind: 'implied' };

/** Everything that selects one encoding of a row. */
export interface InstructionChoice {
  readonly row: Row;
  readonly mode: CaseMode;
  /** Operand size of `v`, `z` and `y` operands. */
  readonly bits: 16 | 32 | 64;
  readonly addressBits: 32 | 64;
  readonly lock: boolean;
  readonly repeat: 0 | 0xf2 | 0xf3;
  /** Segment override prefix, 0 without. */
  readonly segment: number;
  /** REX without need of it: changes what 8-bit registers 4-7 mean. */
  readonly emptyRex: boolean;
  /** CS prefixes in front, without effect but for the length: beyond 15 bytes the processor raises #GP. */
  readonly padding: number;
  readonly operands: readonly OperandChoice[];
}

const REG_KINDS = 'GSCDVP';
const RM_KINDS = 'EMRWUQNT';
const CS_PREFIX = 0x2e;
/** One byte more than the processor takes. */
const LONGEST_ENCODED = 16;

/** Size of an operand in bits at operand size `bits`; 0 where the notation gives none. */
export function operandBits(spec: OperandSpec, bits: 16 | 32 | 64): number {
  switch (spec.size) {
    case 'b': return 8;
    case 'w': return 16;
    case 'd': return 32;
    case 'q': return 64;
    case 'dq': return 128;
    case 't': return 80;
    case 'v': return bits;
    case 'z': return Math.min(bits, 32);
    case 'y': return bits === 64 ? 64 : 32;
    default: return 0;
  }
}

interface ModrmParts {
  rex: number;
  bytes: number[];
  ripRelative: number | undefined;
}

function littleEndian(value: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}

/** ModRM, SIB and displacement of a memory operand (SDM vol. 2A §2.1.5, §2.2.1.2). */
function encodeMemory(reg: number, memory: MemoryChoice): ModrmParts | undefined {
  const { base, index, displacement } = memory;
  const regBits = (reg & 7) << 3;
  const disp = (bytes: number) => littleEndian(BigInt(displacement), bytes);
  if (memory.ripRelative) return { rex: 0, bytes: [0x05 | regBits, 0, 0, 0, 0], ripRelative: displacement };
  const scaleBits = Math.log2(memory.scale) << 6;
  if (index === 4) return undefined;
  const rex = (base !== undefined && base > 7 ? 1 : 0) | (index !== undefined && index > 7 ? 2 : 0);
  const indexBits = index === undefined ? 0x20 : (index & 7) << 3;
  if (base === undefined) return { rex, bytes: [0x04 | regBits, scaleBits | indexBits | 5, ...disp(4)], ripRelative: undefined };
  // Base 5 and 13 without displacement mean something else, so they take one of a byte.
  const size = memory.displacementBytes === 0 && (base & 7) === 5 ? 1 : memory.displacementBytes;
  if (size === 0 && displacement !== 0) return undefined;
  const mod = [0, 0x40, 0, 0, 0x80][size]!;
  const needsSib = index !== undefined || (base & 7) === 4;
  const head = needsSib ? [mod | regBits | 4, scaleBits | indexBits | (base & 7)] : [mod | regBits | (base & 7)];
  return { rex, bytes: [...head, ...disp(size)], ripRelative: undefined };
}

function encodeModrm(choice: InstructionChoice): ModrmParts | undefined {
  const { row } = choice;
  if (row.modrm !== undefined) return { rex: 0, bytes: [row.modrm], ripRelative: undefined };
  let reg = row.extension ?? 0;
  let rm: OperandChoice | undefined;
  row.operands.forEach((spec, index) => {
    const operand = choice.operands[index]!;
    if (REG_KINDS.includes(spec.kind) && operand.kind === 'register') reg = operand.number;
    else if (RM_KINDS.includes(spec.kind)) rm = operand;
  });
  const rexReg = reg > 7 ? 4 : 0;
  if (rm?.kind === 'memory') {
    const parts = encodeMemory(reg, rm.memory);
    return parts && { ...parts, rex: parts.rex | rexReg };
  }
  const number = rm?.kind === 'register' ? rm.number : 0;
  return { rex: rexReg | (number > 7 ? 1 : 0), bytes: [0xc0 | ((reg & 7) << 3) | (number & 7)], ripRelative: undefined };
}

/** Bytes of an immediate, relative or absolute operand; 0 for all others. */
export function immediateBytes(spec: OperandSpec, choice: Pick<InstructionChoice, 'bits' | 'addressBits'>): number {
  if (spec.kind === 'I') return operandBits(spec, choice.bits) / 8;
  if (spec.kind === 'J') return spec.size === 'b' ? 1 : 4;
  if (spec.kind === 'O') return choice.addressBits / 8;
  return 0;
}

function wantsRexW(choice: InstructionChoice): boolean {
  const { row, bits } = choice;
  if (row.rexW !== undefined) return row.rexW;
  return bits === 64 && !row.options.default64 && !row.options.force64;
}

function legacyPrefixes(choice: InstructionChoice): number[] {
  const { row } = choice;
  const bytes: number[] = new Array<number>(choice.padding).fill(CS_PREFIX);
  if (choice.lock) bytes.push(0xf0);
  if (choice.segment) bytes.push(choice.segment);
  if (choice.addressBits !== choice.mode) bytes.push(0x67);
  if (choice.bits === 16 && row.prefix !== 'none' && row.prefix !== 0x66) bytes.push(0x66);
  if (typeof row.prefix === 'number' && row.vexLength === undefined) bytes.push(row.prefix);
  if (choice.repeat) bytes.push(choice.repeat);
  return bytes;
}

function byteRegisters(choice: InstructionChoice): { high: boolean; needsRex: boolean } {
  let high = false;
  let needsRex = false;
  choice.row.operands.forEach((spec, index) => {
    const operand = choice.operands[index]!;
    if (operand.kind !== 'register' || spec.size !== 'b' || !'EGRZ'.includes(spec.kind)) return;
    if (operand.highByte) high = true;
    else if (operand.number >= 4 && operand.number < 8) needsRex = true;
  });
  return { high, needsRex };
}

const VEX_PREFIXES = [0, 0x66, 0xf3, 0xf2];

/** The three-byte VEX prefix with what REX would hold (SDM vol. 2A figure 2-9). */
function vexPrefix(choice: InstructionChoice, rex: number): number[] {
  const { row } = choice;
  const named = choice.operands[row.operands.findIndex((spec) => spec.kind === 'B')];
  const register = named?.kind === 'register' ? named.number : 0;
  const prefix = typeof row.prefix === 'number' ? VEX_PREFIXES.indexOf(row.prefix) : 0;
  return [0xc4, ((~rex & 7) << 5) | row.map, ((rex & 8) << 4) | ((~register & 15) << 3) | (row.vexLength! << 2) | prefix];
}

/**
 * Machine code of the choice for execution at `address`, or undefined where the mode cannot express it (AH beside R8).
 * A `highByte` register keeps its encoding number, 4-7.
 */
export function encode(choice: InstructionChoice, address: number): Uint8Array | undefined {
  const { row } = choice;
  const modrm = row.hasModrm ? encodeModrm(choice) : { rex: 0, bytes: [], ripRelative: undefined };
  if (!modrm) return undefined;
  let opcode = row.opcode;
  let rex = modrm.rex | (wantsRexW(choice) ? 8 : 0);
  const plus = row.operands.findIndex((spec) => spec.kind === 'Z');
  const plusOperand = choice.operands[plus];
  if (plusOperand?.kind === 'register') {
    opcode |= plusOperand.number & 7;
    if (plusOperand.number > 7) rex |= 1;
  }
  const byte = byteRegisters(choice);
  const useRex = (rex !== 0 && row.vexLength === undefined) || byte.needsRex || choice.emptyRex;
  if (useRex && (byte.high || choice.mode === 32)) return undefined;
  const bytes = legacyPrefixes(choice);
  if (row.vexLength !== undefined) bytes.push(...vexPrefix(choice, rex));
  else {
    if (useRex) bytes.push(0x40 | rex);
    bytes.push(...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!);
  }
  bytes.push(opcode);
  const displacementAt = bytes.length + 1;
  bytes.push(...modrm.bytes);
  row.operands.forEach((spec, index) => {
    const operand = choice.operands[index]!;
    if (operand.kind === 'immediate') bytes.push(...littleEndian(operand.value, immediateBytes(spec, choice)));
  });
  if (modrm.ripRelative !== undefined) {
    const distance = modrm.ripRelative - (address + bytes.length);
    littleEndian(BigInt(distance), 4).forEach((value, index) => { bytes[displacementAt + index] = value; });
  }
  return bytes.length <= LONGEST_ENCODED ? Uint8Array.from(bytes) : undefined;
}
