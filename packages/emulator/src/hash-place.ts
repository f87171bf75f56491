import type { Code } from '@hanok/wasm';

/** A hash table of the state block, by addresses in wasm memory (BLOCK_HASH, REGION_HASH). */
interface HashTable {
  readonly offset: number;
  readonly entryCount: number;
  readonly entryBytes: number;
}

/** Where in wasm memory the entry of an address lies. */
export function hashPlace(blockAddress: number, address: number, { offset, entryCount, entryBytes }: HashTable): number {
  return blockAddress + offset + ((address ^ (address >>> 12)) & (entryCount - 1)) * entryBytes;
}

/** The same in generated code: pushes the place, less the table's offset, for an address in a local. */
export function pushHashPlace(code: Code, cpu: number, address: number, { entryCount, entryBytes }: HashTable): Code {
  code.localGet(address).localGet(address).i32(12).op('i32.shr_u').op('i32.xor').i32(entryCount - 1).op('i32.and');
  return code.i32(Math.log2(entryBytes)).op('i32.shl').localGet(cpu).op('i32.add');
}
