/**
 * The x87 helpers against the host's own processor: every row's body with many more states than the general oracle has
 * time for (results near the ends of formats, cancellation, unmasked exceptions, precision control, empty registers).
 * HANOK_X87_SEED repeats a run, HANOK_X87_CASES sets the cases a row.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Row } from '@hanok/x86';
import { X87 } from '../../packages/x86/src/rows/x87.ts';
import type { TestResult } from './driver.ts';
import { hostIsAmd } from './host.ts';
import { ARITHMETIC_FLAGS, FX, LAYOUT } from './layout.ts';
import { NativeDriver, nativeOracleUnavailable } from './native.ts';
import { Random } from './random.ts';
import { drawImage, drawMemory, encode } from './x87-cases.ts';
import { EagerProcessor, OPERAND_OFFSET } from './x87-eager.ts';

const DEFAULT_CASES = 150;
const C1 = 2;
const TRANSCENDENTAL = new Set(['F2XM1', 'FYL2X', 'FYL2XP1', 'FPTAN', 'FPATAN', 'FSIN', 'FCOS', 'FSINCOS']);
/** Instructions whose C1 differs between vendors: the manual says 0 or nothing, AMD's leave it. */
const OPEN_C1 = /^(FU?COMIP?|FCMOV.*)$/;
/** Both processors promise a result within one unit in the last place of the true one. */
const APART_MAX = 2n;
const UNDERFLOW = 0x10;
/** As in AMD_RULES: whether a denormal that stays as it is underflows. */
const UNSAID_UNDERFLOW = new Set(['FPREM', 'FPREM1', 'FSCALE']);
/** Of the smallest normal number: one in the last place decides whether it is still one, and so whether that underflows. */
const SINES = new Set(['FSIN', 'FSINCOS']);
const SMALLEST_SIGNIFICAND = 1n << 63n;
const REGISTER_BYTES = 10;
const ENTRY_BYTES = 16;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).reverse().toString('hex');

/** Bytes of a stored image that the processors are free in: pointers, opcode, selectors, MXCSR_MASK. */
function openBytes(name: string, bits: number): [number, number] | undefined {
  if (name.startsWith('FXSAVE')) return [6, 32];
  if (name === 'FNSTENV' || name === 'FNSAVE') return bits === 16 ? [6, 14] : [12, 28];
  return undefined;
}

function registerOrder(image: Uint8Array, index: number): bigint {
  const view = new DataView(image.buffer, image.byteOffset + FX.registers + index * ENTRY_BYTES, ENTRY_BYTES);
  return (BigInt(view.getUint16(8, true)) << 63n) + (view.getBigUint64(0, true) & ((1n << 63n) - 1n));
}

/** The manual leaves the results of these operands open: beyond ±1 and beyond ±(1 - √2/2), and those of UNSAID_UNDERFLOW and SINES. */
function isOpen(row: Row, image: Uint8Array): boolean {
  const { name } = row.insn;
  const view = new DataView(image.buffer, image.byteOffset);
  const exponent = view.getUint16(FX.registers + 8, true) & 0x7fff;
  if (exponent === 0x7fff) return false;
  const significand = view.getBigUint64(FX.registers, true);
  if (UNSAID_UNDERFLOW.has(name)) return exponent === 0 && significand !== 0n && (view.getUint16(FX.control, true) & UNDERFLOW) === 0 && hostIsAmd();
  if (SINES.has(name)) return exponent === 1 && significand === SMALLEST_SIGNIFICAND;
  return name === 'F2XM1' ? exponent >= 0x3fff : name === 'FYL2XP1' && exponent >= 0x3ffd;
}

function forgiveLastPlace(native: Uint8Array, ours: Uint8Array): void {
  native[FX.status + 1]! &= ~C1;
  ours[FX.status + 1]! &= ~C1;
  for (let index = 0; index < 2; index++) {
    const distance = registerOrder(native, index) - registerOrder(ours, index);
    const at = FX.registers + index * ENTRY_BYTES;
    if (distance >= -APART_MAX && distance <= APART_MAX) ours.set(native.subarray(at, at + REGISTER_BYTES), at);
  }
}

interface Outcome {
  readonly image: Uint8Array;
  readonly memory: Uint8Array;
  readonly flags: number;
  readonly ax: bigint;
}

function differences(row: Row, bits: number, native: Outcome, ours: Outcome): string[] {
  const { name } = row.insn;
  if (TRANSCENDENTAL.has(name)) forgiveLastPlace(native.image, ours.image);
  if (OPEN_C1.test(name)) for (const { image } of [native, ours]) image[FX.status + 1]! &= ~C1;
  const open = openBytes(name, bits);
  if (open) for (const { memory } of [native, ours]) memory.fill(0, OPERAND_OFFSET + open[0], OPERAND_OFFSET + open[1]);
  const found: string[] = [];
  const compare = (what: string, from: number, to: number, part: 'image' | 'memory' = 'image') => {
    const [expected, actual] = [native[part].subarray(from, to), ours[part].subarray(from, to)];
    if (Buffer.compare(expected, actual) !== 0) found.push(`${what}: the processor has ${hex(expected)}, we have ${hex(actual)}`);
  };
  compare('control word', FX.control, FX.control + 2);
  compare('status word', FX.status, FX.status + 2);
  compare('tags', FX.tag, FX.tag + 1);
  for (let index = 0; index < 8; index++) {
    compare(`ST(${index})`, FX.registers + index * ENTRY_BYTES, FX.registers + index * ENTRY_BYTES + REGISTER_BYTES);
  }
  compare('XMM and MXCSR', FX.mxcsr, FX.mxcsr + 4);
  compare('XMM', FX.xmm, FX.end);
  compare('memory', OPERAND_OFFSET, OPERAND_OFFSET + FX.sizeBytes, 'memory');
  if (native.flags !== ours.flags) found.push(`flags: the processor has ${native.flags.toString(16)}, we have ${ours.flags.toString(16)}`);
  if (native.ax !== ours.ax) found.push(`AX: the processor has ${native.ax.toString(16)}, we have ${ours.ax.toString(16)}`);
  return found;
}

function nativeOutcome(result: TestResult): Outcome {
  assert.equal(result.exception, undefined, 'no case may raise an exception');
  return { image: result.fx, memory: result.memory, flags: result.rflags & ARITHMETIC_FLAGS, ax: result.gpr[0]! & 0xffffn };
}

/** Runs one random case in both worlds. */
function runCase(native: NativeDriver, eager: EagerProcessor, random: Random, row: Row): string[] {
  const number = random.below(8);
  const bits = row.map === 0 && row.operands[0]?.size === 'none' && random.oneIn(2) ? 16 : 32;
  const fx = drawImage(random);
  if (isOpen(row, fx)) return [];
  const memory = new Uint8Array(LAYOUT.windowBytes);
  drawMemory(random, row, memory);
  const rflags = random.u32() & ARITHMETIC_FLAGS;
  const code = encode(row, number, bits);
  const gpr = new BigUint64Array(16);
  const result = native.run({ mode: 64, code, codeAddress: LAYOUT.codeBase, exits: [LAYOUT.codeBase + code.length], gpr, rflags, fx, memory });
  eager.memory.set(memory);
  eager.flags = rflags;
  eager.rax = 0n;
  eager.load(fx);
  eager.run(row, number, bits);
  const ours = { image: eager.store().slice(), memory: eager.memory, flags: eager.flags, ax: eager.rax };
  const found = differences(row, bits, nativeOutcome(result), ours);
  if (found.length === 0) return [];
  const registers = Array.from({ length: 8 }, (_, index) => hex(fx.subarray(FX.registers + index * ENTRY_BYTES).subarray(0, REGISTER_BYTES)));
  return [
    `${row.insn.name} [${row.text}] ST(${number}) control ${hex(fx.subarray(0, 2))} status ${hex(fx.subarray(2, 4))} tags ${hex(fx.subarray(4, 5))}`,
    `operand ${hex(memory.subarray(OPERAND_OFFSET, OPERAND_OFFSET + REGISTER_BYTES))} registers ${registers.join(' ')}`,
    ...found,
  ];
}

const unavailable = nativeOracleUnavailable();
if (unavailable) {
  test('x87 against the host processor: not applicable', (t) => t.diagnostic(unavailable));
} else {
  const seed = Number(process.env['HANOK_X87_SEED'] ?? 1);
  const cases = Number(process.env['HANOK_X87_CASES'] ?? DEFAULT_CASES);
  test(`x87 against the host processor, HANOK_X87_SEED=${seed}, ${cases} cases a row`, async (t) => {
    const native = new NativeDriver();
    const eager = new EagerProcessor();
    for (const [stream, row] of X87.flatMap((insn) => insn.rows).entries()) {
      await t.test(`${row.insn.name} [${row.text}]`, () => {
        const random = new Random(seed, stream);
        for (let count = 0; count < cases; count++) assert.equal(runCase(native, eager, random, row).join('\n'), '');
      });
    }
  });
}
