import { type Decoded, Decoder, type Disassembly, type ModeBits } from '@hanok/x86';
import { type Line, normalise } from './objdump.ts';

const decoder = new Decoder();

/** Rows that processors execute and objdump 2.40 prints as (bad). */
const UNKNOWN_ROWS = new Set(['D6', 'DC /2 Tt', 'DC /3 Tt', 'DE /2 Tt', 'DD /1 Tt', 'DF /1 Tt', 'DF /2 Tt', 'DF /3 Tt', 'D9 /3 Tt', 'F2 0F BC Gv,Ev', 'F2 0F BD Gv,Ev']);

interface Exception {
  readonly reason: string;
  readonly applies: (decoded: Decoded, prefixes: Uint8Array, address: bigint) => boolean;
}

const named = (decoded: Decoded, ...names: string[]) => names.includes(decoded.row.insn.name);

/** Encodings that objdump 2.40 reads otherwise than the processor does, or than the manual names them. */
const EXCEPTIONS: readonly Exception[] = [
  { reason: 'fences whose ModRM.rm is not 0 are (bad)', applies: (d) => named(d, 'MFENCE', 'SFENCE') && (d.modrm & 7) !== 0 },
  { reason: 'FWAIT is taken as a prefix', applies: (d, prefixes) => named(d, 'FWAIT') && prefixes.length > 0 },
  { reason: '66 before WBINVD is (bad)', applies: (d, prefixes) => named(d, 'WBINVD') && prefixes.includes(0x66) },
  { reason: '66 before a whole ModRM byte is (bad)', applies: (d, prefixes) => d.row.modrm !== undefined && prefixes.includes(0x66) },
  { reason: '67 before an absolute address is shown by some instructions only', applies: (d, prefixes) => d.mode !== 64 && prefixes.includes(0x67) && d.isMemory && d.base < 0 && d.index < 0 },
  { reason: 'hints and bounds checks that this processor does not have are named, or cost (bad) a byte', applies: (d) => /^0F (0D|18|1A|1B|1C) Ev,Gv$/.test(d.row.text) },
  { reason: '66 90 is called xchg ax,ax', applies: (d, prefixes) => d.row.text === '90' && prefixes.includes(0x66) },
  { reason: '66 before 0F 1E with REX.W is not shown', applies: (d, prefixes) => d.row.text === '0F 1E Ev,Gv' && d.bits === 64 && prefixes.includes(0x66) },
  { reason: 'F3 makes 90 with REX.B a PAUSE', applies: (d, prefixes) => named(d, 'XCHG') && d.opcode === 0x90 && prefixes.includes(0xf3) },
  { reason: 'a far pointer of 80 bits is called FWORD', applies: (d) => d.bits === 64 && d.isMemory && d.row.operands.some(({ size }) => size === 'p') },
  { reason: 'a short branch does not wrap at 64 KiB in 16-bit mode', applies: (d, _, address) => d.mode === 16 && d.row.operands[0]?.text === 'Jb' && (address + BigInt(d.lengthBytes) + d.immediate) >> 16n !== address >> 16n },
  { reason: '66 before a short branch is shown, but the target stays whole', applies: (d, prefixes) => d.row.operands[0]?.text === 'Jb' && prefixes.includes(0x66) },
  { reason: '3E before an indirect branch hides the segment outside 64-bit mode', applies: (d, prefixes) => d.mode !== 64 && named(d, 'JMP', 'CALL') && prefixes.includes(0x3e) },
  { reason: 'the immediates 2 and 3 of PCLMULQDQ are taken for 0x10 and 0x11', applies: (d) => named(d, 'PCLMULQDQ') && (d.immediate === 2n || d.immediate === 3n) },
  { reason: '66 before RDFSBASE and kin makes the register 16 bits wide', applies: (d, prefixes) => named(d, 'RDFSBASE', 'RDGSBASE', 'WRFSBASE', 'WRGSBASE') && prefixes.includes(0x66) },
  { reason: '66 63 reads a word on Intel, a doubleword on AMD', applies: (d, prefixes) => named(d, 'MOVSXD') && prefixes.includes(0x66) },
];

/** Whether objdump has no name for what the processor executes. */
export function unknownToObjdump(code: Uint8Array, mode: ModeBits, address: bigint): boolean {
  const decoded = decoder.decode(code, 0, code.length, mode);
  if (typeof decoded === 'string') return false;
  const prefixes = code.subarray(0, decoded.prefixBytes);
  return UNKNOWN_ROWS.has(decoded.row.text) || EXCEPTIONS.some(({ applies }) => applies(decoded, prefixes, address));
}

/** What differs between our line and objdump's, or undefined. */
export function compare(ours: Disassembly, theirs: Line): string | undefined {
  const same = normalise(ours.text) === theirs.text && ours.lengthBytes === theirs.bytes.length;
  if (same) return undefined;
  const bytes = Array.from(theirs.bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `${bytes}\n  ours    ${ours.text} (${ours.lengthBytes} bytes)\n  objdump ${theirs.text} (${theirs.bytes.length} bytes)`;
}
