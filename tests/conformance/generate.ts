import type { OperandSpec } from '@hanok/x86';
import { chooseAddress, chooseTarget } from './addressing.ts';
import { domains, type Draft, type Drafts, fillPattern, memoryOperandBytes } from './draft.ts';
import type { TestCase } from './driver.ts';
import { encode, immediateBytes, type InstructionChoice, type OperandChoice, operandBits } from './encode.ts';
import type { Form } from './forms.ts';
import { FX, GS_BASE, LAYOUT } from './layout.ts';
import { type Preparation, preparationOf } from './prepare.ts';
import { integerPattern, type Random } from './random.ts';

/** A case with what the comparison needs to know of it. */
export interface GeneratedCase {
  readonly form: Form;
  readonly choice: InstructionChoice;
  readonly test: TestCase;
  /** Address of the memory operand, where there is one. */
  readonly operandAddress: number | undefined;
}

const ATTEMPTS = 64;
const GS_PREFIX = 0x65;
/** CS, SS, DS and ES: without effect in 64-bit mode, and flat in 32-bit mode, where only CS cannot be written. */
const FLAT_SEGMENT_PREFIXES = [0x2e, 0x36, 0x3e, 0x26];

function drawImmediate(draft: Draft, spec: OperandSpec): bigint {
  const bytes = immediateBytes(spec, { bits: draft.form.bits, addressBits: draft.addressBits });
  return BigInt.asUintN(8 * bytes, integerPattern(draft.random));
}

function drawRegister(draft: Draft, spec: OperandSpec, reserved: readonly number[]): OperandChoice {
  const { random, form } = draft;
  const register = (number: number, highByte = false): OperandChoice => ({ kind: 'register', number, highByte });
  if ('PQNT'.includes(spec.kind)) return register(random.below(8));
  if (spec.kind === 'S') return register(random.below(6));
  if (spec.kind === 'C') return register(random.pick([0, 2, 3, 4, 8]));
  if (spec.kind === 'D') return register(random.pick([0, 1, 2, 3, 6, 7]));
  const count = registerCount(form);
  if ('VWU'.includes(spec.kind)) return register(random.below(count));
  const isByte = operandBits(spec, form.bits) === 8;
  if (isByte && random.oneIn(5)) return register(random.between(4, 7), true);
  for (;;) {
    // Without REX, byte registers from 4 on are AH to BH.
    const number = random.below(isByte && form.mode === 32 ? 4 : count);
    if (!reserved.includes(number) || random.oneIn(32)) return register(number);
  }
}

const registerCount = ({ mode }: Form) => (mode === 32 ? 8 : 16);

/** All operands but the address of a memory operand, whose place an immediate holds until then. */
function drawOperands(draft: Draft, preparation: Preparation): OperandChoice[] {
  const separate = preparation.separateOperands ? (preparation.reserved ?? []) : [];
  return draft.form.row.operands.map((spec, index): OperandChoice => {
    if (spec.kind === 'fixed') return { kind: 'implied' };
    if (spec.kind === 'I' || spec.kind === 'J' || spec.kind === 'A') {
      return { kind: 'immediate', value: preparation.immediate?.(draft, index) ?? drawImmediate(draft, spec) };
    }
    if (isMemory(draft.form, spec)) return { kind: 'implied' };
    return drawRegister(draft, spec, separate);
  });
}

function isMemory(form: Form, spec: OperandSpec): boolean {
  return spec.kind === 'O' || spec.kind === 'M' || (form.memory && 'EWQ'.includes(spec.kind));
}

/** Vector operands of 16 bytes are aligned but for the rows that need not be and the few that shall fault. */
function alignmentOf(draft: Draft, bytes: number): number {
  const { row } = draft.form;
  const vector = row.operands.some((spec) => 'WM'.includes(spec.kind) && spec.size === 'dq');
  return vector && bytes === 16 && !row.options.unaligned && !draft.random.oneIn(24) ? 16 : 1;
}

/** Chooses where the memory operand lies and how it is addressed. */
function placeMemory(draft: Draft, operands: OperandChoice[], preparation: Preparation, segment: number): void {
  const { form, random } = draft;
  const index = form.row.operands.findIndex((spec) => isMemory(form, spec));
  if (index < 0) return;
  const bytes = preparation.operandBytes?.(draft) ?? memoryOperandBytes(form);
  const alignment = preparation.alignment?.(draft) ?? alignmentOf(draft, bytes);
  const margin = preparation.marginBytes ?? 0;
  const mayFault = !preparation.noFault;
  let target = chooseTarget(draft, bytes, alignment, mayFault);
  if (margin > 0) target = BigInt(LAYOUT.windowBase + margin + random.below(LAYOUT.windowBytes - 2 * margin - bytes));
  if (target >= BigInt(LAYOUT.windowBase) && target + BigInt(bytes) <= BigInt(LAYOUT.windowBase + LAYOUT.windowBytes) && !random.oneIn(8)) {
    fillPattern(random, draft.memoryView, Number(target) - LAYOUT.windowBase, bytes, random.pick(domains(form)));
  }
  draft.operandAddress = Number(target);
  const offset = BigInt.asUintN(64, segment === GS_PREFIX ? target - GS_BASE : target);
  if (form.row.operands[index]!.kind === 'O') {
    operands[index] = { kind: 'immediate', value: offset };
    return;
  }
  const taken = new Set(preparation.reserved ?? []);
  if (preparation.separateOperands) for (const operand of operands) if (operand.kind === 'register') taken.add(operand.number);
  operands[index] = { kind: 'memory', memory: chooseAddress(draft, offset, taken) };
}

function drawSegment(draft: Draft): number {
  const { random, form } = draft;
  if (!random.oneIn(12)) return 0;
  const { row } = form;
  // Branch hints and CET prefixes share these bytes; strings take the override for their source only.
  const explicit = row.operands.some((spec) => isMemory(form, spec));
  if (!explicit) return 0;
  return form.mode === 64 && random.oneIn(2) ? GS_PREFIX : random.pick(FLAT_SEGMENT_PREFIXES);
}

/** Two vector or x87 operands alike, now and then: comparisons and subtractions of equals. */
function makeAlike(draft: Draft): void {
  if (!draft.random.oneIn(10)) return;
  const a = draft.random.below(16);
  const b = draft.random.below(16);
  draft.fx.copyWithin(FX.xmm + 16 * a, FX.xmm + 16 * b, FX.xmm + 16 * b + 16);
}

/** The same instruction as long as it may be, or a byte longer. */
function padded(random: Random, choice: InstructionChoice, address: number): InstructionChoice {
  const length = encode(choice, address)?.length ?? 15;
  return { ...choice, padding: Math.max(0, random.between(14, 16) - length) };
}

function attempt(random: Random, drafts: Drafts, form: Form): GeneratedCase | undefined {
  const draft = drafts.create(random, form);
  const preparation = preparationOf(form.row);
  const segment = drawSegment(draft);
  makeAlike(draft);
  const operands = drawOperands(draft, preparation);
  placeMemory(draft, operands, preparation, segment);
  draft.operands = operands;
  preparation.apply?.(draft);
  const { row, mode, bits, repeat } = form;
  // LOCK where it is not allowed raises #UD.
  const lock = form.lock || random.oneIn(96);
  const plain: InstructionChoice = { row, mode, bits, addressBits: draft.addressBits, lock, repeat, segment, emptyRex: mode === 64 && random.oneIn(8), padding: 0, operands };
  // One fault of decoding at a time: which of two comes first is not said (SDM vol. 3A table 6-2).
  const choice = lock === form.lock && random.oneIn(64) ? padded(random, plain, draft.codeAddress) : plain;
  const code = encode(choice, draft.codeAddress);
  if (!code) return undefined;
  const next = draft.codeAddress + code.length;
  const exits = [next, ...draft.targets];
  row.operands.forEach((spec, index) => {
    const operand = operands[index]!;
    if (spec.kind === 'J' && operand.kind === 'immediate') exits.push(next + Number(operand.value));
  });
  if (mode === 32) keepLowHalves(draft.gpr);
  const test = { mode, code, codeAddress: draft.codeAddress, exits, gpr: draft.gpr, rflags: draft.rflags, fx: draft.fx, memory: draft.memory };
  return { form, choice, test, operandAddress: draft.operandAddress };
}

/** Registers as 32-bit code sees them. */
function keepLowHalves(gpr: BigUint64Array): void {
  gpr.forEach((value, index) => { gpr[index] = index < 8 ? value & 0xffff_ffffn : 0n; });
}

/** Draws one case of a form. Combinations that have no encoding are drawn again. */
export function generateCase(random: Random, drafts: Drafts, form: Form): GeneratedCase {
  for (let count = 0; count < ATTEMPTS; count++) {
    const result = attempt(random, drafts, form);
    if (result) return result;
  }
  throw new Error(`no encoding found for ${form.row.insn.name} [${form.row.text}] at ${form.bits} bits in ${ATTEMPTS} attempts`);
}
