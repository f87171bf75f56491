import type { MemoryChoice } from './encode.ts';
import type { Draft } from './draft.ts';
import { LAYOUT } from './layout.ts';
import type { Random } from './random.ts';

const WINDOW_END = LAYOUT.windowBase + LAYOUT.windowBytes;
const LOW_DWORD = 0xffff_ffffn;

/** Where a memory operand lies. Most are inside the window; the rest make the access fault. */
export function chooseTarget(draft: Draft, bytes: number, alignment: number, mayFault: boolean): bigint {
  const { random } = draft;
  if (mayFault && random.oneIn(24)) return faultingTarget(draft, bytes);
  const span = LAYOUT.windowBytes - bytes;
  let offset = random.below(span + 1);
  // Across the page boundary, and at either end of the window.
  if (random.oneIn(12)) offset = 0x1000 - random.below(bytes + 1);
  else if (random.oneIn(24)) offset = random.oneIn(2) ? 0 : span;
  return BigInt(LAYOUT.windowBase + Math.min(offset - (offset % alignment), span));
}

function faultingTarget(draft: Draft, bytes: number): bigint {
  const { random } = draft;
  const straddling = WINDOW_END - random.below(Math.max(bytes, 1));
  const before = LAYOUT.windowBase - random.between(1, Math.max(bytes, 1));
  const nonCanonical = [0x8000_0000_0000_0000n, 0x0000_8000_0000_0000n, 0xffff_0000_0000_0000n, 0x1234_5678_9abc_def0n];
  if (draft.addressBits === 64 && random.oneIn(4)) return random.pick(nonCanonical);
  return random.pick([BigInt(straddling), BigInt(before), BigInt(WINDOW_END + random.below(0x1000))]);
}

function fits(displacement: bigint, bytes: 0 | 1 | 4): boolean {
  if (bytes === 0) return displacement === 0n;
  const limit = 1n << BigInt(8 * bytes - 1);
  return displacement >= -limit && displacement < limit;
}

function drawDisplacement(random: Random, bytes: 0 | 1 | 4): bigint {
  if (bytes === 0) return 0n;
  if (bytes === 1) return BigInt(random.between(-128, 127));
  return BigInt(random.oneIn(2) ? random.between(-0x4000, 0x4000) : random.u32() | 0);
}

/** A register the address may use: any but those with a value of their own. */
function freeRegister({ random, form }: Draft, taken: ReadonlySet<number>, excluded: readonly number[]): number | undefined {
  const count = form.mode === 32 ? 8 : 16;
  for (let attempt = 0; attempt < 24; attempt++) {
    const register = random.below(count);
    if (!taken.has(register) && !excluded.includes(register)) return register;
  }
  return undefined;
}

/** Gives an address register its value; with 32-bit addresses the upper half is noise. */
function assign(draft: Draft, register: number, value: bigint): void {
  const upper = draft.addressBits === 32 ? draft.random.u64() & ~LOW_DWORD : 0n;
  draft.gpr[register] = draft.addressBits === 32 ? upper | BigInt.asUintN(32, value) : BigInt.asUintN(64, value);
}

function direct(draft: Draft, target: bigint): MemoryChoice | undefined {
  if (!fits(target, 4)) return undefined;
  const common = { base: undefined, index: undefined, displacement: Number(target), displacementBytes: 4 } as const;
  return { ...common, scale: draft.random.pick([1, 2, 4, 8]), ripRelative: draft.form.mode === 64 && draft.random.oneIn(2) };
}

/**
 * Draws an addressing form and gives its registers the values that make it name `target`. Registers in `taken` already
 * have a meaning for the instruction and are left alone.
 */
export function chooseAddress(draft: Draft, target: bigint, taken: ReadonlySet<number>): MemoryChoice {
  const { random, gpr } = draft;
  const mode = random.below(10);
  if (mode === 0) {
    const absolute = direct(draft, target);
    if (absolute) return absolute;
  }
  const displacementBytes = random.pick([0, 1, 4] as const);
  const displacement = drawDisplacement(random, displacementBytes);
  const scale = random.pick([1, 2, 4, 8] as const);
  const index = mode < 5 ? freeRegister(draft, taken, [4]) : undefined;
  if (mode === 1 && index !== undefined) {
    const scaled = scaledOnly(draft, target, index, scale);
    if (scaled) return scaled;
  }
  const base = freeRegister(draft, taken, []);
  if (base === undefined) throw new Error(`no register is left to address 0x${target.toString(16)} with`);
  if (base !== undefined && index === base) return sameRegister(draft, target, base, scale);
  if (index !== undefined && random.oneIn(2)) gpr[index] = BigInt(random.below(0x800));
  const indexed = index === undefined ? 0n : gpr[index]! * BigInt(scale);
  assign(draft, base, target - indexed - displacement);
  return { base, index, scale, displacement: Number(displacement), displacementBytes, ripRelative: false };
}

/** [r + r*scale + displacement]: the displacement takes up what does not divide. */
function sameRegister(draft: Draft, target: bigint, register: number, scale: 1 | 2 | 4 | 8): MemoryChoice {
  const factor = BigInt(scale + 1);
  const remainder = target % factor;
  assign(draft, register, target / factor);
  return { base: register, index: register, scale, displacement: Number(remainder), displacementBytes: 1, ripRelative: false };
}

/** [index*scale + displacement], which always has four bytes of displacement. */
function scaledOnly(draft: Draft, target: bigint, index: number, scale: 1 | 2 | 4 | 8): MemoryChoice | undefined {
  if (target >= 1n << 47n) return undefined;
  const value = BigInt(draft.random.below(0x1000));
  const displacement = target - value * BigInt(scale);
  if (!fits(displacement, 4)) return undefined;
  assign(draft, index, value);
  return { base: undefined, index, scale, displacement: Number(displacement), displacementBytes: 4, ripRelative: false };
}
