import { Vector } from '@hanok/x86';
import { FLAG, FX, LAYOUT } from './layout.ts';
import type { Rule } from './undefined-flags.ts';

/**
 * Where processors of AMD do otherwise than those of Intel, whose the CPU models are (CPUID leaf 0). On an AMD host these
 * are not compared.
 */

const LONGEST = 15;
const PAGE_BYTES = 4096;
const PREFETCH_OPCODE = 0x0d;
const UPPER_HALF = 0xffff_ffff_0000_0000n;
const RCX = 1;
const RSP = 4;
const RSI = 6;
const RDI = 7;
const { CF, PF, AF, ZF, SF, OF } = FLAG;

export const AMD_RULES: readonly Rule[] = [
  {
    names: ['UD0', 'UD1'],
    cites: 'SDM vol. 2B, UD: UD0 and UD1 have a ModRM byte; APM vol. 3, UD0, UD1: none, so that fewer encodings are too long',
    mark: (open, { test }) => { open.exceptionOrder ||= test.code.length > LONGEST; },
  },
  {
    names: ['MOVS', 'STOS', 'LODS', 'SCAS', 'CMPS'],
    cites: 'SDM vol. 2B, REP; APM vol. 3, REP: with 32-bit addresses Intel clears the upper halves of RCX and the pointers although no element was done, AMD does not',
    mark(open, { choice }) {
      if (choice.addressBits !== 32 || choice.repeat === 0) return;
      for (const register of [RCX, RSI, RDI]) open.registers.set(register, UPPER_HALF);
    },
  },
  {
    names: ['SCAS', 'CMPS'],
    cites: 'SDM vol. 2B, REP: a fault restores RFLAGS as before the instruction; APM vol. 3 does not say so, and AMD leaves those of the last element',
    mark: (open, _, expected) => { if (expected.exception) open.flags |= CF | PF | AF | ZF | SF | OF; },
  },
  {
    names: ['CMPS'],
    cites: 'SDM vol. 2A, CMPS; APM vol. 3, CMPSx: which of two accesses is reported is not said; AMD reports the first where that one is misaligned and the second lies on a page that is not there, or where both reach into such a page and one crosses into it',
    mark(open, { form, test }, expected) {
      const apart = Math.abs(Number(BigInt.asIntN(32, test.gpr[RSI]! - test.gpr[RDI]!)));
      const bothReach = expected.exception?.vector === Vector.PF && apart < form.bits / 8;
      open.exceptionOrder ||= bothReach || expected.exception?.vector === Vector.AC;
    },
  },
  {
    names: ['PUSH'],
    cites: 'SDM vol. 2B, PUSH: of four bytes for a segment register processors may write two or all',
    mark(open, { form, test }, expected) {
      if (form.bits !== 32 || form.row.operands[0]!.fixedClass !== 'segment') return;
      const address = Number(test.gpr[RSP]!);
      open.memory.push({ from: address - 2, to: address });
      open.exceptionOrder ||= expected.exception !== undefined && address % 4 !== 0;
    },
  },
  {
    names: ['BOUND'],
    cites: 'SDM vol. 2A, BOUND; APM vol. 3, BOUND: which comes first, #BR for the lower bound or the page fault of the upper one, is not said; AMD reads both bounds before it compares',
    mark(open, { form, operandAddress }) {
      const room = LAYOUT.windowBase + LAYOUT.windowBytes - (operandAddress ?? 0);
      open.exceptionOrder ||= room >= form.bits / 8 && room < form.bits / 4;
    },
  },
  {
    names: ['FXSAVE', 'FXSAVE64', 'FXRSTOR', 'FXRSTOR64'],
    cites: 'SDM vol. 2A, FXSAVE: the area has 512 bytes, and all must be accessible; APM vol. 5, FXSAVE: bytes 416 to 511 are not used, and which of two pages that are not there is reported is not said',
    mark(open, { operandAddress = 0 }) {
      const room = LAYOUT.windowBase + LAYOUT.windowBytes - operandAddress;
      const pageRoom = PAGE_BYTES - (operandAddress % PAGE_BYTES);
      open.exceptionOrder ||= (room >= FX.end && room < FX.sizeBytes) || pageRoom < FX.sizeBytes;
    },
  },
  {
    names: ['DPPS', 'DPPD'],
    cites: 'SDM vol. 2A, DPPS; APM vol. 4, DPPS: which of several NaNs comes out is not said',
    mark: (open, { form }) => { open.nanLaneBytes = form.row.insn.name === 'DPPS' ? 4 : 8; },
  },
  {
    names: ['MOVSXD'],
    cites: 'SDM vol. 2B, MOVSXD: with a 16-bit operand size the source has 16 bits; APM vol. 3: 32 bits, so that more accesses fault',
    mark: (open, { form }) => { open.exceptionOrder ||= form.bits === 16 && form.memory; },
  },
  {
    names: ['MOVUPS', 'MOVUPD', 'MOVDQU', 'LDDQU', 'PCMPESTRM', 'PCMPESTRI', 'PCMPISTRM', 'PCMPISTRI'],
    cites: 'SDM vol. 2B, MOVUPS, "#AC": while alignment is checked, processors differ in what they do with 16 misaligned bytes; APM vol. 4, MOVUPS: #AC',
    mark: (open, _, expected) => { open.exceptionOrder ||= expected.exception?.vector === Vector.AC; },
  },
  {
    names: ['SHA1RNDS4', 'SHA1NEXTE', 'SHA1MSG1', 'SHA1MSG2', 'SHA256RNDS2', 'SHA256MSG1', 'SHA256MSG2'],
    cites: 'SDM vol. 2A table 2-21: misaligned operands raise #GP; AMD processors (measured on family 19h) take them, whatever APM vol. 4 says',
    mark: (open, { form, operandAddress }) => { open.exceptionOrder ||= form.memory && (operandAddress ?? 0) % 16 !== 0; },
  },
  {
    names: ['NOP'],
    cites: 'SDM vol. 2B, NOP and PREFETCHW: 0F 0D with a register does nothing; APM vol. 3, PREFETCH: #UD',
    mark: (open, { form }) => { open.exceptionOrder ||= form.row.opcode === PREFETCH_OPCODE && !form.memory; },
  },
  {
    names: ['INT1'],
    cites: 'APM vol. 2 §15.12.2: a hypervisor that intercepts #DB sees the address of INT1 itself, and some give it to the guest',
    mark: (open) => { open.exceptionOrder ||= true; },
  },
  {
    names: ['FPREM', 'FPREM1', 'FSCALE'],
    cites: 'SDM vol. 1 §8.5.5, APM vol. 5, FPREM, FSCALE: whether a denormal that stays as it is (as a dividend, or scaled by zero) underflows is not said; AMD says so where that is unmasked',
    mark(open, { test }, expected) {
      const UNDERFLOW = 0x10;
      const control = new DataView(test.fx.buffer, test.fx.byteOffset).getUint16(FX.control, true);
      const status = new DataView(expected.fx.buffer, expected.fx.byteOffset).getUint16(FX.status, true);
      open.exceptionOrder ||= (control & UNDERFLOW) === 0 && (status & UNDERFLOW) !== 0;
    },
  },
];
