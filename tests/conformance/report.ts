import { describeFlags, type Difference } from './compare.ts';
import type { TestResult } from './driver.ts';
import type { OperandChoice } from './encode.ts';
import { describeForm } from './forms.ts';
import type { GeneratedCase } from './generate.ts';
import { FX, LAYOUT } from './layout.ts';

const NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const hexBytes = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));

function describeOperand(generated: GeneratedCase, operand: OperandChoice, index: number): string {
  const spec = generated.form.row.operands[index]!;
  switch (operand.kind) {
    case 'implied': return spec.text;
    case 'immediate': return hex(BigInt.asUintN(64, operand.value));
    case 'register': {
      if ('VWU'.includes(spec.kind)) return `xmm${operand.number}`;
      if ('PQN'.includes(spec.kind)) return `mm${operand.number}`;
      if (spec.kind === 'T') return `st(${operand.number})`;
      if (operand.highByte) return ['ah', 'ch', 'dh', 'bh'][operand.number - 4]!;
      return `${NAMES[operand.number]}:${spec.text}`;
    }
    case 'memory': {
      const { memory } = operand;
      if (memory.ripRelative) return `[rip -> ${hex(memory.displacement)}]`;
      const parts = [memory.base === undefined ? '' : NAMES[memory.base], memory.index === undefined ? '' : `${NAMES[memory.index]}*${memory.scale}`];
      return `[${[...parts.filter(Boolean), memory.displacement].join(' + ')}]`;
    }
  }
}

function describeInstruction(generated: GeneratedCase): string {
  const { choice, test, form } = generated;
  const prefixes = [
    choice.lock ? 'lock' : '', choice.repeat ? (choice.repeat === 0xf3 ? 'rep' : 'repne') : '', choice.addressBits !== choice.mode ? 'addr32' : '',
    choice.segment ? `segment ${hex(choice.segment)}` : '',
  ].filter(Boolean);
  const operands = choice.operands.map((operand, index) => describeOperand(generated, operand, index)).join(', ');
  return `${hexBytes(test.code).join(' ')}   ${[...prefixes, form.row.insn.name.toLowerCase()].join(' ')} ${operands}`;
}

/** Memory around the operand before the instruction. */
function operandBytes(generated: GeneratedCase): string {
  const { operandAddress, test } = generated;
  if (operandAddress === undefined) return '';
  const at = operandAddress - LAYOUT.windowBase;
  const bytes = at >= 0 && at < LAYOUT.windowBytes ? hexBytes(test.memory.subarray(at, at + 16)).reverse().join('') : 'outside the window';
  return `    operand at ${hex(operandAddress)}: ${bytes}\n`;
}

function floatInputs(generated: GeneratedCase): string {
  const { fx } = generated.test;
  const view = new DataView(fx.buffer, fx.byteOffset);
  const lines: string[] = [];
  generated.choice.operands.forEach((operand, index) => {
    const spec = generated.form.row.operands[index]!;
    if (operand.kind !== 'register' || !'VWU'.includes(spec.kind)) return;
    const at = FX.xmm + 16 * operand.number;
    lines.push(`    xmm${operand.number} = ${hexBytes(fx.subarray(at, at + 16)).reverse().join('')}`);
  });
  if (lines.length > 0) lines.push(`    mxcsr = ${hex(view.getUint32(FX.mxcsr, true))}`);
  const opcode = generated.form.row.opcode;
  const x87 = generated.form.row.map === 0 && opcode >= 0xd8 && opcode <= 0xdf;
  const mmx = generated.form.row.operands.some((spec) => 'PQN'.includes(spec.kind));
  if (x87 || mmx) {
    const word = (offset: number) => hex(view.getUint16(offset, true));
    lines.push(`    control ${word(FX.control)} status ${word(FX.status)} abridged tag ${hex(view.getUint8(FX.tag))}`);
    for (let index = 0; index < 8; index++) {
      const at = FX.registers + 16 * index;
      lines.push(`    st(${index}) = ${hexBytes(fx.subarray(at, at + 10)).reverse().join('')}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** A case that disagrees: the instruction, what went in, and each difference. */
export function describeCase(generated: GeneratedCase, expected: TestResult, differences: readonly Difference[]): string {
  const { test } = generated;
  const registers = Array.from(test.gpr, (value, index) => `${NAMES[index]}=${hex(value)}`);
  const lines = [
    `  ${describeForm(generated.form)}`,
    `    ${describeInstruction(generated)}`,
    `    at ${hex(test.codeAddress)}, flags ${describeFlags(test.rflags)}, ${registers.slice(0, 8).join(' ')}`,
    `    ${registers.slice(8).join(' ')}`,
  ];
  const outcome = differences.slice(0, 6).map((item) => `    ${item.what}: expected ${item.expected}, got ${item.actual}`);
  const note = expected.exception ? `    (the processor raised vector ${expected.exception.vector})\n` : '';
  return `${lines.join('\n')}\n${operandBytes(generated)}${floatInputs(generated)}${note}${outcome.join('\n')}`;
}
