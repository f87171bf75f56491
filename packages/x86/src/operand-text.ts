import { type Decoded, operandBits, RIP_BASE } from './decode.ts';
import type { AddressingKind, OperandSpec } from './operand.ts';

/** Operands as text: Intel syntax in the spelling of GNU objdump (`-M intel`). */

const GENERAL = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LOW_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const HIGH_BYTES = ['ah', 'ch', 'dh', 'bh'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const SIZE_NAMES: Readonly<Record<number, string>> = { 8: 'BYTE', 16: 'WORD', 32: 'DWORD', 48: 'FWORD', 64: 'QWORD', 80: 'TBYTE', 128: 'XMMWORD', 256: 'YMMWORD' };

const RSI = 6;
const RDI = 7;
const RBX = 3;
const DS = 3;

/** Instructions whose general-register operand is a selector or status word: all of the register, but a word of memory. */
const WORD_IN_MEMORY = new Set(['SLDT', 'STR', 'SMSW', 'LAR', 'LSL']);
/** Instructions that name the doubleword register whose low byte or word they use. */
const DOUBLEWORD_REGISTER = new Set(['PINSRB', 'PINSRW', 'PEXTRB', 'PEXTRW']);
/** Instructions whose memory operand objdump leaves without a size. */
const UNSIZED = new Set(['LDDQU', 'INVPCID']);
/** Opcodes whose byte immediate is sign-extended to the operand size: PUSH, IMUL and group 1 (SDM vol. 2D table A-2). */
const SIGN_EXTENDED = new Set([0x6a, 0x6b, 0x83]);

export const hex = (value: bigint): string => `0x${value.toString(16)}`;

export function segmentName(index: number): string {
  return SEGMENTS[index] ?? '?';
}

/** Name of a general register; AH to BH are 4 to 7 of 8 bits without REX. */
function registerName(index: number, bits: number, hasRex: boolean): string {
  if (bits === 8 && !hasRex && index >= 4 && index < 8) return HIGH_BYTES[index - 4]!;
  if (index >= 8) return `r${index}${{ 8: 'b', 16: 'w', 32: 'd' }[bits] ?? ''}`;
  if (bits === 8) return LOW_BYTES[index]!;
  return `${{ 16: '', 32: 'e' }[bits] ?? 'r'}${GENERAL[index]}`;
}

/** One operand of an instruction at `address`. */
export type OperandText = (d: Decoded, spec: OperandSpec, address: bigint) => string;

const registerField = (d: Decoded) => ((d.modrm >> 3) & 7) | d.rexR;
const rmField = (d: Decoded) => (d.modrm & 7) | d.rexB;

function generalRegister(d: Decoded, spec: OperandSpec, index: number): string {
  const bits = DOUBLEWORD_REGISTER.has(d.row.insn.name) ? Math.max(32, operandBits(spec, d.bits)) : operandBits(spec, d.bits);
  return registerName(index, bits, d.hasRex);
}

/** A register where ModRM.mod says so, else memory. */
function orMemory(register: OperandText): OperandText {
  return (d, spec, address) => (d.isMemory ? sizedMemory(d, spec) : register(d, spec, address));
}

const vector = (index: (d: Decoded) => number): OperandText => (d) => `xmm${index(d)}`;
const mmx = (shift: number): OperandText => (d) => `mm${(d.modrm >> shift) & 7}`;
const rm: OperandText = (d, spec) => generalRegister(d, spec, rmField(d));

/** Text of each kind of operand; what the notation gains gets a line here. */
const KINDS: Readonly<Record<AddressingKind, OperandText>> = {
  E: orMemory(rm),
  B: (d, spec) => generalRegister(d, spec, d.vexRegister),
  M: sizedMemory,
  R: rm,
  G: (d, spec) => generalRegister(d, spec, registerField(d)),
  Z: (d, spec) => generalRegister(d, spec, (d.opcode & 7) | d.rexB),
  I: immediate,
  J: branchTarget,
  O: memory,
  A: (d) => `${hex(d.immediate2)}:${hex(BigInt.asUintN(d.bits, d.immediate))}`,
  S: (d) => segmentName((d.modrm >> 3) & 7),
  C: (d) => `cr${registerField(d)}`,
  D: (d) => `dr${registerField(d)}`,
  V: vector(registerField),
  W: orMemory(vector(rmField)),
  U: vector(rmField),
  P: mmx(3),
  Q: orMemory(mmx(0)),
  N: mmx(0),
  T: (d) => `st(${d.modrm & 7})`,
  fixed: (d, spec) => {
    if (spec.fixedClass === 'constant') return String(spec.fixed);
    if (spec.fixedClass === 'segment') return segmentName(spec.fixed);
    return registerName(spec.fixed, operandBits(spec, d.bits), d.hasRex);
  },
};

export const operandText: OperandText = (d, spec, address) => KINDS[spec.kind](d, spec, address);

function immediate(d: Decoded, spec: OperandSpec): string {
  const first = d.row.operands.find(({ kind }) => kind === 'I') === spec;
  const extended = spec.size === 'b' && d.row.map === 0 && SIGN_EXTENDED.has(d.row.opcode);
  const bits = spec.size === 'z' || extended ? d.bits : operandBits(spec, d.bits);
  return hex(BigInt.asUintN(bits, first ? d.immediate : d.immediate2));
}

/** Where a relative branch goes. A 16-bit one stays in the 64 KiB that real mode's segment covers. */
function branchTarget(d: Decoded, _: OperandSpec, address: bigint): string {
  const target = address + BigInt(d.lengthBytes) + d.immediate;
  if (d.mode === 64) return hex(BigInt.asUintN(64, target));
  if (d.bits !== 16) return hex(BigInt.asUintN(32, target));
  const segment = d.mode === 16 ? address & ~0xffffn : 0n;
  return hex(segment | (target & 0xffffn));
}

function memoryBits(d: Decoded, spec: OperandSpec): number {
  if (spec.size === 'none' || spec.size === 's' || UNSIZED.has(d.row.insn.name)) return 0;
  if (spec.size === 'p') return d.bits + 16;
  if (spec.size === 'a') return 2 * d.bits;
  return isSelector(d, spec) ? 16 : operandBits(spec, d.bits);
}

/** Whether a `v` operand is 16 bits in memory whatever the operand size. */
export function isSelector(d: Decoded, spec: OperandSpec): boolean {
  if (spec.kind !== 'E' || spec.size !== 'v' || !d.isMemory) return false;
  return WORD_IN_MEMORY.has(d.row.insn.name) || d.row.operands.some(({ kind }) => kind === 'S');
}

function sizedMemory(d: Decoded, spec: OperandSpec): string {
  const bits = memoryBits(d, spec);
  const isVector = d.row.operands.some(({ kind }) => 'VWU'.includes(kind));
  const size = bits === 128 && !isVector ? 'OWORD' : SIZE_NAMES[bits];
  return `${size ? `${size} PTR ` : ''}${memory(d)}`;
}

const pointed = (d: Decoded, bits: number, segment: string, index: number) =>
  `${SIZE_NAMES[bits]} PTR ${segment}:[${registerName(index, d.addressBits, true)}]`;
const dataSegment = (d: Decoded) => segmentName(d.segmentOverride < 0 ? DS : d.segmentOverride);
const source = (d: Decoded) => pointed(d, d.bits, dataSegment(d), RSI);
const destination = (d: Decoded) => pointed(d, d.bits, 'es', RDI);
const accumulator = (d: Decoded) => registerName(0, d.bits, true);

/** Operands that the opcode implies and the row does not write, but the assembler does. */
export const IMPLIED_OPERANDS: Readonly<Record<string, (d: Decoded) => readonly string[]>> = {
  MOVS: (d) => [destination(d), source(d)],
  STOS: (d) => [destination(d), accumulator(d)],
  LODS: (d) => [accumulator(d), source(d)],
  SCAS: (d) => [accumulator(d), destination(d)],
  CMPS: (d) => [source(d), destination(d)],
  INS: (d) => [destination(d), 'dx'],
  OUTS: (d) => ['dx', source(d)],
  XLAT: (d) => [pointed(d, 8, dataSegment(d), RBX)],
};

/** Whether ModRM has an SIB byte behind it (SDM vol. 2A table 2-2). */
function hasSib(d: Decoded): boolean {
  return d.addressBits !== 16 && d.row.hasModrm && d.modrm < 0xc0 && (d.modrm & 7) === 4;
}

/**
 * The index as objdump shows it: where SIB has none but says more than it must, the name `riz` or `eiz` keeps the
 * encoding visible.
 */
function indexText(d: Decoded): string | undefined {
  if (d.addressBits === 16) return d.index < 0 ? undefined : registerName(d.index, 16, true);
  const scale = `*${1 << d.scale}`;
  if (d.index >= 0) return registerName(d.index, d.addressBits, true) + scale;
  if (!hasSib(d)) return undefined;
  return d.scale !== 0 || showsAddressSize(d) || (d.base >= 0 && (d.base & 7) !== 4) ? `${d.addressBits === 64 ? 'riz' : 'eiz'}${scale}` : undefined;
}

/** An SIB of a displacement alone: outside 16-bit mode `eiz` tells 32-bit addresses from the mode's own. */
function showsAddressSize(d: Decoded): boolean {
  return hasSib(d) && d.base < 0 && d.index < 0 && (d.mode === 32 || (d.mode === 64 && d.addressBits === 32));
}

function baseText(d: Decoded): string | undefined {
  if (d.base === RIP_BASE) return d.addressBits === 64 ? 'rip' : 'eip';
  return d.base < 0 ? undefined : registerName(d.base, d.addressBits, true);
}

/** A displacement behind registers; objdump takes those as unsigned that have no true register before them. */
function signed(d: Decoded): string {
  const { displacement } = d;
  if (d.base === RIP_BASE) return `+${hex(BigInt.asUintN(64, displacement))}`;
  if (d.mode === 64 && showsAddressSize(d)) return `+${hex(BigInt.asUintN(32, displacement))}`;
  return displacement < 0n ? `-${hex(-displacement)}` : `+${hex(displacement)}`;
}

/** Whether the operand's text tells the address size. */
export function namesAddressSize(d: Decoded): boolean {
  return d.isMemory && (d.base >= 0 || d.index >= 0 || showsAddressSize(d));
}

function memory(d: Decoded): string {
  const segment = d.segmentOverride < 0 ? '' : `${segmentName(d.segmentOverride)}:`;
  const registers = [baseText(d), indexText(d)].filter((part) => part !== undefined).join('+');
  if (!registers) {
    const bits = d.mode === 64 && d.addressBits === 64 ? 64 : d.addressBits;
    return `${segment || 'ds:'}${hex(BigInt.asUintN(bits, d.displacement))}`;
  }
  const shown = d.base < 0 || d.base === RIP_BASE || d.modrm >> 6 !== 0;
  const displacement = shown ? signed(d) : '';
  return `${segment}[${registers}${displacement}]`;
}

/** The address that a RIP-relative operand names. */
export function ripTarget(d: Decoded, address: bigint): bigint | undefined {
  if (!d.isMemory || d.base !== RIP_BASE) return undefined;
  return BigInt.asUintN(d.addressBits, address + BigInt(d.lengthBytes) + d.displacement);
}
