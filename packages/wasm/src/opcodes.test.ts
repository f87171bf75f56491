import assert from 'node:assert/strict';
import { test } from 'node:test';
import wabtInit from 'wabt';
import { Code } from './code.ts';
import { ModuleBuilder } from './module.ts';
import { MEMORY_LANE_OPS, MEMORY_OPS } from './opcodes-memory.ts';
import { LANE_OPS } from './opcodes-simd.ts';
import { PLAIN_OPS } from './opcodes.ts';
import type { LaneOp, MemoryLaneOp, MemoryOp, PlainOp } from './opcodes.ts';
import { TEST_MEMORY } from './testing.ts';

const FEATURES = {
  exceptions: true,
  mutable_globals: true,
  sat_float_to_int: true,
  sign_extension: true,
  simd: true,
  threads: true,
  multi_value: true,
  tail_call: true,
  bulk_memory: true,
  reference_types: true,
  annotations: true,
  code_metadata: true,
};
const wabt = await wabtInit();

function disassemble(bytes: Uint8Array): string {
  const module = wabt.readWasm(bytes, { ...FEATURES, readDebugNames: false });
  const text = module.toText({ foldExprs: false, inlineExport: false });
  module.destroy();
  return text;
}

/** A module whose function has each instruction once, after an `unreachable` that makes any operands right. */
function moduleOf(instructions: readonly ((code: Code) => void)[]): Uint8Array {
  const module = new ModuleBuilder();
  const type = module.type([], []);
  module.defineMemory(TEST_MEMORY);
  module.defineTable({ min: 1 });
  module.defineTag(type);
  module.defineGlobal('i32', true, 0);
  const { code } = module.function(type);
  for (const write of instructions) write(code.op('unreachable'));
  code.op('unreachable');
  return module.toBytes();
}

/** What wabt reads after each `unreachable`. */
function readBack(bytes: Uint8Array): string[] {
  const lines = disassemble(bytes)
    .split('\n')
    .map((line) => line.trim());
  const first = lines.indexOf('unreachable');
  return lines.slice(first).filter((line) => line !== 'unreachable').map((line) => line.replace(/\)+$/, ''));
}

const names = <T extends object>(table: T): (keyof T)[] => Object.keys(table) as (keyof T)[];

/** These need a block around them or are newer than wabt; the tests below and those of exceptions run them. */
const ELSEWHERE = new Set<PlainOp>(['unreachable', 'else', 'end', 'throw_ref']);

test('every instruction without immediates reads back by its name', () => {
  const ops = names(PLAIN_OPS).filter((name) => !ELSEWHERE.has(name));
  const bytes = moduleOf(ops.map((name) => (code: Code) => code.op(name)));
  assert.ok(WebAssembly.validate(bytes));
  assert.deepEqual(readBack(bytes).slice(0, ops.length), ops);
  assert.ok(ops.length > 330, `${ops.length} instructions`);
});

test('every memory access reads back with its offset, natural alignment being the default', () => {
  const ops: MemoryOp[] = names(MEMORY_OPS);
  const bytes = moduleOf(ops.map((name) => (code: Code) => code.memory(name, 300)));
  assert.ok(WebAssembly.validate(bytes));
  // wabt prints an alignment only where it is not the natural one.
  assert.deepEqual(readBack(bytes).slice(0, ops.length), ops.map((name) => `${name} offset=300`));
});

test('smaller alignments are written, impossible ones refused', () => {
  const bytes = moduleOf([
    (code) => code.memory('i64.load', 0, 1),
    (code) => code.memory('v128.store', 16, 4),
    (code) => code.memory('i32.load', 4, 4),
  ]);
  assert.ok(WebAssembly.validate(bytes));
  assert.deepEqual(readBack(bytes).slice(0, 3), ['i64.load align=1', 'v128.store offset=16 align=4', 'i32.load offset=4']);
  for (const align of [0, 3, 8, -1, 0.5]) {
    assert.throws(() => new Code().memory('i32.load', 0, align), /i32\.load: alignment .* power of two up to 4/);
  }
  assert.throws(() => new Code().memory('i64.atomic.load', 0, 4), /8 bytes an atomic access must have/);
  new Code().memory('i64.atomic.load', 0, 8);
});

test('every lane instruction reads back, and takes just the lanes there are', () => {
  const ops: LaneOp[] = names(LANE_OPS);
  const laneCount = (name: string): number => Number(/x(\d+)/.exec(name)?.[1]);
  const bytes = moduleOf(ops.map((name) => (code: Code) => code.lane(name, laneCount(name) - 1)));
  assert.ok(WebAssembly.validate(bytes));
  assert.deepEqual(readBack(bytes).slice(0, ops.length), ops.map((name) => `${name} ${laneCount(name) - 1}`));
  for (const name of ops) {
    for (const lane of [-1, laneCount(name), 0.5]) assert.throws(() => new Code().lane(name, lane), /lane .* does not exist/);
  }
});

test('every one-lane memory access reads back, and takes just the lanes there are', () => {
  const ops: MemoryLaneOp[] = names(MEMORY_LANE_OPS);
  const laneCount = (name: string): number => 128 / Number(/(\d+)_lane/.exec(name)?.[1]);
  const bytes = moduleOf(ops.map((name) => (code: Code) => code.memoryLane(name, 8, laneCount(name) - 1)));
  assert.ok(WebAssembly.validate(bytes));
  assert.deepEqual(readBack(bytes).slice(0, ops.length), ops.map((name) => `${name} offset=8 ${laneCount(name) - 1}`));
  for (const name of ops) assert.throws(() => new Code().memoryLane(name, 0, laneCount(name)), /does not exist/);
});

test('instructions with a method of their own read back by their names', () => {
  const bytes = moduleOf([
    (code) => code.i32(-5),
    (code) => code.i64(1n << 40n),
    (code) => code.v128(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])),
    (code) => code.shuffle([0, 31, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    (code) => code.memoryCopy(),
    (code) => code.memoryFill(),
    (code) => code.memorySize(),
    (code) => code.memoryGrow(),
    (code) => code.atomicFence(),
    (code) => code.globalGet(0),
    (code) => code.globalSet(0),
    (code) => code.tableGet(),
    (code) => code.tableSet(),
    (code) => code.tableSize(),
    (code) => code.tableGrow(),
    (code) => code.tableFill(),
    (code) => code.selectTyped('f64'),
    (code) => code.refNull('func'),
    (code) => code.refFunc(0),
    (code) => code.call(0),
    (code) => code.callIndirect(0),
    (code) => code.returnCall(0),
    (code) => code.returnCallIndirect(0),
    (code) => code.throw(0),
  ]);
  assert.ok(WebAssembly.validate(bytes));
  assert.deepEqual(readBack(bytes).slice(0, 24), [
    'i32.const -5', 'i64.const 1099511627776', 'v128.const i32x4 0x04030201 0x08070605 0x0c0b0a09 0x100f0e0d',
    'i8x16.shuffle 0 31 2 3 4 5 6 7 8 9 10 11 12 13 14 15', 'memory.copy', 'memory.fill', 'memory.size', 'memory.grow', 'atomic.fence',
    'global.get 0', 'global.set 0', 'table.get 0', 'table.set 0', 'table.size 0', 'table.grow 0', 'table.fill 0', 'select (result f64',
    'ref.null func', 'ref.func 0', 'call 0', 'call_indirect (type 0', 'return_call 0', 'return_call_indirect (type 0', 'throw 0',
  ]);
});

test('blocks, branches and their ends read back', () => {
  const bytes = moduleOf([
    (code) => code.block().loop('i32').op('unreachable').brIf(0).brTable([1, 0], 2).op('end').op('drop').op('end'),
    (code) => code.if().br(0).op('else').op('nop').op('end'),
  ]);
  assert.ok(WebAssembly.validate(bytes));
  const mnemonics = readBack(bytes).map((line) => line.replace(/ *;;.*/, '').replace(/ *\(;[^;]*;\)?/g, ''));
  assert.deepEqual(mnemonics.slice(0, 12), [
    'block', 'loop (result i32)', 'br_if 0', 'br_table 1 0 2', 'end', 'drop', 'end', 'if', 'br 0', 'else', 'nop', 'end',
  ]);
});
