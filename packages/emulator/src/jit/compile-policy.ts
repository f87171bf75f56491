import type { Batches } from './region-compiler.ts';
import type { GrowthPolicy } from './region-growth.ts';

/** When code is compiled. */
export interface CompilePolicy extends Batches, GrowthPolicy {
  /** How often a block runs before, at least. */
  readonly hotCount: number;
  /** Twice as often each time code on its page was dropped, up to so many times. */
  readonly doublingsMax: number;
  /** So many times as often where no earlier machine left its regions; by default no oftener. */
  readonly unknownFactor?: number;
  /** So many times as often while the machine has fewer than `newRegions` regions; by default no oftener. */
  readonly newFactor?: number;
  readonly newRegions?: number;
  /** Instructions of one region at most; by default REGION_INSTRUCTIONS_MAX, which is the limit. */
  readonly regionInstructionsMax?: number;
  /** How much the modules of a vCPU's regions may be, as `ModuleAges` counts; by default a share of MACHINE_INSTRUCTIONS_MAX. */
  readonly instructionsMax?: number;
}

/**
 * To compile an instruction takes 9 us, of two threads of the host that are busy then, and saves 2.5 ns each time it runs; but
 * 60 us at first, when V8 has not optimized the compiler. A machine whose regions are known has little to compile, and code
 * that is compiled for it once serves all later ones.
 *
 * Kernels patch their text while they boot, so that dropped code must not wait for ever; a guest that changes code all the time
 * runs it 16 times as often for each compilation.
 */
export const COMPILE_POLICY: CompilePolicy = {
  hotCount: 3000, doublingsMax: 4, unknownFactor: 2, newFactor: 5, newRegions: 300,
  growCount: 400_000, batchRegions: 16, batchSlices: 8,
};
