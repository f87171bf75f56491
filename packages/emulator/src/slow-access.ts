import type { Code, FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { CPU, STACK_ACCESS, TLB } from './layout.ts';
import type { WalkFunctions } from './page-walk-emit.ts';

const PAGE_BYTES = 4096;
const [CPU_LOCAL, LINEAR, SIZE] = [0, 1, 2];

/** What the generated code can do about an access that misses the TLB. */
type Access = 'read' | 'write' | 'modify' | 'lock' | 'other';

/**
 * Defines (cpu, linear, size) → address or 0, for an access that does not hit the TLB: walks the page tables, and asks the host
 * where that is not enough. The host takes halves of the address because an i64 would cost a BigInt. `write` gives no address:
 * it moves the scratch area's bytes to their place.
 */
export function defineSlowAccess(module: ModuleBuilder, name: string, access: Access, walks: WalkFunctions, host: number): number {
  const f = module.function(module.type(['i32', 'i64', 'i32'], ['i32']));
  f.name = name;
  if (access !== 'other') walkFirst(f, access, walks);
  askHost(f.code.localGet(LINEAR)).localGet(SIZE).call(host);
  return f.index;
}

/** Defines (cpu, linear) → address of the page in wasm memory that code is fetched from, or 0. */
export function defineFetchAddress(module: ModuleBuilder, walks: WalkFunctions, host: number): number {
  const f = module.function(module.type(['i32', 'i64'], ['i32']));
  f.name = 'fetch address';
  const entry = f.local('i32');
  const { code } = f;
  code.localGet(CPU_LOCAL).localGet(LINEAR).call(walks.fetch).localTee(entry).if();
  code.localGet(LINEAR).op('i32.wrap_i64').i32(-PAGE_BYTES).op('i32.and').localGet(entry).memory('i32.load', TLB.addendExecute).op('i32.add').op('return').op('end');
  askHost(code.localGet(LINEAR)).call(host);
  return f.index;
}

/** Turns the linear address on the stack into its halves. */
function askHost(code: Code): Code {
  return code.op('i32.wrap_i64').localGet(LINEAR).i64(32).op('i64.shr_u').op('i32.wrap_i64');
}

function walkFirst(f: FunctionBuilder, access: Exclude<Access, 'other'>, walks: WalkFunctions): void {
  const { code } = f;
  const entry = f.local('i32');
  const size = f.local('i32');
  code.localGet(SIZE).i32(STACK_ACCESS - 1).op('i32.and').localSet(size);
  code.block();
  code.localGet(LINEAR).op('i32.wrap_i64').i32(PAGE_BYTES - 1).op('i32.and').localGet(size).op('i32.add').i32(PAGE_BYTES).op('i32.gt_u').brIf(0);
  if (access === 'lock') code.localGet(LINEAR).op('i32.wrap_i64').localGet(size).i32(1).op('i32.sub').op('i32.and').brIf(0);
  code.localGet(CPU_LOCAL).localGet(LINEAR).call(access === 'read' ? walks.read : walks.write).localTee(entry).op('i32.eqz').brIf(0);
  code.localGet(LINEAR).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addend).op('i32.add');
  if (access === 'write') {
    code.localSet(entry);
    storeScratch(code, entry, size);
    code.i32(1);
  }
  code.op('return').op('end');
}

/** Aligned stores are single accesses, as other vCPUs see them. */
function storeScratch(code: Code, to: number, size: number): void {
  for (const [bytes, load, store] of [[8, 'i64.load', 'i64.store'], [4, 'i32.load', 'i32.store'], [1, 'i32.load8_u', 'i32.store8'], [2, 'i32.load16_u', 'i32.store16']] as const) {
    code.localGet(size).i32(bytes).op('i32.eq').if();
    code.localGet(to).localGet(CPU_LOCAL).memory(load, CPU.scratch, 1).memory(store, 0, 1).i32(1).op('return').op('end');
  }
  code.localGet(size).i32(16).op('i32.eq').if();
  for (const half of [0, 8]) code.localGet(to).localGet(CPU_LOCAL).memory('i64.load', CPU.scratch + half, 1).memory('i64.store', half, 1);
  code.i32(1).op('return').op('end');
  code.localGet(to).localGet(CPU_LOCAL).i32(CPU.scratch).op('i32.add').localGet(size).memoryCopy();
}
