import type { Emit, Value, X87Quick } from '../emit.ts';

/** What waiting instructions do first: #NM, #MF for a pending exception, and the instruction pointer's record. */
export function begin(e: Emit): void {
  e.helper('x87-begin');
}

/** ES of the status word (SDM vol. 1 §8.1.3.3), in `x87Words`. */
const ES_BIT = 16 + 7;

/** Before an operand is looked at: where an exception is pending, `helper` raises it. */
export function waitPending(e: Emit, helper = 'x87-begin'): void {
  e.rarely(e.bit(e.state('x87Words'), ES_BIT), () => void e.helper(helper));
}

/** Does the ordinary case, or else what `helper` says. */
export function quickly(e: Emit, name: X87Quick, operands: readonly Value[], helper: () => void): void {
  e.rarely(e.eqz(e.x87(name, ...operands)), helper);
}
