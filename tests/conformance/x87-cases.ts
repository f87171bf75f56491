/** Random x87 states and operands, and the machine code of a row. */
import type { Row } from '@hanok/x86';
import { FX, LAYOUT } from './layout.ts';
import { doublePattern, extendedPattern, integerPattern, type Random, singlePattern } from './random.ts';
import { OPERAND_OFFSET } from './x87-eager.ts';

const EXCEPTIONS = 0x3f;
const EXPONENT_BIAS = 0x3fff;
/** Unbiased exponents at the ends of single, double and the integer formats. */
const FORMAT_ENDS = [-149, -126, -1074, -1022, 127, 1023, 15, 31, 59, 63];
/** Biased exponents at the ends of the extended format, and those whose squares are there. */
const RANGE_ENDS = [0, 1, 2, 30, 60, 0x7ffe, 0x7ffc, 0x2000, 0x5ffe, 0x6000];

/** A value whose exponent is near another's, so that sums cancel and quotients are small. */
function nearby(random: Random, signExponent: number): { significand: bigint; signExponent: number } {
  const exponent = Math.min(0x7ffe, Math.max(1, (signExponent & 0x7fff) + random.between(-3, 3)));
  const significand = (1n << 63n) | (random.oneIn(3) ? random.u64() & (0xffffn << BigInt(random.below(48))) : random.u64());
  return { significand, signExponent: exponent | (random.oneIn(2) ? 0x8000 : 0) };
}

/** An 80-bit pattern; also numbers that fit the smaller formats, and those near the ends of their ranges. */
function pattern(random: Random): { significand: bigint; signExponent: number } {
  const result = extendedPattern(random);
  const sign = result.signExponent & 0x8000;
  if (random.oneIn(4)) {
    const kept = random.pick([1, 8, 16, 24, 25, 26, 32, 53, 54, 55, 63]);
    return { ...result, significand: result.significand & ~((1n << BigInt(64 - kept)) - 1n) };
  }
  if (random.oneIn(6)) {
    const exponent = EXPONENT_BIAS + random.pick(FORMAT_ENDS) + random.between(-3, 3);
    return { significand: random.pick([1n << 63n, (1n << 64n) - 1n, (1n << 63n) | random.u64()]), signExponent: sign | exponent };
  }
  if (random.oneIn(12)) return { significand: random.u64(), signExponent: sign | random.pick(RANGE_ENDS) };
  return result;
}

/** State before an instruction, as an FXSAVE image. No exception is pending. */
export function drawImage(random: Random): Uint8Array {
  const fx = new Uint8Array(FX.sizeBytes);
  const view = new DataView(fx.buffer);
  const masks = random.oneIn(2) ? EXCEPTIONS : random.below(64);
  const control = masks | 0x40 | (random.below(16) << 8);
  const flags = random.oneIn(2) ? 0 : random.below(64) & masks;
  const top = random.below(8);
  view.setUint16(FX.control, control, true);
  view.setUint16(FX.status, flags | (top << 11) | (random.u32() & 0x4740), true);
  const full = random.oneIn(2);
  for (let index = 0; index < 8; index++) {
    const empty = index === 7 ? !random.oneIn(8) : !full && random.oneIn(4);
    if (!empty) fx[FX.tag]! |= 1 << ((top + index) & 7);
    const first = view.getUint16(FX.registers + 8, true);
    const { significand, signExponent } = index > 0 && random.oneIn(3) ? nearby(random, first) : pattern(random);
    view.setBigUint64(FX.registers + index * 16, significand, true);
    view.setUint16(FX.registers + index * 16 + 8, signExponent, true);
    if (index > 0 && random.oneIn(10)) fx.copyWithin(FX.registers + index * 16, FX.registers, FX.registers + 9 + random.below(2));
  }
  view.setUint32(FX.mxcsr, 0x1f80, true);
  return fx;
}

/** Fills the place of the memory operand with something of the row's kind. */
export function drawMemory(random: Random, row: Row, memory: Uint8Array): void {
  const view = new DataView(memory.buffer, memory.byteOffset + OPERAND_OFFSET, 512);
  const size = row.operands[0]?.size;
  const image = size === 'none';
  random.bytes(memory.subarray(OPERAND_OFFSET, OPERAND_OFFSET + (image ? FX.sizeBytes : 16)));
  if (image) {
    view.setUint32(FX.mxcsr, random.u32() & 0xffff, true);
    return;
  }
  const integer = row.insn.name.startsWith('FI') || (size !== 'd' && size !== 'q' && size !== 't');
  if (row.insn.name === 'FBLD') for (let index = 0; index < 9; index++) view.setUint8(index, random.below(10) * 16 + random.below(10));
  else if (integer) view.setBigUint64(0, integerPattern(random), true);
  else if (size === 'd') view.setUint32(0, singlePattern(random), true);
  else if (size === 'q') view.setBigUint64(0, doublePattern(random), true);
  else {
    const { significand, signExponent } = pattern(random);
    view.setBigUint64(0, significand, true);
    view.setUint16(8, signExponent, true);
  }
}

/** Machine code for 64-bit mode, with ST(`number`) or a memory operand at OPERAND_OFFSET in the window. */
export function encode(row: Row, number: number, bits: number): Uint8Array {
  const bytes: number[] = row.rexW ? [0x48] : bits === 16 ? [0x66] : [];
  if (row.map === 1) bytes.push(0x0f);
  bytes.push(row.opcode);
  if (row.modrm !== undefined) bytes.push(row.modrm);
  else if (row.operands[0]?.kind === 'T') bytes.push(0xc0 | (row.extension! << 3) | number);
  else if (row.hasModrm) {
    const address = LAYOUT.windowBase + OPERAND_OFFSET;
    bytes.push(0x04 | (row.extension! << 3), 0x25, address & 255, (address >> 8) & 255, (address >> 16) & 255, address >>> 24);
  }
  return Uint8Array.from(bytes);
}
