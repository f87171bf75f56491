export { ByteBuffer } from './byte-buffer.ts';
export { Code } from './code.ts';
export type { BranchHint, CatchClause } from './code.ts';
export { FunctionBuilder } from './function-builder.ts';
export { ModuleBuilder } from './module.ts';
export type { MemoryLimits, TableLimits } from './limits.ts';
export type { LaneOp, MemoryLaneOp, MemoryOp, PlainOp } from './opcodes.ts';
export type { BlockType, ExternKind, HeapType, ValueType } from './value-types.ts';
