import type { ModuleBuilder } from '@hanok/wasm';
import { BLOCK_HASH, CPU, ENTER, REGION_END, SLOT, SPECIAL, TLB } from './layout.ts';
import { pushTlbOffset } from './memory-emit.ts';

/**
 * Defines (cpu, region) → REGION_END: runs regions one after another, as long as the code at RIP is compiled. It stands
 * apart from the interpreter's main function so that its few values stay in registers.
 */
export function defineChain(module: ModuleBuilder, regionTable: number, recordsActivity: boolean): number {
  const regionType = module.type(['i32'], ['i32']);
  const f = module.function(module.type(['i32', 'i32'], ['i32']));
  f.name = 'chain';
  const { code } = f;
  const [cpu, region] = [0, 1];
  const end = f.local('i32');
  const entry = f.local('i32');
  const address = f.local('i32');
  const rip = f.local('i64');
  code.loop();
  code.localGet(cpu).localGet(region).callIndirect(regionType, regionTable).localTee(end).if().localGet(end).op('return').op('end');
  code.block(); // left where the interpreter must look RIP up
  code.localGet(cpu).memory('i32.load', CPU.budget).localGet(cpu).memory('i32.load', CPU.regionBudget).op('i32.le_s').localGet(cpu).memory('i32.atomic.load', CPU.attention).op('i32.or').brIf(0);
  pushTlbOffset(code.localGet(cpu).memory('i64.load', CPU.rip).localTee(rip));
  code.localGet(cpu).localGet(cpu).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.memory('i64.load', TLB.tagExecute).localGet(rip).i64(-4096).op('i64.and').op('i64.ne').brIf(0);
  code.localGet(rip).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addendExecute).op('i32.add').localTee(address);
  code.localGet(address).i32(12).op('i32.shr_u').op('i32.xor').i32(BLOCK_HASH.entryCount - 1).op('i32.and').i32(4).op('i32.shl').localGet(cpu).op('i32.add').localTee(entry);
  code.memory('i64.load', BLOCK_HASH.offset).localGet(address).op('i64.extend_i32_u').localGet(cpu).memory('i64.load32_u', CPU.blockTag).i64(32).op('i64.shl').op('i64.or').op('i64.ne').brIf(0);
  code.localGet(entry).memory('i32.load', BLOCK_HASH.offset + 8).localTee(entry);
  code.memory('i32.load16_u', SLOT.handler).i32(SPECIAL.Enter).op('i32.ne').brIf(0);
  code.localGet(entry).memory('i32.load', ENTER.region).localTee(region).op('i32.eqz').brIf(0);
  if (recordsActivity) code.localGet(cpu).localGet(entry).memory('i32.store', CPU.block);
  code.localGet(cpu).localGet(rip).i64(-4096).op('i64.and').memory('i64.store', CPU.codePage);
  code.br(1);
  code.op('end').op('end');
  code.i32(REGION_END.Lookup);
  return f.index;
}
