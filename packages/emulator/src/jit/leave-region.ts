import type { ModuleBuilder } from '@hanok/wasm';
import { CPU } from '../layout.ts';

/**
 * Defines the function by which regions leave where that is rare, which keeps their code small: (cpu, offset from the
 * entry's page, instructions executed since the budget was counted down, budget, end, flag kind plus one or zero where
 * the flags are in the state block, operands, result, flag word) → end.
 */
export function defineLeaveRegion(module: ModuleBuilder): number {
  const f = module.function(module.type(['i32', 'i64', 'i32', 'i32', 'i32', 'i32', 'i64', 'i64', 'i64', 'i32'], ['i32']));
  f.name = 'leave region';
  const [cpu, offset, executed, budget, end, kind, a, b, result, word] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const { code } = f;
  code.localGet(cpu).localGet(cpu).memory('i64.load', CPU.codePage).localGet(offset).op('i64.add').memory('i64.store', CPU.rip);
  code.localGet(cpu).localGet(budget).localGet(executed).op('i32.sub').memory('i32.store', CPU.budget);
  code.localGet(kind).if();
  code.localGet(cpu).localGet(kind).i32(1).op('i32.sub').memory('i32.store', CPU.flagKind);
  code.localGet(cpu).localGet(a).memory('i64.store', CPU.flagA).localGet(cpu).localGet(b).memory('i64.store', CPU.flagB);
  code.localGet(cpu).localGet(result).memory('i64.store', CPU.flagResult).localGet(cpu).localGet(word).memory('i32.store', CPU.flagWord);
  code.op('end').localGet(end);
  return f.index;
}
