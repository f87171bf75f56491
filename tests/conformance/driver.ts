import type { CaseMode } from './forms.ts';

/** State before one instruction. Everything is plain bytes so that both worlds take it without conversion. */
export interface TestCase {
  readonly mode: CaseMode;
  /** The bytes of one instruction, and the address they run at. */
  readonly code: Uint8Array;
  readonly codeAddress: number;
  /** Addresses where execution may continue; the first is the next instruction. At least EXIT_BYTES apart. */
  readonly exits: readonly number[];
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8-R15. */
  readonly gpr: BigUint64Array;
  /** The six arithmetic flags and DF; now and then TF for a trap after the instruction, or AC for alignment checks. */
  readonly rflags: number;
  /** FXSAVE image: x87, MXCSR, XMM0-XMM15. */
  readonly fx: Uint8Array;
  /** The window's bytes. */
  readonly memory: Uint8Array;
}

export interface TestException {
  readonly vector: number;
  readonly errorCode: number;
  /** Faulting address of #PF, else 0. */
  readonly cr2: bigint;
}

/** State after it. */
export interface TestResult {
  /** Where execution continues: one of the exits, or the address an exception reports. */
  readonly rip: number;
  readonly exception: TestException | undefined;
  readonly gpr: BigUint64Array;
  readonly rflags: number;
  readonly fx: Uint8Array;
  readonly memory: Uint8Array;
}

/** Something that executes one instruction. */
export interface ConformanceDriver {
  readonly name: string;
  run(test: TestCase): TestResult;
}
