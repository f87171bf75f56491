import type { ModuleBuilder } from '@hanok/wasm';
import { countEntry } from '../count-entry.ts';
import { CPU, ENTER, REGION_END, TLB } from '../layout.ts';
import { pushTlbOffset } from '../memory-emit.ts';

const PAGE_BYTES = 4096;

/**
 * Defines the function by which a region goes on in another whose Enter slot it knows: (cpu, slot, offset from the entry's
 * page, budget) → REGION_END. It leaves where the slot has no region (any more), where another page is not mapped there,
 * and where the vCPU must stop.
 */
export function defineLinkRegions(module: ModuleBuilder, regionTable: number, grow: number, recordsActivity: boolean): number {
  const f = module.function(module.type(['i32', 'i32', 'i64', 'i32'], ['i32']));
  f.name = 'link regions';
  const [cpu, slot, offset, budget] = [0, 1, 2, 3];
  const entry = f.local('i32');
  const region = f.local('i32');
  const rip = f.local('i64');
  const { code } = f;
  code.localGet(cpu).localGet(budget).memory('i32.store', CPU.budget);
  code.localGet(cpu).localGet(cpu).memory('i64.load', CPU.codePage).localGet(offset).op('i64.add').localTee(rip).memory('i64.store', CPU.rip);
  code.block(); // left where the region cannot be entered
  code.localGet(budget).localGet(cpu).memory('i32.load', CPU.regionBudget).op('i32.le_s');
  code.localGet(cpu).memory('i32.atomic.load', CPU.attention).op('i32.or').brIf(0);
  code.localGet(slot).memory('i32.load', ENTER.region).localTee(region).op('i32.eqz').brIf(0);
  code.localGet(offset).i64(PAGE_BYTES).op('i64.ge_u').if();
  pushTlbOffset(code.localGet(rip));
  code.localGet(cpu).localGet(cpu).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.memory('i64.load', TLB.tagExecute).localGet(rip).i64(-PAGE_BYTES).op('i64.and').op('i64.ne').brIf(1);
  code.localGet(rip).op('i32.wrap_i64').i32(-PAGE_BYTES).op('i32.and').localGet(entry).memory('i32.load', TLB.addendExecute).op('i32.add');
  code.localGet(slot).memory('i32.load', ENTER.page).i32(12).op('i32.shl').localGet(cpu).memory('i32.load', CPU.ramAddress).op('i32.add').op('i32.ne').brIf(1);
  code.localGet(cpu).localGet(rip).i64(-PAGE_BYTES).op('i64.and').memory('i64.store', CPU.codePage);
  code.op('end');
  countEntry(code, slot, region, grow);
  if (recordsActivity) code.localGet(cpu).localGet(slot).memory('i32.store', CPU.block);
  code.localGet(cpu).localGet(region).returnCallIndirect(module.type(['i32'], ['i32']), regionTable);
  code.op('end').i32(REGION_END.Lookup);
  return f.index;
}
