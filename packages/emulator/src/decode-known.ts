import type { Code, ModuleBuilder } from '@hanok/wasm';
import { pushHashPlace } from './hash-place.ts';
import { BLOCK_HASH, CPU, SHAPE_MARK, SHAPE_TRAIT, SHAPES, SLOT } from './layout.ts';

const PAGE_BYTES = 4096;
const [CPU_LOCAL, AT, END, SLOT_LOCAL, LEFT, LOOKS] = [0, 1, 2, 3, 4, 5];

/**
 * How a run of decoded instructions ends: not yet, the next one must be decoded otherwise; control does not go on; the block ends;
 * and, where the host decodes, with an exception, or since its first instruction is not all on this page. The first three are what
 * `decodeKnown` gives in the lower bits of a slot's address.
 */
export const DECODE_END = { None: 0, Ends: 1, Last: 2, mask: 3, Raises: 4, Crosses: 5 } as const;

interface Locals {
  readonly at: number;
  readonly place: number;
  readonly source: number;
  readonly traits: number;
  readonly bytes: number;
  readonly value: number;
}

/**
 * Defines (cpu, address of code, end of its page, slot, instructions at most, nonzero where a block may begin at the first) → where
 * the slots end, and a DECODE_END: decodes instructions of known shapes (`ShapeTable`), as far as to a block that is there.
 */
export function defineDecodeKnown(module: ModuleBuilder): number {
  const f = module.function(module.type(['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], ['i32']));
  f.name = 'decode known';
  const l: Locals = { at: f.local('i32'), place: f.local('i32'), source: f.local('i32'), traits: f.local('i32'), bytes: f.local('i32'), value: f.local('i64') };
  const { code } = f;
  code.loop();
  const top = code.depth;
  stopAtEnds(code);
  findShape(code, l);
  code.localGet(SLOT_LOCAL).localGet(l.source).memory('v128.load', SHAPES.offset + SHAPES.slots).memory('v128.store', 0);
  code.localGet(SLOT_LOCAL).localGet(l.source).memory('v128.load', SHAPES.offset + SHAPES.slots + 16).memory('v128.store', 16);
  code.localGet(SLOT_LOCAL).localGet(AT).i32(PAGE_BYTES - 1).op('i32.and').memory('i32.store16', SLOT.pageOffset);
  fillDisplacement(code, l);
  fillImmediate(code, l);
  code.localGet(l.at).localGet(l.bytes).op('i32.add').localSet(AT);
  code.localGet(SLOT_LOCAL).i32(SLOT.sizeBytes).op('i32.add').localSet(SLOT_LOCAL);
  code.localGet(LEFT).i32(1).op('i32.sub').localSet(LEFT).i32(1).localSet(LOOKS);
  for (const [trait, why] of [[SHAPE_TRAIT.ends, DECODE_END.Ends], [SHAPE_TRAIT.last, DECODE_END.Last]] as const) {
    code.localGet(l.traits).i32(trait).op('i32.and').if();
    stop(code, why);
    code.op('end');
  }
  code.br(code.depth - top).op('end').op('unreachable');
  return f.index;
}

function stop(code: Code, why: number): void {
  code.localGet(SLOT_LOCAL).i32(why).op('i32.or').op('return');
}

/** Stops where nothing is left to decode, and where a block begins that is there. */
function stopAtEnds(code: Code): void {
  code.localGet(LEFT).op('i32.eqz').localGet(AT).localGet(END).op('i32.ge_u').op('i32.or').if();
  stop(code, DECODE_END.Last);
  code.op('end');
  const isAt = (offset: number, push: () => Code) => {
    pushHashPlace(code, CPU_LOCAL, AT, BLOCK_HASH).memory('i32.load', BLOCK_HASH.offset + offset);
    push().op('i32.eq');
  };
  isAt(0, () => code.localGet(AT));
  isAt(4, () => code.localGet(CPU_LOCAL).memory('i32.load', CPU.blockTag));
  code.op('i32.and').localGet(LOOKS).op('i32.and').if();
  stop(code, DECODE_END.Last);
  code.op('end');
}

/** Leaves the shape's traits, where in SHAPES its slot is, where displacement and immediate begin, and how many bytes they are; stops where it is not known, or they are not all there. */
function findShape(code: Code, l: Locals): void {
  const known = () => code.localGet(CPU_LOCAL).localGet(l.place);
  code.i32(0).localSet(l.place).localGet(AT).localSet(l.at);
  code.loop();
  code.localGet(l.at).localGet(END).op('i32.ge_u').if();
  stop(code, DECODE_END.None);
  code.op('end');
  known().i32(Math.log2(SHAPES.nodeBytes)).op('i32.shl').op('i32.add');
  code.localGet(l.at).memory('i32.load8_u').i32(1).op('i32.shl').op('i32.add').memory('i32.load16_u', SHAPES.offset + SHAPES.nodes).localSet(l.place);
  code.localGet(l.at).i32(1).op('i32.add').localSet(l.at);
  code.localGet(l.place).i32(1).op('i32.sub').i32(SHAPE_MARK - 1).op('i32.lt_u').brIf(0).op('end');
  code.localGet(l.place).op('i32.eqz').if();
  stop(code, DECODE_END.None);
  code.op('end');
  code.localGet(l.place).i32(SHAPE_MARK).op('i32.xor').localSet(l.place);
  known().i32(2).op('i32.shl').op('i32.add').memory('i32.load', SHAPES.offset + SHAPES.traits).localSet(l.traits);
  known().i32(Math.log2(SLOT.sizeBytes)).op('i32.shl').op('i32.add').localSet(l.source);
  pushDisplacementBytes(code, l);
  pushImmediateBytes(code, l).op('i32.add').localSet(l.bytes);
  code.localGet(l.at).localGet(l.bytes).op('i32.add').localGet(END).op('i32.gt_u');
  code.localGet(l.traits).i32(SHAPE_TRAIT.raisesShift).op('i32.shr_u').localGet(CPU_LOCAL).memory('i32.load', CPU.blockTag).op('i32.and').op('i32.or').if();
  stop(code, DECODE_END.None);
  code.op('end');
}

const pushDisplacementBytes = (code: Code, l: Locals) => code.localGet(l.traits).i32(SHAPE_TRAIT.displacementBytes).op('i32.and');
const pushImmediateBytes = (code: Code, l: Locals) => code.localGet(l.traits).i32(SHAPE_TRAIT.immediateBytes).op('i32.and').i32(4).op('i32.shr_u');

/** That of a memory operand beside the code counts from where the page begins; stops where it is no number of 32 bits then. */
function fillDisplacement(code: Code, l: Locals): void {
  code.localGet(l.traits).i32(SHAPE_TRAIT.memory).op('i32.and').if();
  pushSigned(code, l.at, pushDisplacementBytes, l, [1, 4]).localSet(l.value);
  code.localGet(l.traits).i32(SHAPE_TRAIT.nearCode).op('i32.and').if();
  code.localGet(l.at).localGet(l.bytes).op('i32.add').localGet(AT).i32(-PAGE_BYTES).op('i32.and').op('i32.sub').op('i64.extend_i32_u');
  code.localGet(l.value).op('i64.add').localTee(l.value).localGet(l.value).op('i64.extend32_s').op('i64.ne').if();
  stop(code, DECODE_END.None);
  code.op('end').op('end');
  code.localGet(SLOT_LOCAL).localGet(l.value).memory('i64.store32', SLOT.displacement).op('end');
}

function fillImmediate(code: Code, l: Locals): void {
  code.localGet(l.at);
  pushDisplacementBytes(code, l).op('i32.add').localSet(l.place);
  code.localGet(SLOT_LOCAL);
  pushSigned(code, l.place, pushImmediateBytes, l, [1, 4, 2, 8]).memory('i64.store', SLOT.immediate);
}

const LOADS = { 1: 'i64.load8_s', 2: 'i64.load16_s', 4: 'i64.load32_s', 8: 'i64.load' } as const;

/** Pushes the number, as an i64, of as many bytes as `pushBytes` says, which is 0 or one of `sizes`. */
function pushSigned(code: Code, from: number, pushBytes: (code: Code, l: Locals) => Code, l: Locals, sizes: readonly (keyof typeof LOADS)[]): Code {
  for (const size of sizes) pushBytes(code, l).i32(size).op('i32.eq').if('i64').localGet(from).memory(LOADS[size]).op('else');
  code.i64(0);
  for (const _ of sizes) code.op('end');
  return code;
}
