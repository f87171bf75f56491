/**
 * What an instruction's shared helper sees (`Emit.helper`). Helpers are TypeScript functions called from generated
 * code for what is rare or awkward; a helper that raises does not return.
 */
export interface HelperContext {
  /** The vCPU's state block; offsets are those of layout.ts. */
  readonly view: DataView;
  /** Raises a guest exception. */
  raise(vector: number, errorCode?: number): never;
  /** Linear memory at the current privilege level, with page faults raised as the processor would. */
  readMemory(linear: bigint, bits: 8 | 16 | 32 | 64): bigint;
  writeMemory(linear: bigint, value: bigint, bits: 8 | 16 | 32 | 64): void;
  /** Raises the page faults that writing [linear, linear + lengthBytes) would, before anything is written. */
  probeWrite(linear: bigint, lengthBytes: number): void;
}

/** Arguments are the values the body passed, as unsigned 64-bit; the result is taken modulo 2^64. */
export type Helper = (context: HelperContext, ...args: bigint[]) => bigint | void;
