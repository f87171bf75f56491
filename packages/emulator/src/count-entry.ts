import type { Code } from '@hanok/wasm';
import { ENTER } from './layout.ts';

/** Counts that the region of a slot, in the local `region`, is entered, from wherever; `grow` is told when that has been often, and may put in another. */
export function countEntry(code: Code, slot: number, region: number, grow: number): void {
  code.localGet(slot).localGet(slot).memory('i32.load', ENTER.entriesLeft).i32(1).op('i32.sub').memory('i32.store', ENTER.entriesLeft);
  code.localGet(slot).memory('i32.load', ENTER.entriesLeft).op('i32.eqz').hint(false).if();
  code.localGet(slot).call(grow).localGet(slot).memory('i32.load', ENTER.region).localSet(region).op('end');
}
