import { ByteBuffer } from './byte-buffer.ts';
import { MEMORY_LANE_OPS } from './opcodes-memory.ts';
import { LANE_OPS } from './opcodes-simd.ts';
import { MEMORY_OP_CODES, OP, PLAIN_OP_CODES } from './opcodes.ts';
import type { LaneOp, MemoryLaneOp, MemoryOp, PlainOp } from './opcodes.ts';
import { BLOCK_TYPE_EMPTY, HEAP_TYPE_CODE, valueTypeCode } from './value-types.ts';
import type { BlockType, HeapType, ValueType } from './value-types.ts';

/** A handler of `try_table`: which exceptions, and the label (relative depth outside the try_table) they branch to. */
export type CatchClause =
  | { kind: 'catch' | 'catch_ref'; tag: number; depth: number }
  | { kind: 'catch_all' | 'catch_all_ref'; depth: number };

/** A hint that the `if` or `br_if` at `offset` (in the code, without the locals' declarations) is likely taken or not. */
export interface BranchHint {
  offset: number;
  likely: boolean;
}

const CATCH_CODE: Readonly<Record<CatchClause['kind'], number>> = { catch: 0, catch_ref: 1, catch_all: 2, catch_all_ref: 3 };
const ATOMIC_PREFIX = 0xfe;

/**
 * Instructions under construction: a function body or a constant expression, without the final `end`.
 * Every method appends one instruction and returns the code itself.
 */
export class Code {
  /** The encoded instructions. */
  readonly buffer: ByteBuffer;
  private hintList: BranchHint[] | undefined;
  private referenced: number[] | undefined;
  private blockDepth = 0;
  private pendingHint: BranchHint | undefined;

  constructor(capacityBytes?: number) {
    this.buffer = new ByteBuffer(capacityBytes);
  }

  get sizeBytes(): number {
    return this.buffer.length;
  }

  /** Blocks opened and not yet closed. */
  get depth(): number {
    return this.blockDepth;
  }

  get hints(): readonly BranchHint[] {
    return this.hintList ?? [];
  }

  /** Functions that `ref.func` names; a module must declare them (core specification, section 3.5.17). */
  get referencedFunctions(): readonly number[] {
    return this.referenced ?? [];
  }

  /** An instruction without immediates. */
  op(name: PlainOp): this {
    const opcode = PLAIN_OP_CODES.get(name);
    if (opcode === undefined) throw unknownOp(name, 'op');
    if (opcode === OP.end) this.blockDepth--;
    return this.opcode(opcode);
  }

  i32(value: number): this {
    this.buffer.u8(OP.i32Const).s32(value);
    return this;
  }

  i64(value: bigint | number): this {
    this.buffer.u8(OP.i64Const).s64(value);
    return this;
  }

  /** A NaN is written as the canonical one: make any other with `i32` and `f32.reinterpret_i32`. */
  f32(value: number): this {
    this.buffer.u8(OP.f32Const).f32(value);
    return this;
  }

  /** A NaN is written as the canonical one: make any other with `i64` and `f64.reinterpret_i64`. */
  f64(value: number): this {
    this.buffer.u8(OP.f64Const).f64(value);
    return this;
  }

  /** A vector constant of 16 bytes, lowest lane first. */
  v128(bytes: Uint8Array): this {
    if (bytes.length !== 16) throw new Error(`v128.const got ${bytes.length} bytes; pass 16`);
    this.opcode(OP.v128Const);
    this.buffer.bytes(bytes);
    return this;
  }

  localGet(index: number): this {
    this.buffer.u8(OP.localGet).u32(index);
    return this;
  }

  localSet(index: number): this {
    this.buffer.u8(OP.localSet).u32(index);
    return this;
  }

  localTee(index: number): this {
    this.buffer.u8(OP.localTee).u32(index);
    return this;
  }

  globalGet(index: number): this {
    this.buffer.u8(OP.globalGet).u32(index);
    return this;
  }

  globalSet(index: number): this {
    this.buffer.u8(OP.globalSet).u32(index);
    return this;
  }

  /** A load, store or atomic access. `align` is in bytes and by default the natural alignment, the only one atomics allow. */
  memory(name: MemoryOp, offset = 0, align?: number): this {
    const encoded = MEMORY_OP_CODES.get(name);
    if (encoded === undefined) throw unknownOp(name, 'memory');
    this.opcode(encoded & 0xffff);
    return this.memoryArgument(name, encoded, offset, align);
  }

  /** `extract_lane` or `replace_lane`. */
  lane(name: LaneOp, lane: number): this {
    const encoded = LANE_OPS[name];
    if (encoded === undefined) throw unknownOp(name, 'lane');
    checkLane(name, lane, encoded >> 16);
    this.opcode(encoded & 0xffff);
    this.buffer.u8(lane);
    return this;
  }

  /** A vector load or store of one lane. `align` is in bytes. */
  memoryLane(name: MemoryLaneOp, offset: number, lane: number, align?: number): this {
    const encoded = MEMORY_LANE_OPS[name];
    if (encoded === undefined) throw unknownOp(name, 'memoryLane');
    checkLane(name, lane, 16 >> (encoded >> 16));
    this.opcode(encoded & 0xffff).memoryArgument(name, encoded, offset, align);
    this.buffer.u8(lane);
    return this;
  }

  /** `i8x16.shuffle`: sixteen byte numbers, 0-15 from the first vector and 16-31 from the second. */
  shuffle(lanes: ArrayLike<number>): this {
    if (lanes.length !== 16) throw new Error(`i8x16.shuffle got ${lanes.length} lanes; pass 16`);
    for (let i = 0; i < 16; i++) checkLane('i8x16.shuffle', lanes[i] ?? -1, 32);
    this.opcode(OP.i8x16Shuffle);
    this.buffer.bytes(lanes);
    return this;
  }

  memoryCopy(): this {
    this.opcode(OP.memoryCopy);
    this.buffer.u8(0).u8(0);
    return this;
  }

  memoryFill(): this {
    this.opcode(OP.memoryFill);
    this.buffer.u8(0);
    return this;
  }

  memorySize(): this {
    this.buffer.u8(OP.memorySize).u8(0);
    return this;
  }

  memoryGrow(): this {
    this.buffer.u8(OP.memoryGrow).u8(0);
    return this;
  }

  atomicFence(): this {
    this.opcode(OP.atomicFence);
    this.buffer.u8(0);
    return this;
  }

  /** `select` with a stated type, which reference operands need. */
  selectTyped(type: ValueType): this {
    this.buffer.u8(OP.selectTyped).u8(1).u8(valueTypeCode(type));
    return this;
  }

  block(result?: BlockType): this {
    return this.open(OP.block, result);
  }

  loop(result?: BlockType): this {
    return this.open(OP.loop, result);
  }

  if(result?: BlockType): this {
    if (this.pendingHint !== undefined) this.placeHint();
    return this.open(OP.if, result);
  }

  br(depth: number): this {
    this.buffer.u8(OP.br).u32(depth);
    return this;
  }

  brIf(depth: number): this {
    if (this.pendingHint !== undefined) this.placeHint();
    this.buffer.u8(OP.brIf).u32(depth);
    return this;
  }

  brTable(depths: ArrayLike<number>, defaultDepth: number): this {
    this.buffer.u8(OP.brTable).u32(depths.length);
    for (let i = 0; i < depths.length; i++) this.buffer.u32(depths[i] ?? -1);
    this.buffer.u32(defaultDepth);
    return this;
  }

  call(functionIndex: number): this {
    this.buffer.u8(OP.call).u32(functionIndex);
    return this;
  }

  callIndirect(typeIndex: number, table = 0): this {
    this.buffer.u8(OP.callIndirect).u32(typeIndex).u32(table);
    return this;
  }

  returnCall(functionIndex: number): this {
    this.buffer.u8(OP.returnCall).u32(functionIndex);
    return this;
  }

  returnCallIndirect(typeIndex: number, table = 0): this {
    this.buffer.u8(OP.returnCallIndirect).u32(typeIndex).u32(table);
    return this;
  }

  throw(tag: number): this {
    this.buffer.u8(OP.throw).u32(tag);
    return this;
  }

  /** Opens a block whose exceptions branch as `catches` say, first match first. Close it with `op('end')`. */
  tryTable(catches: readonly CatchClause[], result?: BlockType): this {
    this.open(OP.tryTable, result);
    this.buffer.u32(catches.length);
    for (const clause of catches) {
      this.buffer.u8(CATCH_CODE[clause.kind]);
      if ('tag' in clause) this.buffer.u32(clause.tag);
      this.buffer.u32(clause.depth);
    }
    return this;
  }

  refNull(type: HeapType): this {
    this.buffer.u8(OP.refNull).u8(HEAP_TYPE_CODE[type]);
    return this;
  }

  refFunc(functionIndex: number): this {
    this.buffer.u8(OP.refFunc).u32(functionIndex);
    (this.referenced ??= []).push(functionIndex);
    return this;
  }

  tableGet(table = 0): this {
    this.buffer.u8(OP.tableGet).u32(table);
    return this;
  }

  tableSet(table = 0): this {
    this.buffer.u8(OP.tableSet).u32(table);
    return this;
  }

  tableSize(table = 0): this {
    this.opcode(OP.tableSize).buffer.u32(table);
    return this;
  }

  tableGrow(table = 0): this {
    this.opcode(OP.tableGrow).buffer.u32(table);
    return this;
  }

  tableFill(table = 0): this {
    this.opcode(OP.tableFill).buffer.u32(table);
    return this;
  }

  /** States whether the condition of the `if` or `brIf` appended next is likely true (branch hinting proposal). */
  hint(likely: boolean): this {
    if (this.pendingHint !== undefined) throw misplacedHint();
    this.pendingHint = { offset: this.buffer.length, likely };
    return this;
  }

  /** Adds a hint for an `if` or `br_if` already written at `offset`. */
  hintAt(offset: number, likely: boolean): this {
    (this.hintList ??= []).push({ offset, likely });
    return this;
  }

  /** Appends all of another code, with its hints; depths and indices in it are taken as they are. */
  append(other: Code): this {
    other.assertHintsPlaced();
    const start = this.buffer.length;
    this.buffer.append(other.buffer);
    this.blockDepth += other.blockDepth;
    for (const { offset, likely } of other.hints) this.hintAt(start + offset, likely);
    for (const functionIndex of other.referencedFunctions) (this.referenced ??= []).push(functionIndex);
    return this;
  }

  /** Throws if `hint` was called without a branch after it. */
  assertHintsPlaced(): void {
    if (this.pendingHint !== undefined) throw misplacedHint();
  }

  private placeHint(): void {
    const hint = this.pendingHint;
    if (hint === undefined) return;
    if (hint.offset !== this.buffer.length) throw misplacedHint();
    this.hintAt(hint.offset, hint.likely);
    this.pendingHint = undefined;
  }

  private opcode(opcode: number): this {
    if (opcode < 0x100) this.buffer.u8(opcode);
    else this.buffer.u8(opcode >> 8).u32(opcode & 0xff);
    return this;
  }

  private open(opcode: number, result: BlockType): this {
    this.blockDepth++;
    this.buffer.u8(opcode);
    if (result === undefined) this.buffer.u8(BLOCK_TYPE_EMPTY);
    // The index is a non-negative 33-bit integer: `s32` would fold 2^31 and above into negative ones.
    else if (typeof result === 'number') this.buffer.s64(result);
    else this.buffer.u8(valueTypeCode(result));
    return this;
  }

  private memoryArgument(name: string, encoded: number, offset: number, align: number | undefined): this {
    const natural = encoded >> 16;
    const exponent = align === undefined ? natural : alignmentExponent(name, encoded, align);
    this.buffer.u8(exponent).u32(offset);
    return this;
  }
}

/** The constant expression of one number. */
export function constantOf(type: ValueType, value: number | bigint): Code {
  const code = new Code(12);
  switch (type) {
    case 'i32':
      return code.i32(Number(value));
    case 'i64':
      return code.i64(value);
    case 'f32':
      return code.f32(Number(value));
    case 'f64':
      return code.f64(Number(value));
    default:
      throw new Error(`a global of type ${type} cannot start from a number; pass a Code with a constant expression`);
  }
}

function alignmentExponent(name: string, encoded: number, align: number): number {
  const natural = encoded >> 16;
  const exponent = 31 - Math.clz32(align);
  if (1 << exponent !== align || exponent > natural) {
    throw new Error(`${name}: alignment ${align} is no power of two up to ${1 << natural}; pass one in bytes, or leave it out`);
  }
  if (((encoded >> 8) & 0xff) === ATOMIC_PREFIX && exponent !== natural) {
    throw new Error(`${name}: alignment ${align} is not the ${1 << natural} bytes an atomic access must have; leave it out`);
  }
  return exponent;
}

function checkLane(name: string, lane: number, count: number): void {
  if (lane >>> 0 !== lane || lane >= count) throw new Error(`${name}: lane ${lane} does not exist; pass 0 to ${count - 1}`);
}

function misplacedHint(): Error {
  return new Error('a branch hint has no branch; call hint() directly before if() or brIf()');
}

function unknownOp(name: string, method: string): Error {
  return new Error(`'${name}' is no instruction of Code.${method}(); see the opcode tables for the names it takes`);
}
