import { type Row, usesSse, usesX87 } from '@hanok/x86';
import { BLOCK_TAG, SPECIAL } from './layout.ts';

/** The special handlers of instructions that cannot be executed at all. */
export type AlwaysRaised = typeof SPECIAL.Undefined | typeof SPECIAL.NoDevice;

/** What an instruction raises whatever its operands are, in code with this BLOCK_TAG; undefined where it works. */
export function alwaysRaises(row: Row, blockTag: number): AlwaysRaised | undefined {
  if (blockTag & BLOCK_TAG.x87Absent && usesX87(row)) return SPECIAL.NoDevice;
  if (!(blockTag & (BLOCK_TAG.sseUndefined | BLOCK_TAG.sseAbsent)) || !usesSse(row)) return undefined;
  return blockTag & BLOCK_TAG.sseUndefined ? SPECIAL.Undefined : SPECIAL.NoDevice;
}
