import type { Code } from '@hanok/wasm';
import { CPU, SLOT } from './layout.ts';

/** Pushes the RIP of the instruction in `slot` (of the one after it with `withLength`). */
export function emitRip(code: Code, cpu: number, slot: number, withLength: boolean): void {
  code.localGet(cpu).memory('i64.load', CPU.codePage);
  code.localGet(slot).memory('i64.load16_u', SLOT.pageOffset).op('i64.add');
  if (withLength) code.localGet(slot).memory('i64.load8_u', SLOT.length).op('i64.add');
}
