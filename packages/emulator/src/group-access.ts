import type { FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { CPU, ENTER, TLB } from './layout.ts';
import { pushTlbOffset } from './memory-emit.ts';
import type { WalkFunctions } from './page-walk-emit.ts';

const PAGE_BYTES = 4096;
const [CPU_LOCAL, LINEAR, SIZE, SLOT] = [0, 1, 2, 3];

/** What groups of accesses do that miss the TLB. */
export interface GroupFunctions {
  readonly groupRead: number;
  readonly groupWrite: number;
}

/** How often groups of accesses of a region may miss in vain, more often than not. */
export const GROUP_MISSES_MAX = 256;

/**
 * Defines (cpu, linear, size, Enter slot) → address of all the bytes, or 0 where they are not plain memory that may be accessed at
 * once; nothing has happened then. Bytes on two pages are, where the pages follow each other in RAM too. The region of the slot is
 * given up where that is 0 again and again (`HotCode.ungroup`).
 */
export function defineGroupAccess(module: ModuleBuilder, walks: WalkFunctions, ungroup: number): GroupFunctions {
  const countMiss = defineCountMiss(module, ungroup);
  const [groupRead, groupWrite] = (['read', 'write'] as const).map((kind) => {
    const f = module.function(module.type(['i32', 'i64', 'i32', 'i32'], ['i32']));
    f.name = `group ${kind}`;
    writeAccess(f, defineLookup(module, kind, walks[kind]), countMiss);
    return f.index;
  }) as [number, number];
  return { groupRead, groupWrite };
}

function writeAccess(f: FunctionBuilder, lookup: number, countMiss: number): void {
  const entry = f.local('i32');
  const second = f.local('i32');
  const { code } = f;
  const pushAddend = (local: number) => code.localGet(local).memory('i32.load', TLB.addend);
  code.block(); // left where the bytes cannot be had
  code.localGet(CPU_LOCAL).localGet(LINEAR).call(lookup).localTee(entry).op('i32.eqz').brIf(0);
  code.localGet(LINEAR).op('i32.wrap_i64').i32(PAGE_BYTES - 1).op('i32.and').localGet(SIZE).op('i32.add').i32(PAGE_BYTES).op('i32.gt_u').if();
  code.localGet(CPU_LOCAL).localGet(LINEAR).localGet(SIZE).i32(1).op('i32.sub').op('i64.extend_i32_u').op('i64.add').call(lookup).localTee(second).op('i32.eqz').brIf(1);
  pushAddend(entry);
  pushAddend(second).op('i32.ne').brIf(1).op('end');
  code.localGet(SLOT).memory('i32.load16_u', ENTER.missesLeft).i32(GROUP_MISSES_MAX).op('i32.lt_s').if();
  code.localGet(SLOT).localGet(SLOT).memory('i32.load16_u', ENTER.missesLeft).i32(1).op('i32.add').memory('i32.store16', ENTER.missesLeft).op('end');
  pushAddend(entry).localGet(LINEAR).op('i32.wrap_i64').op('i32.add').op('return').op('end');
  code.localGet(SLOT).call(countMiss).i32(0);
}

/** Defines (cpu, linear) → TLB entry by which the page can be accessed, or 0. */
function defineLookup(module: ModuleBuilder, kind: 'read' | 'write', walk: number): number {
  const f = module.function(module.type(['i32', 'i64'], ['i32']));
  f.name = `look up for ${kind}`;
  const entry = f.local('i32');
  const { code } = f;
  pushTlbOffset(code.localGet(LINEAR)).localGet(CPU_LOCAL).localGet(CPU_LOCAL).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.memory('i64.load', kind === 'read' ? TLB.tagRead : TLB.tagWrite).localGet(LINEAR).i64(-PAGE_BYTES).op('i64.and').op('i64.eq').if('i32');
  code.localGet(entry).op('else').localGet(CPU_LOCAL).localGet(LINEAR).call(walk).op('end');
  return f.index;
}

/** Defines (Enter slot): tells the host after so many misses. */
function defineCountMiss(module: ModuleBuilder, ungroup: number): number {
  const f = module.function(module.type(['i32'], []));
  f.name = 'count miss';
  const left = f.local('i32');
  const { code } = f;
  code.localGet(0).localGet(0).memory('i32.load16_u', ENTER.missesLeft).i32(1).op('i32.sub').localTee(left).memory('i32.store16', ENTER.missesLeft);
  code.localGet(left).op('i32.eqz').if().localGet(0).call(ungroup).op('end');
  return f.index;
}
