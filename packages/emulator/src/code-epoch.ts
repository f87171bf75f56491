import type { Code } from '@hanok/wasm';
import { CPU, TLB_TABLE_BYTES } from './layout.ts';

/** Epochs are multiples of this, so that the number of a TLB can be added. */
const STEP = 4;
/** Bits of an epoch: so many are left of 64 beside a code page's 36 bits. */
const EPOCH_BITS = 28;

/** Is no epoch with the number of a TLB: it has all their bits. */
export const NO_WHEREABOUTS = -1n;

/** The epoch behind another; 0 after the last one, when all that was noted must be forgotten. */
export const nextEpoch = (epoch: number): number => (epoch + STEP) % (2 ** EPOCH_BITS - STEP);

/**
 * Pushes an i64 that is the same as before only if code that was found where it was then, relative to the page that is executing,
 * is there still, for the same privilege: of that page's 48-bit linear address all that is not always the same, and the epoch.
 */
export function pushCodeWhereabouts(code: Code, cpu: number, codePage: number): void {
  code.localGet(codePage).i64(64 - 48).op('i64.shl').localGet(cpu).memory('i32.load', CPU.codeEpoch);
  code.localGet(cpu).memory('i32.load', CPU.tlb).i32(Math.log2(TLB_TABLE_BYTES)).op('i32.shr_u').op('i32.add').op('i64.extend_i32_u').op('i64.or');
}
