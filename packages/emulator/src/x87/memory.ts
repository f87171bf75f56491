import type { HelperContext } from '../helper.ts';
import { CPU, SEGMENT, SEGMENT_INDEX } from '../layout.ts';
import { EXPONENT_MAX, float80, type Float80 } from './float80.ts';

const CR0_PE = 1n;
const RFLAGS_VM = 1n << 17n;
const EFER_LMA = 1n << 10n;
/** Access rights: code segment's L bit (see SegmentState). */
const ACCESS_LONG = 1 << 13;

export function is64BitMode(view: DataView): boolean {
  if (!(view.getBigUint64(CPU.efer, true) & EFER_LMA)) return false;
  return (view.getUint32(CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes + SEGMENT.access, true) & ACCESS_LONG) !== 0;
}

/** Real-address and virtual-8086 mode keep linear addresses in the instruction and data pointers. */
export function isRealAddressing(view: DataView): boolean {
  return !(view.getBigUint64(CPU.cr0, true) & CR0_PE) || (view.getBigUint64(CPU.systemFlags, true) & RFLAGS_VM) !== 0n;
}

/** Address of byte `index` of an operand: outside 64-bit mode linear addresses have 32 bits. */
export function byteAddress(context: HelperContext, linear: bigint, index: number): bigint {
  return BigInt.asUintN(is64BitMode(context.view) ? 64 : 32, linear + BigInt(index));
}

export function readExtended(context: HelperContext, linear: bigint): Float80 {
  const significand = context.readMemory(linear, 64);
  const head = Number(context.readMemory(byteAddress(context, linear, 8), 16));
  return float80((head & 0x8000) !== 0, head & EXPONENT_MAX, significand);
}

/** The caller has probed all ten bytes. */
export function writeExtended(context: HelperContext, linear: bigint, value: Float80): void {
  context.writeMemory(linear, value.significand, 64);
  context.writeMemory(byteAddress(context, linear, 8), BigInt((value.negative ? 0x8000 : 0) | value.exponent), 16);
}

/** Offset of the last memory operand, for FNSTENV and kin. */
export function recordDataPointer(context: HelperContext, offset: bigint): void {
  context.view.setBigUint64(CPU.x87DataPointer, offset, true);
}
