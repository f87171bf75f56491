import { MEMORY_OPS } from './opcodes-memory.ts';
import type { MEMORY_LANE_OPS } from './opcodes-memory.ts';
import { SCALAR_OPS } from './opcodes-scalar.ts';
import { SIMD_OPS } from './opcodes-simd.ts';
import type { LANE_OPS } from './opcodes-simd.ts';

/** Every instruction that has no immediate. */
export const PLAIN_OPS = { ...SCALAR_OPS, ...SIMD_OPS };

export type PlainOp = keyof typeof PLAIN_OPS;
export type MemoryOp = keyof typeof MEMORY_OPS;
export type LaneOp = keyof typeof LANE_OPS;
export type MemoryLaneOp = keyof typeof MEMORY_LANE_OPS;

// A Map finds a name four times as fast as an object of this many properties does, and finds no inherited ones.
export const PLAIN_OP_CODES: ReadonlyMap<string, number> = new Map(Object.entries(PLAIN_OPS));
export const MEMORY_OP_CODES: ReadonlyMap<string, number> = new Map(Object.entries(MEMORY_OPS));

/** Opcodes of the instructions that have a method of their own in `Code`. */
export const OP = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  throw: 0x08,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  selectTyped: 0x1c,
  tryTable: 0x1f,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  tableGet: 0x25,
  tableSet: 0x26,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  f64Const: 0x44,
  refNull: 0xd0,
  refFunc: 0xd2,
  memoryCopy: 0xfc0a,
  memoryFill: 0xfc0b,
  tableGrow: 0xfc0f,
  tableSize: 0xfc10,
  tableFill: 0xfc11,
  v128Const: 0xfd0c,
  i8x16Shuffle: 0xfd0d,
  atomicFence: 0xfe03,
};
