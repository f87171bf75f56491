import { memoryOperandBytes } from './draft.ts';
import type { TestResult } from './driver.ts';
import { operandBits } from './encode.ts';
import type { GeneratedCase } from './generate.ts';
import { hostIsAmd } from './host.ts';
import { ARITHMETIC_FLAGS, FLAG, FX, LAYOUT } from './layout.ts';
import { AMD_RULES } from './vendor-differences.ts';

/**
 * What the manual leaves open, and so is not compared. Every entry says where. Processors of one vendor agree with each
 * other here; the emulator follows its CPU model, and software may rely on neither.
 */
export interface Unspecified {
  /** RFLAGS bits. */
  flags: number;
  /** Bits of general registers, by number. */
  readonly registers: Map<number, bigint>;
  /** Bits of the x87 status word; with TOP the tags too. */
  status: number;
  /** Offsets from the memory operand. */
  readonly memory: { from: number; to: number }[];
  /** How far XMM lanes may be apart, relative to their value: approximations. */
  relativeError: number;
  /** How far x87 results may be apart, in units of the last place: transcendental functions. */
  unitsInLastPlace: bigint;
  /** Of a page fault's address only the page is compared: large operands are not touched from their start. */
  faultPageOnly: boolean;
  /** Width of lanes in which one NaN is as good as another; 0 for none. */
  nanLaneBytes: 0 | 4 | 8;
  /** Two exceptions are due and either may come first, so that the outcomes have nothing in common. */
  exceptionOrder: boolean;
}

export interface Rule {
  readonly names: readonly string[];
  readonly cites: string;
  readonly mark: (open: Unspecified, generated: GeneratedCase, expected: TestResult) => void;
}

const { CF, PF, AF, ZF, SF, OF } = FLAG;
const C0 = 0x100;
const C1 = 0x200;
const C2 = 0x400;
const C3 = 0x4000;
const TOP = 0x3800;
const PAGE_FAULT = 14;

/** The count of a shift or rotation as the processor masks it. */
function shiftCount(generated: GeneratedCase): number {
  const { form, choice, test } = generated;
  const last = form.row.operands.length - 1;
  const spec = form.row.operands[last]!;
  const operand = choice.operands[last]!;
  const bits = operandBits(form.row.operands[0]!, form.bits);
  let count = 1n;
  if (operand.kind === 'immediate') count = operand.value;
  else if (spec.fixedClass === 'general') count = test.gpr[1]!;
  return Number(count & (bits === 64 ? 63n : 31n));
}

const width = (generated: GeneratedCase) => operandBits(generated.form.row.operands[0]!, generated.form.bits);

function markRegister(open: Unspecified, generated: GeneratedCase, index: number, bits: bigint): void {
  const operand = generated.choice.operands[index]!;
  if (operand.kind === 'register') open.registers.set(operand.number, bits);
}

const integerRules: readonly Rule[] = [
  { names: ['AND', 'OR', 'XOR', 'TEST'], cites: 'SDM vol. 2, "Flags Affected" of AND, OR, XOR, TEST: AF is undefined', mark: (open) => { open.flags |= AF; } },
  {
    names: ['SHL', 'SHR', 'SAR'],
    cites: 'SDM vol. 2B, SAL/SAR/SHL/SHR: OF only for counts of 1, AF undefined for counts not 0, CF for SHL and SHR with counts of the operand size or more',
    mark(open, generated) {
      const count = shiftCount(generated);
      if (count !== 0) open.flags |= AF;
      if (count > 1) open.flags |= OF;
      if (count >= width(generated) && generated.form.row.insn.name !== 'SAR') open.flags |= CF;
    },
  },
  {
    names: ['ROL', 'ROR', 'RCL', 'RCR'],
    cites: 'SDM vol. 2B, RCL/RCR/ROL/ROR: OF is defined only for rotations by 1',
    mark: (open, generated) => { if (shiftCount(generated) > 1) open.flags |= OF; },
  },
  {
    names: ['SHLD', 'SHRD'],
    cites: 'SDM vol. 2B, SHLD, SHRD: OF for counts above 1 and AF; flags and destination for counts above the operand size',
    mark(open, generated) {
      const count = shiftCount(generated);
      if (count !== 0) open.flags |= AF;
      if (count > 1) open.flags |= OF;
      if (count <= width(generated)) return;
      open.flags |= ARITHMETIC_FLAGS;
      markRegister(open, generated, 0, 0xffffn);
      if (generated.form.memory) open.memory.push({ from: 0, to: 2 });
    },
  },
  { names: ['MUL', 'IMUL'], cites: 'SDM vol. 2, MUL, IMUL: SF, ZF, AF and PF are undefined', mark: (open) => { open.flags |= SF | ZF | AF | PF; } },
  { names: ['DIV', 'IDIV'], cites: 'SDM vol. 2, DIV, IDIV: CF, OF, SF, ZF, AF and PF are undefined', mark: (open) => { open.flags |= ARITHMETIC_FLAGS; } },
  { names: ['BT', 'BTS', 'BTR', 'BTC'], cites: 'SDM vol. 2A, BT: OF, SF, AF and PF are undefined', mark: (open) => { open.flags |= OF | SF | AF | PF; } },
  {
    names: ['BSF', 'BSR'],
    cites: 'SDM vol. 2A, BSF, BSR: CF, OF, SF, AF, PF undefined; the destination undefined for a source of 0',
    mark(open, generated) {
      open.flags |= CF | OF | SF | AF | PF;
      if (sourceIsZero(generated)) markRegister(open, generated, 0, 0xffff_ffff_ffff_ffffn);
    },
  },
  { names: ['TZCNT', 'LZCNT'], cites: 'SDM vol. 2, TZCNT, LZCNT: OF, SF, PF and AF are undefined', mark: (open) => { open.flags |= OF | SF | PF | AF; } },
  { names: ['ANDN', 'BLSI', 'BLSMSK', 'BLSR', 'BZHI'], cites: 'SDM vol. 2, ANDN, BLSI, BLSMSK, BLSR, BZHI: AF and PF are undefined', mark: (open) => { open.flags |= AF | PF; } },
  { names: ['BEXTR'], cites: 'SDM vol. 2A, BEXTR: AF, SF and PF are undefined', mark: (open) => { open.flags |= AF | SF | PF; } },
  { names: ['AAA', 'AAS'], cites: 'SDM vol. 2A, AAA, AAS: OF, SF, ZF and PF are undefined', mark: (open) => { open.flags |= OF | SF | ZF | PF; } },
  { names: ['AAD', 'AAM'], cites: 'SDM vol. 2A, AAD, AAM: OF, AF and CF are undefined', mark: (open) => { open.flags |= OF | AF | CF; } },
  { names: ['DAA', 'DAS'], cites: 'SDM vol. 2A, DAA, DAS: OF is undefined', mark: (open) => { open.flags |= OF; } },
  {
    names: ['BSWAP'],
    cites: 'SDM vol. 2A, BSWAP: a 16-bit operand gives an undefined result',
    mark: (open, generated) => { if (generated.form.bits === 16) markRegister(open, generated, 0, 0xffffn); },
  },
];

function sourceIsZero(generated: GeneratedCase): boolean {
  const { form, choice, test, operandAddress } = generated;
  const source = choice.operands[1]!;
  let value = 0n;
  if (source.kind === 'register') value = test.gpr[source.number]!;
  else {
    const at = (operandAddress ?? 0) - LAYOUT.windowBase;
    for (let index = form.bits / 8 - 1; index >= 0; index--) value = (value << 8n) | BigInt(test.memory[at + index] ?? 0);
  }
  return BigInt.asUintN(form.bits, value) === 0n;
}

const floatRules: readonly Rule[] = [
  {
    names: [
      'FADD', 'FADDP', 'FIADD', 'FSUB', 'FSUBP', 'FISUB', 'FSUBR', 'FSUBRP', 'FISUBR', 'FMUL', 'FMULP', 'FIMUL', 'FDIV', 'FDIVP', 'FIDIV', 'FDIVR',
      'FDIVRP', 'FIDIVR', 'FABS', 'FCHS', 'FBLD', 'FBSTP', 'FCMOVB', 'FCMOVE', 'FCMOVBE', 'FCMOVU', 'FCMOVNB', 'FCMOVNE', 'FCMOVNBE', 'FCMOVNU',
      'FDECSTP', 'FINCSTP', 'FILD', 'FIST', 'FISTP', 'FISTTP', 'FLD', 'FLD1', 'FLDL2T', 'FLDL2E', 'FLDPI', 'FLDLG2', 'FLDLN2', 'FLDZ', 'FRNDINT',
      'FSCALE', 'FSQRT', 'FST', 'FSTP', 'FXCH', 'FXTRACT', 'F2XM1', 'FPATAN', 'FYL2X', 'FYL2XP1',
    ],
    cites: 'SDM vol. 2A, "FPU Flags Affected" of each: C0, C2 and C3 are undefined',
    mark: (open) => { open.status |= C0 | C2 | C3; },
  },
  {
    names: ['FSIN', 'FCOS', 'FSINCOS', 'FPTAN'],
    cites: 'SDM vol. 2A, FSIN, FCOS, FSINCOS, FPTAN: C0 and C3 are undefined; C1 too where C2 is set',
    mark: (open) => { open.status |= C0 | C3; },
  },
  {
    names: ['FNCLEX', 'FFREE', 'FFREEP', 'FLDCW', 'FNOP', 'FNENI', 'FNDISI', 'FNSETPM', 'FNSTCW', 'FNSTENV', 'FNSTSW', 'FWAIT'],
    cites: 'SDM vol. 2A, FCLEX, FFREE, FLDCW, FNOP, FSTCW, FSTENV, FSTSW, WAIT: C0 to C3 are undefined',
    mark: (open) => { open.status |= C0 | C1 | C2 | C3; },
  },
  {
    names: ['FCOMI', 'FCOMIP', 'FUCOMI', 'FUCOMIP'],
    cites: 'SDM vol. 2A, FCOMI: C1 is set to 0; AMD processors (measured on family 17h) leave it as it was',
    mark: (open) => { open.status |= C1; },
  },
  {
    names: ['FLDENV', 'FNSTENV', 'FRSTOR', 'FNSAVE', 'FXSAVE', 'FXSAVE64', 'FXRSTOR', 'FXRSTOR64', 'ENTER'],
    cites: 'SDM vol. 3A §4.7: CR2 holds the address of the access that faulted; in which order an image is accessed is not said',
    mark: (open) => { open.faultPageOnly = true; },
  },
  {
    names: ['F2XM1', 'FSIN', 'FCOS', 'FSINCOS', 'FPTAN', 'FPATAN', 'FYL2X', 'FYL2XP1'],
    cites: 'SDM vol. 1 §8.3.10: transcendental results are within 1 ulp, and how they round is not said, so neither C1 nor PE',
    mark(open) {
      open.unitsInLastPlace = 2n;
      open.status |= C1 | 0x20;
    },
  },
  {
    names: ['RCPPS', 'RCPSS', 'RSQRTPS', 'RSQRTSS'],
    cites: 'SDM vol. 2B, RCPPS, RSQRTPS: relative error up to 1.5 * 2^-12',
    mark: (open) => { open.relativeError = 3 * 2 ** -12; },
  },
  {
    names: ['FNSTENV', 'FNSAVE'],
    cites: 'SDM vol. 1 §8.1.8, APM vol. 2 §11.4.4: the last instruction and data pointers depend on the processor and on whether an exception is pending',
    mark: (open, generated) => open.memory.push(generated.form.bits === 16 ? { from: 6, to: 14 } : { from: 12, to: 28 }),
  },
  {
    names: ['FXSAVE', 'FXSAVE64'],
    cites: 'SDM vol. 1 §10.5.1: FOP, FIP, FDP as above, MXCSR_MASK is the processor\'s own, and reserved bytes',
    mark(open) {
      open.memory.push({ from: 5, to: 24 }, { from: 28, to: 32 }, { from: 416, to: 512 });
      for (let index = 0; index < 8; index++) open.memory.push({ from: 32 + 16 * index + 10, to: 48 + 16 * index });
    },
  },
];

const ALIGNMENT_CHECK = 17;

const faultRules: readonly Rule[] = [
  {
    names: ['FXSAVE', 'FXSAVE64', 'FXRSTOR', 'FXRSTOR64'],
    cites: 'SDM vol. 2A, FXSAVE, "#AC": while alignment is checked a misaligned area raises #AC or #GP, as the implementation has it',
    mark: (open, _, expected) => { open.exceptionOrder ||= expected.exception?.vector === ALIGNMENT_CHECK; },
  },
  {
    names: ['FST', 'FSTP', 'FIST', 'FISTP', 'FISTTP', 'FBSTP'],
    cites: 'SDM vol. 3A table 6-2: #PF, #GP, #SS, #AC and x87 exceptions of one instruction are of one class, without an order',
    mark(open, generated, expected) {
      open.exceptionOrder ||= isUnmaskedByIt(generated.test.fx, expected.fx) && operandFaults(generated);
    },
  },
  {
    names: ['FSTP', 'FBSTP'],
    cites: 'SDM vol. 3A §8.1.1: of operands larger than a quadword a part may be stored before a page fault',
    mark: (open, _, expected) => { if (expected.exception?.vector === PAGE_FAULT) open.memory.push({ from: 0, to: 10 }); },
  },
  {
    names: ['MASKMOVQ', 'MASKMOVDQU'],
    cites: 'SDM vol. 2B, MASKMOVQ: whether an empty mask still raises what the address would is up to the implementation',
    mark: (open, generated, expected) => { open.exceptionOrder ||= expected.exception !== undefined && masksAll(generated); },
  },
  {
    names: ['MASKMOVQ', 'MASKMOVDQU'],
    cites: 'SDM vol. 3A table 6-2, as above: a misaligned place in a segment that cannot be written',
    mark: (open, generated) => { open.exceptionOrder ||= (generated.test.rflags & FLAG.AC) !== 0 && overridesWithCs(generated); },
  },
  {
    names: ['POPA'],
    cites: 'SDM vol. 3A §6.5: a fault leaves what is needed to run the instruction again; registers are loaded one by one and ESP last',
    mark(open, _, expected) {
      if (expected.exception) for (const register of [0, 1, 2, 3, 5, 6, 7]) open.registers.set(register, 0xffff_ffffn);
    },
  },
  {
    names: ['MOVD', 'MOVQ', 'MOVNTQ', 'MASKMOVQ', 'CVTPS2PI', 'CVTTPS2PI', 'CVTPD2PI', 'CVTTPD2PI', 'CVTPI2PS'],
    cites: 'SDM vol. 3A §6.5: a fault restores the state before the instruction; on Intel family 6 a faulting MMX store or conversion has set TOP and the tags all the same',
    mark: (open, _, expected) => { if (expected.exception) open.status |= TOP; },
  },
];

const CS_PREFIX = 0x2e;

/** CS cannot be written; in 64-bit mode its prefix is without effect. */
function overridesWithCs({ form, choice }: GeneratedCase): boolean {
  return form.mode === 32 && (choice.segment === CS_PREFIX || (choice.segment === 0 && choice.padding > 0));
}

/** Whether MASKMOVQ's or MASKMOVDQU's mask selects no byte. */
function masksAll({ form, choice, test }: GeneratedCase): boolean {
  const operand = choice.operands[1]!;
  if (operand.kind !== 'register') return false;
  const top = (new DataView(test.fx.buffer, test.fx.byteOffset).getUint16(FX.status, true) >> 11) & 7;
  const [at, sizeBytes] = form.row.insn.name === 'MASKMOVQ' ? [FX.registers + 16 * ((operand.number - top) & 7), 8] : [FX.xmm + 16 * operand.number, 16];
  return test.fx.subarray(at, at + sizeBytes).every((byte) => byte < 0x80);
}

/** Whether the x87 came to have an unmasked exception pending (SDM vol. 1 §8.1.3.3). */
function isUnmaskedByIt(before: Uint8Array, after: Uint8Array): boolean {
  const ES = 0x80;
  const status = (fx: Uint8Array) => new DataView(fx.buffer, fx.byteOffset).getUint16(FX.status, true);
  return (status(before) & ES) === 0 && (status(after) & ES) !== 0;
}

/** Whether a store to the memory operand faults: beyond the window, misaligned where that counts, through CS. */
function operandFaults(generated: GeneratedCase): boolean {
  const { form, operandAddress, test } = generated;
  if (operandAddress === undefined) return false;
  if (overridesWithCs(generated)) return true;
  const sizeBytes = memoryOperandBytes(form);
  const at = operandAddress - LAYOUT.windowBase;
  return at < 0 || at + sizeBytes > LAYOUT.windowBytes || ((test.rflags & FLAG.AC) !== 0 && operandAddress % Math.min(sizeBytes, 8) !== 0);
}

export const UNDEFINED_RULES: readonly Rule[] = [...integerRules, ...floatRules, ...faultRules];

const RULES_BY_NAME = new Map<string, Rule[]>();
for (const rule of [...UNDEFINED_RULES, ...(hostIsAmd() ? AMD_RULES : [])]) {
  for (const name of rule.names) RULES_BY_NAME.set(name, [...(RULES_BY_NAME.get(name) ?? []), rule]);
}

/** What of this case's outcome the manual leaves open. */
export function unspecifiedOf(generated: GeneratedCase, expected: TestResult): Unspecified {
  const open: Unspecified = {
    flags: 0, registers: new Map(), status: 0, memory: [], relativeError: 0, unitsInLastPlace: 0n, faultPageOnly: false, nanLaneBytes: 0, exceptionOrder: false,
  };
  for (const rule of RULES_BY_NAME.get(generated.form.row.insn.name) ?? []) rule.mark(open, generated, expected);
  return open;
}
