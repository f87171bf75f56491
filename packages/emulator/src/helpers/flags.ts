import { Vector } from '@hanok/x86';
import { ARITHMETIC_FLAGS, type CpuState, RFLAGS } from '../cpu-state.ts';
import type { SystemHelper } from '../helper.ts';
import { CPU, FLAG_KIND } from '../layout.ts';

/** Sign bit of a 64-bit value. */
const negative = (value: bigint) => (value >> 63n) & 1n;

/** The six arithmetic flags, worked out of how they were made. */
function arithmeticFlags(state: CpuState): bigint {
  const kind = state.word(CPU.flagKind);
  const word = BigInt(state.word(CPU.flagWord)) & ARITHMETIC_FLAGS;
  if (kind === FLAG_KIND.Explicit) return word;
  const result = state.get(CPU.flagResult);
  let ones = 0;
  for (let byte = Number(result & 0xffn); byte; byte &= byte - 1) ones++;
  let flags = (result === 0n ? 0x40n : 0n) | (negative(result) << 7n) | (ones % 2 === 0 ? 4n : 0n);
  if (kind === FLAG_KIND.Partial) return flags | (word & 0x811n);
  if (kind === FLAG_KIND.Logic) return flags;
  const a = state.get(CPU.flagA);
  const b = state.get(CPU.flagB);
  if (kind === FLAG_KIND.Product) return flags | (BigInt.asIntN(64, a) * BigInt.asIntN(64, b) === BigInt.asIntN(64, result) ? 0n : 0x801n);
  const isSub = kind === FLAG_KIND.Sub;
  flags |= (isSub ? a < b : result < a) ? 1n : 0n;
  flags |= (a ^ b ^ result) & 0x10n;
  return flags | (negative(isSub ? (a ^ b) & (a ^ result) : (a ^ result) & (b ^ result)) << 11n);
}

/** RFLAGS as software sees it. */
export function readFlags(state: CpuState): bigint {
  return arithmeticFlags(state) | state.get(CPU.systemFlags) | RFLAGS.fixed;
}

/** Writes the bits of `mask`; the others keep their value. */
export function writeFlags(state: CpuState, value: bigint, mask = (1n << 64n) - 1n): void {
  const flags = (readFlags(state) & ~mask) | (value & mask);
  const arithmetic = flags & ARITHMETIC_FLAGS;
  state.setWord(CPU.flagKind, FLAG_KIND.Explicit);
  state.setWord(CPU.flagWord, Number(arithmetic));
  state.set(CPU.flagResult, arithmetic & 0x40n ? 0n : 1n);
  const known = RFLAGS.TF | RFLAGS.IF | RFLAGS.DF | RFLAGS.IOPL | RFLAGS.NT | RFLAGS.RF | RFLAGS.VM | RFLAGS.AC | RFLAGS.ID;
  state.set(CPU.systemFlags, (flags & known) | RFLAGS.fixed);
  state.selectTlb();
}

/** Which flags POPF and IRET may change at a privilege level (SDM vol. 2B, "POPF"). */
export function changeableFlags(state: CpuState, bits: number): bigint {
  let mask = ARITHMETIC_FLAGS | RFLAGS.TF | RFLAGS.DF | RFLAGS.NT | RFLAGS.AC | RFLAGS.ID;
  const iopl = Number((state.get(CPU.systemFlags) >> 12n) & 3n);
  if (!state.isProtected || state.cpl === 0) mask |= RFLAGS.IOPL;
  if (!state.isProtected || state.cpl <= iopl) mask |= RFLAGS.IF;
  return bits === 16 ? mask & 0xffffn : mask;
}

export const FLAG_HELPERS: Record<string, SystemHelper> = {
  'check-virtual-8086-iopl'(context) {
    if (context.state.isVirtual8086 && (context.state.get(CPU.systemFlags) & RFLAGS.IOPL) !== RFLAGS.IOPL) context.raise(Vector.GP, 0);
  },
  'set-flags'(context, value, bits) {
    const { state } = context;
    if (state.isVirtual8086 && (state.get(CPU.systemFlags) & RFLAGS.IOPL) !== RFLAGS.IOPL) context.raise(Vector.GP, 0);
    const mask = changeableFlags(state, Number(bits!)) & (state.isVirtual8086 ? ~RFLAGS.IOPL : ~0n);
    writeFlags(state, value! & ~RFLAGS.RF, mask | (bits === 16n ? 0n : RFLAGS.RF));
    context.jump(context.nextRip);
  },
};
