import { type Decoded, Decoder, INSTRUCTION_BYTES_MAX, SEGMENT_PREFIX } from './decode.ts';
import { effectiveBits, type ModeBits } from './opcode-match.ts';
import { mnemonicOf } from './mnemonic.ts';
import type { SizeCode } from './operand.ts';
import { hex, IMPLIED_OPERANDS, namesAddressSize, isSelector, operandText, ripTarget, segmentName } from './operand-text.ts';

export interface Disassembly {
  /** Intel syntax as `objdump -M intel` prints it, `(bad)` where the bytes are no instruction of this processor. */
  readonly text: string;
  /** 1 for `(bad)`, so that a sweep can go on. */
  readonly lengthBytes: number;
}

export interface DisassemblyPlace {
  readonly mode: ModeBits;
  /** Where the first byte is; relative targets are printed as addresses. */
  readonly address: bigint;
}

const decoder = new Decoder();

/** The instruction that `bytes` begin with. */
export function disassemble(bytes: Uint8Array, { mode, address }: DisassemblyPlace): Disassembly {
  const d = decoder.decode(bytes, 0, Math.min(bytes.length, INSTRUCTION_BYTES_MAX), mode);
  if (typeof d === 'string') return { text: '(bad)', lengthBytes: 1 };
  const target = ripTarget(d, address);
  const mnemonic = mnemonicOf(d);
  const operands = mnemonic.coversImmediate ? operandsOf(d, address).slice(0, -1) : operandsOf(d, address);
  const words = [...prefixWords(d, bytes.subarray(0, d.prefixBytes)), mnemonic.text];
  if (operands.length > 0) words.push(operands.join(','));
  if (target !== undefined) words.push(`# ${hex(target)}`);
  return { text: words.join(' '), lengthBytes: d.lengthBytes };
}

function operandsOf(d: Decoded, address: bigint): string[] {
  const { insn, operands } = d.row;
  const implied = IMPLIED_OPERANDS[insn.name];
  if (implied) return [...implied(d)];
  // Rows of NOP write all that ModRM names, rows of RET and kin a register only for its size.
  const written = insn.name === 'NOP' ? operands.slice(0, 1) : operands.filter(({ text }) => /^r[A-Z]/.test(text)).length === operands.length ? [] : operands;
  const texts = written.map((spec) => operandText(d, spec, address));
  return withImpliedRegister(d, texts);
}

/** ST(0) of the x87 instructions that write it, and XMM0 of those of SSE4.1 and SHA. */
function withImpliedRegister(d: Decoded, texts: string[]): string[] {
  const { insn, operands, opcode } = d.row;
  if (/^(P?BLENDV(B|PS|PD)|SHA256RNDS2)$/.test(insn.name)) return [...texts, 'xmm0'];
  if (operands[0]?.kind !== 'T') return texts;
  if (/^F(CMOV|U?COMI)/.test(insn.name)) return ['st', ...texts];
  if (!/^F(ADD|MUL|SUB|DIV)/.test(insn.name)) return texts;
  return opcode === 0xd8 ? ['st', ...texts] : [...texts, 'st'];
}

const LOCK = 0xf0;
const REPNE = 0xf2;
const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;
const DS_PREFIX = 0x3e;

/** LOCK and the repeat prefixes, and by name the prefixes that say nothing about this instruction, in their order. */
function prefixWords(d: Decoded, bytes: Uint8Array): string[] {
  const words: string[] = [];
  bytes.forEach((byte, index) => {
    const last = bytes.lastIndexOf(byte) === index;
    if (byte === LOCK) words.push('lock');
    else if (byte === OPERAND_SIZE) {
      if (!last || !usesOperandSize(d)) words.push(d.mode === 16 ? 'data32' : 'data16');
    } else if (byte === ADDRESS_SIZE) {
      if (!last || !usesAddressSize(d)) words.push(d.mode === 32 ? 'addr16' : 'addr32');
    } else if (byte === 0xf2 || byte === 0xf3) {
      if (!last || d.row.prefix !== byte) words.push(repeatWord(d, byte));
    } else if (byte in SEGMENT_PREFIX) {
      const segment = SEGMENT_PREFIX[byte]!;
      if (!last || !usesSegment(d, segment)) words.push(byte === DS_PREFIX && isIndirectBranch(d) ? 'notrack' : segmentName(segment));
    }
  });
  return words;
}

const ofNearBranch = (d: Decoded) => d.row.options.force64 === true && /^(J|CALL|RET)/.test(d.row.insn.name);
const isIndirectBranch = (d: Decoded) => ofNearBranch(d) && d.row.operands[0]?.kind === 'E';
const usesString = (d: Decoded) => d.row.insn.name in IMPLIED_OPERANDS;

/** BND before branches is what F2 meant there (SDM vol. 1 appendix D, "Intel MPX"). */
function repeatWord(d: Decoded, byte: number): string {
  if (byte === REPNE) return ofNearBranch(d) ? 'bnd' : 'repnz';
  return /^(CMPS|SCAS)$/.test(d.row.insn.name) || !d.row.options.repeat ? 'repz' : 'rep';
}

/** Operand sizes that 66 may change; an environment of the x87 (`M`) has 16-bit and 32-bit forms. */
const SIZED = new Set<SizeCode>(['v', 'z', 'p', 'a', 's', 'none']);

function usesOperandSize(d: Decoded): boolean {
  const { row, mode } = d;
  if (row.prefix === OPERAND_SIZE) return true;
  // REX.W prevails, and alone gives SYSRET and SYSEXIT a size.
  if (d.bits === 64 || /^SYS(RET|EXIT)$/.test(row.insn.name)) return false;
  if (row.text === '8E Sw,Ew') return !d.isMemory;
  const sized = /^(ENTER|RET|PUSH$)/.test(row.insn.name) || row.operands.some((spec) => (SIZED.has(spec.size) && !isSelector(d, spec)) || spec.fixedClass === 'segment');
  return sized && effectiveBits(row, mode, true, false) !== effectiveBits(row, mode, false, false);
}

function usesAddressSize(d: Decoded): boolean {
  if (d.isMemory) return namesAddressSize(d);
  return usesString(d) || d.row.insn.name === 'JCXZ';
}

function usesSegment(d: Decoded, segment: number): boolean {
  const readsData = d.isMemory || (usesString(d) && !/^(STOS|SCAS|INS)$/.test(d.row.insn.name));
  return readsData && d.segmentOverride === segment;
}
