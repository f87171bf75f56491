import type { Value } from '@hanok/x86';
import type { Lowering } from '../ir.ts';
import type { FlagState } from './region-flags.ts';

/** What the code around an instruction offers it. */
export interface RegionExits {
  /** How the flags are held where code is being written. */
  flagsHere: FlagState;
  /** Leaves so that the interpreter runs this instruction from its start; nothing it did may be visible. */
  interpret(): void;
  /** Leaves after this instruction for the RIP in a local. */
  leave(l: Lowering, target: number): void;
  /** Calls a helper with the whole state in the state block, where it finds its arguments too. */
  callHelper(l: Lowering, number: number, argumentCount: number): void;
}

/** Instructions whose bodies ask for this cannot be part of a region; the interpreter runs them. */
export class NotCompilable extends Error {}

/** The relative branch that ends an instruction. */
export interface Branch {
  readonly condition: Value | undefined;
}
