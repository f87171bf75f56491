import type { ModuleBuilder } from '@hanok/wasm';
import { pushHashPlace } from '../hash-place.ts';
import { countEntry } from '../count-entry.ts';
import { CPU, REGION_END, REGION_HASH, TLB } from '../layout.ts';
import { pushTlbOffset } from '../memory-emit.ts';

/**
 * Defines the function by which a region goes on where only the guest knows, behind a return or an indirect jump: (cpu, RIP,
 * budget) → REGION_END. It leaves where no region is known there, and where the vCPU must stop.
 */
export function defineJumpRegions(module: ModuleBuilder, regionTable: number, grow: number, recordsActivity: boolean): number {
  const f = module.function(module.type(['i32', 'i64', 'i32'], ['i32']));
  f.name = 'jump regions';
  const [cpu, rip, budget] = [0, 1, 2];
  const entry = f.local('i32');
  const address = f.local('i32');
  const { code } = f;
  code.localGet(cpu).localGet(budget).memory('i32.store', CPU.budget);
  code.localGet(cpu).localGet(rip).memory('i64.store', CPU.rip);
  code.block(); // left where no region is found
  code.localGet(budget).localGet(cpu).memory('i32.load', CPU.regionBudget).op('i32.le_s');
  code.localGet(cpu).memory('i32.atomic.load', CPU.attention).op('i32.or').brIf(0);
  pushTlbOffset(code.localGet(rip));
  code.localGet(cpu).localGet(cpu).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.memory('i64.load', TLB.tagExecute).localGet(rip).i64(-4096).op('i64.and').op('i64.ne').brIf(0);
  code.localGet(rip).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addendExecute).op('i32.add').localSet(address);
  pushHashPlace(code, cpu, address, REGION_HASH).localTee(entry).memory('i64.load', REGION_HASH.offset);
  code.localGet(address).op('i64.extend_i32_u').localGet(cpu).memory('i64.load32_u', CPU.blockTag).i64(32).op('i64.shl').op('i64.or').op('i64.ne').brIf(0);
  if (recordsActivity) code.localGet(cpu).localGet(entry).memory('i32.load', REGION_HASH.offset + 12).memory('i32.store', CPU.block);
  code.localGet(cpu).localGet(rip).i64(-4096).op('i64.and').memory('i64.store', CPU.codePage);
  code.localGet(entry).memory('i32.load', REGION_HASH.offset + 12).localSet(address);
  code.localGet(entry).memory('i32.load', REGION_HASH.offset + 8).localSet(entry);
  countEntry(code, address, entry, grow);
  code.localGet(cpu).localGet(entry).returnCallIndirect(module.type(['i32'], ['i32']), regionTable);
  code.op('end').i32(REGION_END.Lookup);
  return f.index;
}
