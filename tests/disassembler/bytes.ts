import type { ModeBits, OperandSpec, Row } from '@hanok/x86';
import { encode, type MemoryChoice, type OperandChoice } from '../conformance/encode.ts';
import type { Form } from '../conformance/forms.ts';
import type { Random } from '../conformance/random.ts';

/** Machine code to disassemble: each form of a row through the encoder, and each row with random ModRM and prefixes. */

const SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const CONTROL_REGISTERS = [0, 2, 3, 4, 8];

function drawMemory(random: Random): MemoryChoice {
  const displacementBytes = random.pick([0, 1, 4] as const);
  const displacement = displacementBytes === 0 ? 0 : displacementBytes === 1 ? random.between(-128, 127) : random.u32() | 0;
  const base = random.oneIn(8) ? undefined : random.below(16);
  const index = random.oneIn(2) ? undefined : random.pick([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  return { base, index, scale: random.pick([1, 2, 4, 8] as const), displacement, displacementBytes: base === undefined ? 4 : displacementBytes, ripRelative: random.oneIn(8) };
}

function drawOperand(random: Random, spec: OperandSpec, memory: boolean, highBytes: boolean): OperandChoice {
  const register = (number: number, highByte = false): OperandChoice => ({ kind: 'register', number, highByte });
  if (spec.kind === 'fixed') return { kind: 'implied' };
  if (spec.kind === 'M' || (memory && 'EWQ'.includes(spec.kind))) return { kind: 'memory', memory: drawMemory(random) };
  if ('IJOA'.includes(spec.kind)) return { kind: 'immediate', value: random.oneIn(3) ? BigInt(random.below(0x20)) : random.u64() };
  if (spec.kind === 'S') return register(random.below(6));
  if (spec.kind === 'C') return register(random.pick(CONTROL_REGISTERS));
  if ('DPQNT'.includes(spec.kind)) return register(random.below(8));
  if (spec.size === 'b' && highBytes) return register(random.below(8), true);
  return register(random.below(16));
}

/** One encoding of a form in 64-bit mode, or undefined where the draw has none. */
export function encodeForm(random: Random, form: Form, address: number): Uint8Array | undefined {
  const highBytes = random.oneIn(3);
  const operands = form.row.operands.map((spec) => drawOperand(random, spec, form.memory, highBytes));
  const high = operands.map((operand) => (operand.kind === 'register' && operand.highByte && operand.number < 4 ? { ...operand, highByte: false } : operand));
  const { row, bits, lock, repeat } = form;
  const addressBits = random.oneIn(5) ? 32 : 64;
  const segment = form.memory && random.oneIn(5) ? random.pick([0x64, 0x65]) : 0;
  return encode({ row, mode: 64, bits, addressBits, lock, repeat, segment, emptyRex: false, padding: 0, operands: high }, address);
}

/** The bytes of a row with random prefixes, ModRM and what follows; often too many of these, never too few. */
export function drawRow(random: Random, row: Row, mode: ModeBits): Uint8Array {
  const bytes: number[] = [];
  const { options } = row;
  if (random.oneIn(8)) bytes.push(random.pick(mode === 64 ? [0x64, 0x65] : SEGMENT_PREFIXES));
  if (random.oneIn(6)) bytes.push(0x67);
  if (options.lock && random.oneIn(4)) bytes.push(0xf0);
  if (options.repeat && random.oneIn(2)) bytes.push(random.pick([0xf2, 0xf3]));
  if (row.vexLength !== undefined) return randomTail(random, row, [...bytes, ...vexPrefix(random, row, mode)]);
  if (row.prefix === 0x66 || (row.prefix === 'any' && random.oneIn(4))) bytes.push(0x66);
  if (row.prefix === 0xf2 || row.prefix === 0xf3) bytes.push(row.prefix);
  const wide = row.rexW ?? (row.operands.some(({ size }) => size === 'v' || size === 'y') && random.oneIn(3));
  if (mode === 64 && (wide || random.oneIn(3))) bytes.push(0x40 | (wide ? 8 : 0) | random.below(8));
  bytes.push(...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!);
  return randomTail(random, row, bytes);
}

/**
 * Three bytes of VEX with registers, W and now and then a length or map that is not the row's (SDM vol. 2A figure 2-9).
 * Outside 64-bit mode the processor ignores the top bit of vvvv (§2.3.5.6), which objdump does not always.
 */
function vexPrefix(random: Random, row: Row, mode: ModeBits): number[] {
  const prefix = typeof row.prefix === 'number' ? [0, 0x66, 0xf3, 0xf2].indexOf(row.prefix) : 0;
  const registers = (random.below(8) << 5) | 0xc0;
  const length = random.oneIn(16) ? 1 - row.vexLength! : row.vexLength!;
  return [0xc4, registers | (random.oneIn(16) ? random.below(4) : row.map), ((random.below(32) | (mode === 64 ? 0 : 8)) << 3) | (length << 2) | prefix];
}

function randomTail(random: Random, row: Row, bytes: number[]): Uint8Array {
  bytes.push(row.opcode + (row.plusRegister ? random.below(8) : 0));
  if (row.modrm !== undefined) bytes.push(row.modrm);
  else if (row.hasModrm) bytes.push((random.below(256) & 0xc7) | ((row.extension ?? random.below(8)) << 3));
  while (bytes.length < 15) bytes.push(random.oneIn(3) ? random.below(4) : random.below(256));
  return Uint8Array.from(bytes);
}
