import type { Code } from '@hanok/wasm';
import { CPU } from '../layout.ts';

/** RC, PM and PE of MXCSR (SDM vol. 1 §10.2.3), and their values while inexact results show nowhere. */
const MXCSR_ROUNDING = 0x7020;
const MXCSR_SILENT = 0x1020;

/** Pushes whether RC, PM and PE of MXCSR are not those of `Emit.roundingShows`. */
export function emitRoundingShows(code: Code, cpu: number): void {
  code.localGet(cpu).memory('i32.load', CPU.mxcsr).i32(MXCSR_ROUNDING).op('i32.and').i32(MXCSR_SILENT).op('i32.xor');
}
