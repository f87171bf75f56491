import type { Code, FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { CPU, TLB } from './layout.ts';
import { pushTlbOffset } from './memory-emit.ts';

const PAGE_BYTES = 4096;

/** Lowers the local `length` (i64, bytes) to what lies on the page of a linear address. */
function stayOnPage(code: Code, length: number, linear: number): void {
  const left = () => code.i64(PAGE_BYTES).localGet(linear).i64(PAGE_BYTES - 1).op('i64.and').op('i64.sub');
  left().localGet(length).op('i64.lt_u').if();
  left().localSet(length).op('end');
}

/** Leaves in a new local where a linear address lies; returns 0 from the function without a TLB hit. */
function translate(f: FunctionBuilder, linear: number, tag: number): number {
  const { code } = f;
  const entry = f.local('i32');
  pushTlbOffset(code.localGet(linear));
  code.localGet(0).localGet(0).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.memory('i64.load', tag).localGet(linear).i64(-PAGE_BYTES).op('i64.and').op('i64.ne').if().i64(0).op('return').op('end');
  code.localGet(linear).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addend).op('i32.add').localSet(entry);
  return entry;
}

/** (cpu, to, from, length, element bytes) → bytes copied, as `Emit.copyForward` says. */
export function defineCopyForward(module: ModuleBuilder): number {
  const f = module.function(module.type(['i32', 'i64', 'i64', 'i64', 'i32'], ['i64']));
  f.name = 'copy forward';
  const [to, from, length, elementBytes] = [1, 2, 3, 4];
  const { code } = f;
  stayOnPage(code, length, to);
  stayOnPage(code, length, from);
  roundDown(code, length, elementBytes);
  const target = translate(f, to, TLB.tagWrite);
  const source = translate(f, from, TLB.tagRead);
  // Bytes that this very copy writes and then reads repeat themselves: one element after another does that right.
  code.localGet(target).localGet(source).op('i32.sub').localGet(length).op('i32.wrap_i64').op('i32.lt_u').if().i64(0).op('return').op('end');
  code.localGet(target).localGet(source).localGet(length).op('i32.wrap_i64').memoryCopy();
  code.localGet(length);
  return f.index;
}

/** length &= ~(element bytes - 1) */
function roundDown(code: Code, length: number, elementBytes: number): void {
  code.localGet(length).i32(0).localGet(elementBytes).op('i32.sub').op('i64.extend_i32_s').op('i64.and').localSet(length);
}

/** (cpu, to, value, length, element bytes) → bytes filled, as `Emit.fillForward` says. */
export function defineFillForward(module: ModuleBuilder): number {
  const f = module.function(module.type(['i32', 'i64', 'i64', 'i64', 'i32'], ['i64']));
  f.name = 'fill forward';
  const [to, value, length, elementBytes] = [1, 2, 3, 4];
  const { code } = f;
  stayOnPage(code, length, to);
  roundDown(code, length, elementBytes);
  const target = translate(f, to, TLB.tagWrite);
  const end = f.local('i32');
  repeatElement(code, value, elementBytes);
  code.localGet(value).localGet(value).i64(8).op('i64.rotl').op('i64.eq').if();
  code.localGet(target).localGet(value).op('i32.wrap_i64').localGet(length).op('i32.wrap_i64').memoryFill();
  code.localGet(length).op('return').op('end');
  // The last 8 bytes may hold fewer: what lies beyond belongs to others, so shorter lengths go alone.
  code.localGet(length).i64(-8).op('i64.and').localTee(length).op('i64.eqz').if().i64(0).op('return').op('end');
  code.localGet(target).localGet(length).op('i32.wrap_i64').op('i32.add').localSet(end);
  code.loop();
  code.localGet(target).localGet(value).memory('i64.store', 0, 1);
  code.localGet(target).i32(8).op('i32.add').localTee(target).localGet(end).op('i32.lt_u').brIf(0);
  code.op('end');
  code.localGet(length);
  return f.index;
}

/** Spreads an element over all 8 bytes of the local `value`. */
function repeatElement(code: Code, value: number, elementBytes: number): void {
  for (const [bytes, mask, factor] of [[1, 0xffn, 0x0101010101010101n], [2, 0xffffn, 0x0001000100010001n], [4, 0xffffffffn, 0x0000000100000001n]] as const) {
    code.localGet(elementBytes).i32(bytes).op('i32.eq').if();
    code.localGet(value).i64(mask).op('i64.and').i64(BigInt.asIntN(64, factor)).op('i64.mul').localSet(value).op('end');
  }
}
