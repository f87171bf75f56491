import { ACCESS, ALIGNED_TLB, CR0, CR4, RFLAGS } from './cpu-state.ts';
import type { Lowering } from './ir.ts';
import { CPU, SEGMENT, TLB, TLB_TABLE_BYTES } from './layout.ts';

/** Access rights of the flat segments that 64-bit system calls load without looking at a table (SDM vol. 2B, "SYSCALL"). */
export const FLAT_DATA = ACCESS.present | ACCESS.system | ACCESS.writable | ACCESS.accessed | ACCESS.big | 0x8000;
export const FLAT_CODE32 = FLAT_DATA | ACCESS.code;
export const FLAT_CODE64 = (FLAT_CODE32 & ~ACCESS.big) | ACCESS.long;

/** Writes a flat segment's hidden part; the selector is in a local (i64). */
export function emitFlatSegment(l: Lowering, index: number, selector: number, access: number, cpl: 0 | 3): void {
  const at = CPU.segments + index * SEGMENT.sizeBytes;
  l.code.localGet(l.cpu).i64(0).memory('i64.store', at + SEGMENT.base);
  l.code.localGet(l.cpu).i32(-1).memory('i32.store', at + SEGMENT.limit);
  l.code.localGet(l.cpu).i32(access | (cpl << 5)).memory('i32.store', at + SEGMENT.access);
  l.code.localGet(l.cpu).localGet(selector).memory('i64.store32', at + SEGMENT.selector);
}

/** Chooses the TLB of a privilege level, as `CpuState.selectTlb` does. */
export function emitSelectTlb(l: Lowering, cpl: 0 | 3): void {
  const { code, cpu } = l;
  const table = (number: number) => TLB.offset + number * TLB_TABLE_BYTES;
  const isSet = (offset: number, bit: bigint) => code.localGet(cpu).memory('i32.load', offset).i32(Number(bit)).op('i32.and');
  code.localGet(cpu);
  if (cpl === 3) {
    code.i32(ALIGNED_TLB).i32(table(0));
    isSet(CPU.systemFlags, RFLAGS.AC).op('i32.eqz').op('i32.eqz');
    isSet(CPU.cr0, CR0.AM).op('i32.eqz').op('i32.eqz').op('i32.and');
  } else {
    code.i32(table(1)).i32(table(2));
    isSet(CPU.systemFlags, RFLAGS.AC).op('i32.eqz');
    isSet(CPU.cr4, CR4.SMAP).op('i32.eqz').op('i32.eqz').op('i32.and');
  }
  code.op('select').memory('i32.store', CPU.tlb);
}
