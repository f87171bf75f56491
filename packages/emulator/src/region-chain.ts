import type { ModuleBuilder } from '@hanok/wasm';
import { pushHashPlace } from './hash-place.ts';
import { countEntry } from './count-entry.ts';
import { BLOCK_HASH, CPU, ENTER, REGION_END, REGION_HASH, SLOT, SPECIAL, TLB } from './layout.ts';
import { pushTlbOffset } from './memory-emit.ts';

/**
 * Defines (cpu, region) → REGION_END: runs regions one after another, as long as the code at RIP is compiled. It stands
 * apart from the interpreter's main function so that its few values stay in registers.
 */
export function defineChain(module: ModuleBuilder, regionTable: number, grow: number, recordsActivity: boolean): number {
  const regionType = module.type(['i32'], ['i32']);
  const f = module.function(module.type(['i32', 'i32'], ['i32']));
  f.name = 'chain';
  const { code } = f;
  const [cpu, region] = [0, 1];
  const end = f.local('i32');
  const entry = f.local('i32');
  const address = f.local('i32');
  const rip = f.local('i64');
  const tag = f.local('i64');
  const known = f.local('i32');
  code.loop();
  code.localGet(cpu).localGet(region).callIndirect(regionType, regionTable).localTee(end).if().localGet(end).op('return').op('end');
  code.block(); // left where the interpreter must look RIP up
  code.localGet(cpu).memory('i32.load', CPU.budget).localGet(cpu).memory('i32.load', CPU.regionBudget).op('i32.le_s');
  code.localGet(cpu).memory('i32.atomic.load', CPU.attention).op('i32.or').brIf(0);
  pushTlbOffset(code.localGet(cpu).memory('i64.load', CPU.rip).localTee(rip));
  code.localGet(cpu).localGet(cpu).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.memory('i64.load', TLB.tagExecute).localGet(rip).i64(-4096).op('i64.and').op('i64.ne').brIf(0);
  code.localGet(rip).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addendExecute).op('i32.add').localTee(address);
  code.op('i64.extend_i32_u').localGet(cpu).memory('i64.load32_u', CPU.blockTag).i64(32).op('i64.shl').op('i64.or').localSet(tag);
  pushHashPlace(code, cpu, address, REGION_HASH).localTee(known).memory('i64.load', REGION_HASH.offset).localGet(tag).op('i64.eq').if();
  code.localGet(known).memory('i32.load', REGION_HASH.offset + 8).localSet(region);
  code.op('else');
  pushHashPlace(code, cpu, address, BLOCK_HASH).localTee(entry).memory('i64.load', BLOCK_HASH.offset).localGet(tag).op('i64.ne').brIf(1);
  code.localGet(entry).memory('i32.load', BLOCK_HASH.offset + 8).localTee(entry);
  code.memory('i32.load16_u', SLOT.handler).i32(SPECIAL.Enter).op('i32.ne').brIf(1);
  code.localGet(entry).memory('i32.load', ENTER.region).localTee(region).op('i32.eqz').brIf(1);
  code.localGet(known).localGet(tag).memory('i64.store', REGION_HASH.offset);
  code.localGet(known).localGet(region).memory('i32.store', REGION_HASH.offset + 8);
  code.localGet(known).localGet(entry).memory('i32.store', REGION_HASH.offset + 12);
  code.op('end');
  code.localGet(cpu).localGet(rip).i64(-4096).op('i64.and').memory('i64.store', CPU.codePage);
  code.localGet(known).memory('i32.load', REGION_HASH.offset + 12).localSet(entry);
  countEntry(code, entry, region, grow);
  if (recordsActivity) code.localGet(cpu).localGet(entry).memory('i32.store', CPU.block);
  code.br(1);
  code.op('end').op('end');
  code.i32(REGION_END.Lookup);
  return f.index;
}
