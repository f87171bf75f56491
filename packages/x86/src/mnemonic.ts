import type { Decoded } from './decode.ts';
import { effectiveBits } from './opcode-match.ts';
import type { IntegerBits } from './emit.ts';

/**
 * Mnemonics in the spelling of GNU objdump (`-M intel`). Most are the instruction's name in lower case; here stand
 * those that the operand size, the address size or an immediate decides.
 */

type Names = Partial<Record<IntegerBits, string>>;

const BY_OPERAND_SIZE: Readonly<Record<string, Names>> = {
  CBW: { 16: 'cbw', 32: 'cwde', 64: 'cdqe' },
  CWD: { 16: 'cwd', 32: 'cdq', 64: 'cqo' },
  MOVD: { 64: 'movq' },
  PCMPESTRI: { 64: 'pcmpestriq' },
  PCMPESTRM: { 64: 'pcmpestrmq' },
  PEXTRD: { 64: 'pextrq' },
  PINSRD: { 64: 'pinsrq' },
  RDSSP: { 32: 'rdsspd', 64: 'rdsspq' },
};

const BY_ADDRESS_SIZE: Readonly<Record<string, Readonly<Record<16 | 32 | 64, string>>>> = {
  JCXZ: { 16: 'jcxz', 32: 'jecxz', 64: 'jrcxz' },
};

/** Instructions whose operands do not show their size get a suffix: unless it is the mode's own, or always in some modes. */
const SUFFIXED: Readonly<Record<string, 'unusual' | 'in 64-bit mode' | 'outside 64-bit mode'>> = {
  PUSHF: 'unusual', POPF: 'unusual', PUSHA: 'unusual', POPA: 'unusual', IRET: 'unusual', LEAVE: 'unusual', ENTER: 'unusual', RET: 'unusual',
  'RET FAR': 'unusual', FLDENV: 'unusual', FNSTENV: 'unusual', FRSTOR: 'unusual', FNSAVE: 'unusual',
  SYSRET: 'in 64-bit mode', SYSEXIT: 'in 64-bit mode',
  SGDT: 'outside 64-bit mode', SIDT: 'outside 64-bit mode', LGDT: 'outside 64-bit mode', LIDT: 'outside 64-bit mode',
};
/** These too, but only with an immediate, a relative target or a segment register. */
const SUFFIXED_IN_PART = new Set(['PUSH', 'POP', 'JMP', 'CALL']);
const SUFFIX: Readonly<Record<IntegerBits, string>> = { 8: 'b', 16: 'w', 32: 'd', 64: 'q' };

const PREDICATES = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'];
const CARRYLESS: Readonly<Record<number, string>> = { 0: 'lqlq', 1: 'hqlq', 0x10: 'lqhq', 0x11: 'hqhq' };

/** The mnemonic, and whether it stands for the immediate too (`cmpeqps`). */
export interface Mnemonic {
  readonly text: string;
  readonly coversImmediate: boolean;
}

/** Name of a decoded instruction. */
export function mnemonicOf(d: Decoded): Mnemonic {
  return nameWithImmediate(d) ?? { text: plainName(d) + sizeSuffix(d), coversImmediate: false };
}

/** Compares name their predicate (SDM vol. 2A table 3-7), PCLMULQDQ its quadwords (vol. 2B table 4-13). */
function nameWithImmediate(d: Decoded): Mnemonic | undefined {
  const immediate = Number(d.immediate & 0xffn);
  const compare = /^CMP(PS|PD|SS|SD)$/.exec(d.row.insn.name);
  if (compare && immediate < PREDICATES.length) return { text: `cmp${PREDICATES[immediate]}${compare[1]!.toLowerCase()}`, coversImmediate: true };
  const quadwords = d.row.insn.name === 'PCLMULQDQ' ? CARRYLESS[immediate] : undefined;
  return quadwords ? { text: `pclmul${quadwords}dq`, coversImmediate: true } : undefined;
}

function plainName(d: Decoded): string {
  const { name } = d.row.insn;
  if (name === 'MOV' && isMovabs(d)) return 'movabs';
  if (name === 'RET FAR') return 'retf';
  return BY_OPERAND_SIZE[name]?.[d.bits] ?? BY_ADDRESS_SIZE[name]?.[d.addressBits] ?? name.split(' ')[0]!.toLowerCase();
}

/** MOV with a 64-bit immediate or a 64-bit absolute offset. */
function isMovabs(d: Decoded): boolean {
  return d.row.operands.some(({ kind, size }) => (kind === 'O' && d.addressBits === 64) || (kind === 'I' && size === 'v' && d.bits === 64));
}

function sizeSuffix(d: Decoded): string {
  const { insn, operands, options } = d.row;
  const inPart = SUFFIXED_IN_PART.has(insn.name) && operands.length === 1 && (operands[0]!.kind === 'I' || operands[0]!.text === 'Jz' || operands[0]!.fixedClass === 'segment');
  const rule = SUFFIXED[insn.name] ?? (inPart ? 'unusual' : undefined);
  if (!rule) return '';
  if (rule === 'unusual') return d.bits === effectiveBits(d.row, d.mode, false, false) || (d.mode === 64 && options.force64) ? '' : SUFFIX[d.bits];
  if (rule === 'in 64-bit mode') return d.mode !== 64 ? '' : d.bits === 64 ? 'q' : 'd';
  return d.mode === 64 ? '' : SUFFIX[d.bits];
}
