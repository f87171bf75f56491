import type { Code, MemoryOp } from '@hanok/wasm';
import type { IntegerBits, SegmentName, Value } from '@hanok/x86';
import type { Emitter } from './emitter.ts';
import { emitRip } from './rip-emit.ts';
import type { Lowering } from './ir.ts';
import { ADDRESS_KIND, CPU, SEGMENT_INDEX, SLOT, STACK_ACCESS, TLB } from './layout.ts';

export const LOAD_OPS: Readonly<Record<IntegerBits, { unsigned: MemoryOp; signed: MemoryOp }>> = {
  8: { unsigned: 'i64.load8_u', signed: 'i64.load8_s' },
  16: { unsigned: 'i64.load16_u', signed: 'i64.load16_s' },
  32: { unsigned: 'i64.load32_u', signed: 'i64.load32_s' },
  64: { unsigned: 'i64.load', signed: 'i64.load' },
};
export const STORE_OPS: Readonly<Record<IntegerBits, MemoryOp>> = { 8: 'i64.store8', 16: 'i64.store16', 32: 'i64.store32', 64: 'i64.store' };

/** Turns the linear address on the stack into the offset of its entry in a TLB, which its lower half says; cutting it first costs nothing. */
export function pushTlbOffset(code: Code): Code {
  return code.op('i32.wrap_i64').i32(12 - Math.log2(TLB.entryBytes)).op('i32.shr_u').i32((TLB.entryCount - 1) * TLB.entryBytes).op('i32.and');
}

/** Leaves the address of the linear address's TLB entry in a new local. */
export function emitEntry(l: Lowering, linear: number): number {
  const entry = l.temporary('i32');
  const { code } = l;
  pushTlbOffset(code.localGet(linear));
  if (l.tlb >= 0) code.localGet(l.tlb);
  else code.localGet(l.cpu).localGet(l.cpu).memory('i32.load', CPU.tlb).op('i32.add');
  code.op('i32.add').localSet(entry);
  return entry;
}

/** Pushes whether the entry covers all of [linear, linear + size): an access that leaves the page compares unequal. The local with its tag. */
function emitHit(l: Lowering, linear: number, entry: number, tag: number, sizeBytes: number): number {
  const seen = l.temporary('i64');
  l.code.localGet(linear);
  if (sizeBytes > 1) l.code.i64(sizeBytes - 1).op('i64.add');
  l.code.i64(-4096).op('i64.and').localGet(entry).memory('i64.load', tag).localTee(seen).op('i64.eq');
  return seen;
}

/** Notes the tag of an entry that missed: V8 loads a value twice that is compared and then not used. */
export function emitMiss(code: Code, cpu: number, seen: number): void {
  code.localGet(cpu).localGet(seen).memory('i64.store', CPU.missedTag);
}

export function emitPointer(l: Lowering, linear: number, entry: number): void {
  l.code.localGet(linear).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addend).op('i32.add');
}

/** Pushes the address where the bytes can be accessed; `slow` handles everything but a TLB hit and gives 0 for a fault. */
function emitTranslation(l: Lowering, linear: number, tag: number, sizeBytes: number, slow: number, access = sizeBytes): void {
  const { code } = l;
  const entry = emitEntry(l, linear);
  const pointer = l.temporary('i32');
  code.block('i32');
  emitPointer(l, linear, entry);
  const seen = emitHit(l, linear, entry, tag, sizeBytes);
  code.hint(true).brIf(0).op('drop');
  emitMiss(code, l.cpu, seen);
  code.localGet(l.cpu).localGet(linear).i32(access).call(slow).localTee(pointer).op('i32.eqz').hint(false).if();
  l.flow.fault(code);
  code.op('end').localGet(pointer).op('end');
}

/** What the slow functions are told: the size, and whether the stack is meant, whose addresses raise #SS instead of #GP. */
const accessWord = (sizeBytes: number, onStack: boolean) => (onStack ? sizeBytes | STACK_ACCESS : sizeBytes);

/** Pushes what lies at the linear address. */
export function emitLoad(l: Lowering, linear: number, op: MemoryOp, sizeBytes: number, onStack = false): void {
  emitTranslation(l, linear, TLB.tagRead, sizeBytes, l.callees.slowRead, accessWord(sizeBytes, onStack));
  l.code.memory(op, 0, 1);
}

export function emitStore(l: Lowering, linear: number, value: number, op: MemoryOp, sizeBytes: number, onStack = false): void {
  const { code } = l;
  const entry = emitEntry(l, linear);
  const seen = emitHit(l, linear, entry, TLB.tagWrite, sizeBytes);
  code.hint(true).if();
  emitPointer(l, linear, entry);
  code.localGet(value).memory(op, 0, 1);
  code.op('else');
  emitMiss(code, l.cpu, seen);
  code.localGet(l.cpu).localGet(value).memory(op, CPU.scratch, 1);
  code.localGet(l.cpu).localGet(linear).i32(accessWord(sizeBytes, onStack)).call(l.callees.slowWrite).op('i32.eqz').hint(false).if();
  l.flow.fault(code);
  code.op('end').op('end');
}

/** Leaves in a new local the address where the bytes can be read and written back (`emitWriteBack`). */
export function emitModifyPointer(l: Lowering, linear: number, sizeBytes: number): number {
  const pointer = l.temporary('i32');
  emitTranslation(l, linear, TLB.tagWrite, sizeBytes, l.callees.slowModify);
  l.code.localSet(pointer);
  return pointer;
}

/** Stores through a pointer from `emitModifyPointer`; what went to the scratch area moves on to its destination. */
export function emitWriteBack(l: Lowering, pointer: number, linear: number, value: number, op: MemoryOp, sizeBytes: number): void {
  const { code } = l;
  code.localGet(pointer).localGet(value).memory(op, 0, 1);
  code.localGet(pointer).localGet(l.cpu).i32(CPU.scratch).op('i32.add').op('i32.eq').if();
  code.localGet(l.cpu).localGet(linear).i32(sizeBytes).call(l.callees.slowWrite).op('drop').op('end');
}

/** Pushes the offset of the slot's memory operand within its segment: base + index << scale + displacement. */
function emitLongSum(l: Lowering): void {
  const { code } = l;
  code.localGet(l.cpu).localGet(l.slot).memory('i32.load16_u', SLOT.base).op('i32.add').memory('i64.load');
  code.localGet(l.cpu).localGet(l.slot).memory('i32.load16_u', SLOT.index).op('i32.add').memory('i64.load');
  code.localGet(l.slot).memory('i64.load8_u', SLOT.scale).op('i64.shl').op('i64.add');
  code.localGet(l.slot).memory('i64.load32_s', SLOT.displacement).op('i64.add');
}

/** Pushes the linear address of the slot's memory operand. */
function emitOperandLinear(l: Lowering, sizeBytes: number, write: boolean): void {
  const { code } = l;
  code.localGet(l.slot).memory('i32.load8_u', SLOT.addressKind).op('i32.eqz').if('i64');
  emitLongSum(l);
  code.localGet(l.cpu).localGet(l.slot).memory('i32.load16_u', SLOT.segmentBase).op('i32.add').memory('i64.load').op('i64.add');
  code.op('else');
  code.localGet(l.cpu).localGet(l.slot).call(l.callees.slowAddress);
  emitLegacySegment(l, () => code.localGet(l.slot).memory('i32.load8_u', SLOT.segment), sizeBytes, write, () => {
    code.localGet(l.cpu).localGet(l.slot).memory('i32.load16_u', SLOT.segmentBase).op('i32.add').memory('i64.load').op('i64.add');
  });
  code.op('end');
}

/**
 * Turns the offset on the stack into a linear address: outside 64-bit mode with the segment's base and limits, inside
 * it as `long` does.
 */
function emitLegacySegment(l: Lowering, segment: () => void, sizeBytes: number, write: boolean, long: () => void): void {
  const { code } = l;
  const offset = l.temporary('i64');
  const linear = l.temporary('i64');
  code.localSet(offset);
  code.localGet(l.cpu).memory('i32.load', CPU.blockMode).i32(64).op('i32.eq').if('i64');
  code.localGet(offset);
  long();
  code.op('else');
  code.localGet(l.cpu).localGet(offset);
  segment();
  code.i32(sizeBytes | (write ? 0x100 : 0)).call(l.callees.segmentLinear).localTee(linear).i64(0).op('i64.lt_s').if();
  l.flow.fault(code);
  code.op('end').localGet(linear).op('end');
}

/** Linear address of the slot's memory operand. */
export function operandLinear(e: Emitter, sizeBytes: number, write: boolean): Value {
  return e.node('i64', 'effect', [], (l) => emitOperandLinear(l, sizeBytes, write));
}

/** Offset of the slot's memory operand without its segment (LEA). */
export function operandOffset(e: Emitter): Value {
  return e.node('i64', 'effect', [], (l) => {
    l.code.localGet(l.slot).memory('i32.load8_u', SLOT.addressKind).op('i32.eqz').if('i64');
    emitLongSum(l);
    l.code.op('else').localGet(l.cpu).localGet(l.slot).call(l.callees.slowAddress).op('end');
  });
}

/** Linear address of an offset in a segment that the instruction implies. */
export function segmentAddress(e: Emitter, segment: SegmentName, offset: Value, sizeBytes: number, write: boolean): Value {
  if (e.mode64 && segment !== 'data') return offset;
  return e.node('i64', 'effect', [offset], (l) => {
    const { code } = l;
    l.push(offset);
    const push = () => {
      if (segment === 'data') code.localGet(l.slot).memory('i32.load8_u', SLOT.segment);
      else code.i32(SEGMENT_INDEX[segment]);
    };
    emitLegacySegment(l, push, sizeBytes, write, () => {
      if (segment !== 'data') return;
      code.localGet(l.cpu).localGet(l.slot).memory('i32.load16_u', SLOT.segmentBase).op('i32.add').memory('i64.load').op('i64.add');
    });
  });
}

/** Writes the body of `slowAddress` (cpu, slot) → i64: offsets that are not plain 64-bit sums. */
export function emitSlowAddress(l: Lowering): void {
  const { code } = l;
  const isKind = (kind: number) => code.localGet(l.slot).memory('i32.load8_u', SLOT.addressKind).i32(kind).op('i32.eq');
  isKind(ADDRESS_KIND.FarRip).if();
  emitRip(code, l.cpu, l.slot, true);
  code.localGet(l.slot).memory('i64.load32_s', SLOT.displacement).op('i64.add').op('return').op('end');
  isKind(ADDRESS_KIND.Absolute).if();
  code.localGet(l.slot).memory('i64.load', SLOT.immediate).op('return').op('end');
  emitLongSum(l);
  isKind(ADDRESS_KIND.Legacy16).if('i64').i64(0xffff).op('else').i64(0xffffffffn).op('end').op('i64.and');
}
