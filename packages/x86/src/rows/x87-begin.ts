import type { Emit } from '../emit.ts';

/** What waiting instructions do first: #NM, #MF for a pending exception, and the instruction pointer's record. */
export function begin(e: Emit): void {
  e.helper('x87-begin');
}
