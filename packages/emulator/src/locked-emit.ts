import type { MemoryOp } from '@hanok/wasm';
import type { IntegerBits } from '@hanok/x86';
import type { Lowering } from './ir.ts';
import { CPU, PAIR_LOCK, TLB } from './layout.ts';
import { emitEntry, emitPointer, LOAD_OPS } from './memory-emit.ts';

const EXCHANGE_OPS: Readonly<Record<IntegerBits, MemoryOp>> = {
  8: 'i64.atomic.rmw8.cmpxchg_u', 16: 'i64.atomic.rmw16.cmpxchg_u', 32: 'i64.atomic.rmw32.cmpxchg_u', 64: 'i64.atomic.rmw.cmpxchg',
};


/** A LOCKed read-modify-write while its code is written: locals with the address and with what was read there. */
export interface LockedAccess {
  readonly bits: IntegerBits | 128;
  pointer: number;
  found: number;
  /** The upper half of 16 bytes. */
  foundHigh: number;
}

export const lockedAccess = (bits: LockedAccess['bits']): LockedAccess => ({ bits, pointer: -1, found: -1, foundHigh: -1 });

/**
 * Pushes the operand of a LOCKed instruction and opens the loop that `emitLockedStore` closes: what lies between them
 * computes the new value, has no other effect, and runs again when another vCPU was faster. An aligned access with a
 * TLB hit is compared and exchanged in place. Everything else is the host's: it leaves a copy of the operand that this
 * vCPU alone sees, and holds the other vCPUs where they could see the difference.
 */
export function emitLockedLoad(l: Lowering, access: LockedAccess, linear: number, sign: 'unsigned' | 'signed'): void {
  const { code } = l;
  const bits = access.bits as IntegerBits;
  emitLockedPointer(l, access, linear);
  access.found = l.temporary('i64');
  code.loop();
  code.localGet(access.pointer).memory(LOAD_OPS[bits].unsigned, 0, 1).localTee(access.found);
  if (sign === 'signed' && bits < 64) code.op(`i64.extend${bits as 8 | 16 | 32}_s`);
}

function emitLockedPointer(l: Lowering, access: LockedAccess, linear: number): void {
  const { code } = l;
  const sizeBytes = access.bits / 8;
  const entry = emitEntry(l, linear);
  access.pointer = l.temporary('i32');
  emitPointer(l, linear, entry);
  code.localSet(access.pointer);
  // Aligned accesses stay on their page; the low bits of a misaligned one make it unequal.
  code.localGet(linear).i64(-4096 | (sizeBytes - 1)).op('i64.and').localGet(entry).memory('i64.load', TLB.tagWrite).op('i64.ne').hint(false).if();
  code.localGet(l.cpu).localGet(linear).i32(sizeBytes).call(l.callees.slowLock).localTee(access.pointer).op('i32.eqz').if();
  l.flow.fault(code);
  code.op('end').op('end');
}

/**
 * The same for 16 bytes at an aligned address: their halves are exchanged one after the other while no other vCPU does
 * so, for which there is one lock. When the upper half has changed meanwhile, the lower one is taken back.
 */
export function emitLockedPairLoad(l: Lowering, access: LockedAccess, linear: number): void {
  const { code } = l;
  emitLockedPointer(l, access, linear);
  access.found = l.temporary('i64');
  access.foundHigh = l.temporary('i64');
  code.loop().i32(PAIR_LOCK).i32(0).i32(1).memory('i32.atomic.rmw.cmpxchg').brIf(0).op('end');
  code.loop();
  code.localGet(access.pointer).memory('i64.atomic.load').localTee(access.found).op('i64x2.splat');
  code.localGet(access.pointer).memory('i64.atomic.load', 8).localTee(access.foundHigh).lane('i64x2.replace_lane', 1);
}

export function emitLockedPairStore(l: Lowering, { pointer, found, foundHigh }: LockedAccess, value: number): void {
  const { code } = l;
  const half = (lane: 0 | 1) => code.localGet(value).lane('i64x2.extract_lane', lane);
  code.localGet(pointer).localGet(found);
  half(0).memory('i64.atomic.rmw.cmpxchg').localGet(found).op('i64.ne').brIf(0);
  code.localGet(pointer).localGet(foundHigh);
  half(1).memory('i64.atomic.rmw.cmpxchg', 8).localGet(foundHigh).op('i64.ne').if();
  code.localGet(pointer);
  half(0).localGet(found).memory('i64.atomic.rmw.cmpxchg').op('drop').br(1).op('end');
  code.op('end').i32(PAIR_LOCK).i32(0).memory('i32.atomic.store');
}

/** Stores the new value where the operand is still what was read, else goes back to `emitLockedLoad`. */
export function emitLockedStore(l: Lowering, { bits, pointer, found }: LockedAccess, value: number): void {
  const { code } = l;
  code.localGet(pointer).localGet(found).localGet(value).memory(EXCHANGE_OPS[bits as IntegerBits]).localGet(found).op('i64.ne').brIf(0).op('end');
}

/** What went to the scratch area moves on to its destination, and other vCPUs go on. */
export function emitUnlock(l: Lowering, { bits, pointer }: LockedAccess, linear: number): void {
  const { code } = l;
  code.localGet(pointer).localGet(l.cpu).i32(CPU.scratch).op('i32.add').op('i32.eq').if();
  code.localGet(l.cpu).localGet(linear).i32(bits / 8).call(l.callees.slowUnlock).op('drop').op('end');
}
