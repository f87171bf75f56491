import type { Code } from '@hanok/wasm';
import { BLOCK_TAG, CPU } from '../layout.ts';
import { EMPTY_BIT } from '../x87/quick/numbers.ts';
import { ORDINARY_WORDS, STACK_REGISTERS, TAGS_SHIFT, TWICE_TOP_MASK, TWICE_TOP_SHIFT } from '../x87/quick/words.ts';
import { LOCAL, type RegionLocals } from './virtual-locals.ts';

/**
 * Loads what a region keeps of the x87, if it does: control, status and tag word; twice the number of the register that TOP was at
 * the region's entry, were it now moved by `stackOffset` since; whether its ordinary cases can be done in place; and the registers
 * counted from there, marked where they are empty.
 */
export function loadX87(code: Code, locals: RegionLocals, stackOffset: number): void {
  if (!locals.has(LOCAL.x87Words) && !locals.has(LOCAL.x87IsOrdinary)) return;
  const { cpu, x87Words, x87Top, x87Significand, x87Head } = LOCAL;
  code.localGet(cpu).memory('i64.load', CPU.x87Control).localSet(x87Words);
  code.localGet(x87Words).i64(TWICE_TOP_SHIFT).op('i64.shr_u').op('i32.wrap_i64').i32(2 * stackOffset).op('i32.sub').i32(TWICE_TOP_MASK).op('i32.and').localSet(x87Top);
  loadIsOrdinary(code);
  const place = (index: number) => code.localGet(x87Top).i32(2 * index).op('i32.add').i32(TWICE_TOP_MASK).op('i32.and');
  const address = (index: number) => place(index).i32(3).op('i32.shl').localGet(cpu).op('i32.add');
  for (let index = 0; index < STACK_REGISTERS; index++) {
    if (locals.has(x87Significand + index)) address(index).memory('i64.load', CPU.x87Registers).localSet(x87Significand + index);
    if (!locals.has(x87Head + index)) continue;
    address(index).memory('i64.load16_u', CPU.x87Registers + 8);
    code.localGet(x87Words).localGet(x87Words).i64(1).op('i64.shr_u').op('i64.and').i64(TAGS_SHIFT).op('i64.shr_u');
    place(index).op('i64.extend_i32_u').op('i64.shr_u').i64(1).op('i64.and').i64(Math.log2(EMPTY_BIT)).op('i64.shl').op('i64.or').localSet(x87Head + index);
  }
}

/** Whether control and status word are such that nothing but a result and C1 comes of an ordinary case, and the pointers are offsets. */
export function loadIsOrdinary(code: Code): void {
  const { cpu, x87Words, x87IsOrdinary } = LOCAL;
  code.localGet(x87Words).i64(ORDINARY_WORDS.mask).op('i64.and').i64(ORDINARY_WORDS.value).op('i64.eq');
  code.localGet(cpu).memory('i32.load', CPU.blockTag).i32(BLOCK_TAG.linearPointers).op('i32.and').op('i32.eqz').op('i32.and').localSet(x87IsOrdinary);
}
