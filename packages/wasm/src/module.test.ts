import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from './code.ts';
import { ModuleBuilder } from './module.ts';
import { instantiate } from './testing.ts';

test('types are shared, imports work, definitions follow them', () => {
  const module = new ModuleBuilder();
  const unary = module.type(['i32'], ['i32']);
  assert.equal(module.type(['i32'], ['i32']), unary);
  assert.notEqual(module.type(['i32', 'i32'], []), unary);
  assert.notEqual(module.type([], ['i32', 'i32']), module.type(['i32'], ['i32', 'i32']));
  module.importMemory('env', 'memory', { minPages: 1, maxPages: 2, shared: true });
  const table = module.importTable('env', 'table', { min: 4 });
  const twice = module.importFunction('env', 'twice', unary);
  const base = module.importGlobal('env', 'base', 'i32', false);
  const f = module.function(unary);
  assert.deepEqual([twice, f.index], [0, 1]);
  f.code.localGet(0).call(twice).globalGet(base).op('i32.add').i32(0).memory('i32.load', 4).op('i32.add');
  module.elements(table, new Code().globalGet(base), [f.index, twice]);
  module.data(new Code().globalGet(base), Uint8Array.of(0, 0, 100));
  module.export('f', 'func', f.index);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const exchange = new WebAssembly.Table({ element: 'anyfunc', initial: 4 });
  const imports = { env: { memory, table: exchange, twice: (x: number) => x * 2, base: 2 } };
  const exports = instantiate(module, imports);
  assert.equal(exports.f?.(20), 42 + 100);
  assert.equal(exchange.get(2), exports.f);
});

test('functions refer forward, and to each other by tail calls without growing the stack', () => {
  const module = new ModuleBuilder();
  const unary = module.type(['i32'], ['i32']);
  const even = module.function(unary);
  const odd = module.function(unary);
  const table = module.defineTable({ min: 2, max: 2 });
  module.elements(table, 1, [even.index]);
  even.code.localGet(0).op('i32.eqz').if().i32(1).op('return').op('end').localGet(0).i32(1).op('i32.sub').returnCall(odd.index);
  odd.code.localGet(0).op('i32.eqz').if().i32(0).op('return').op('end');
  odd.code.localGet(0).i32(1).op('i32.sub').i32(1).returnCallIndirect(unary, table);
  module.export('even', 'func', even.index);
  assert.equal(instantiate(module).even?.(1_000_001), 0);
});

test('tables: segments, indirect calls, get, set, grow, fill and null', () => {
  const module = new ModuleBuilder();
  const constant = module.type([], ['i32']);
  const select = module.type(['i32'], ['i32']);
  const first = module.defineTable({ min: 2 });
  const second = module.defineTable({ min: 3 });
  const values = [10, 11, 12].map((value) => {
    const f = module.function(constant);
    f.code.i32(value);
    return f.index;
  });
  module.elements(first, 0, values.slice(0, 2));
  module.elements(second, 1, values.slice(1));
  const call = module.function(select);
  call.code.localGet(0).callIndirect(constant, second);
  const move = module.function(select);
  const kept = move.local('funcref');
  move.code.localGet(0).i32(0).tableGet(first).localTee(kept).tableSet(second).refFunc(values[2] ?? 0).i32(2).tableGrow(first).op('drop');
  move.code.i32(0).refNull('func').i32(1).tableFill(first).i32(0).tableGet(first).op('ref.is_null').tableSize(first).op('i32.add');
  module.export('call', 'func', call.index);
  module.export('move', 'func', move.index);
  module.export('first', 'table', first);
  const exports = instantiate(module);
  assert.deepEqual([exports.call?.(1), exports.call?.(2)], [11, 12]);
  assert.equal(exports.move?.(0), 1 + 4);
  assert.equal(exports.call?.(0), 10);
  assert.equal((exports.first as unknown as WebAssembly.Table).length, 4);
});

test('ref.func needs no declaration by the caller', () => {
  const module = new ModuleBuilder();
  const f = module.function(module.type([], ['funcref']));
  const secret = module.function(module.type([], ['i32']));
  secret.code.i32(42);
  f.code.refFunc(secret.index);
  const held = module.defineGlobal('funcref', false, new Code().refFunc(f.index));
  module.export('f', 'func', f.index);
  module.export('held', 'global', held);
  const reference = instantiate(module).f?.() as () => number;
  assert.equal(reference(), 42);
});

test('globals of each type start at their value; a start function runs', () => {
  const module = new ModuleBuilder();
  const counter = module.defineGlobal('i32', true, 0xffff_fff0);
  const wide = module.defineGlobal('i64', false, 1n << 63n);
  const single = module.defineGlobal('f32', false, 0.5);
  const double = module.defineGlobal('f64', false, 0.1);
  module.defineGlobal('v128', true, new Code().v128(new Uint8Array(16)));
  const f = module.function(module.type([], []));
  f.code.globalGet(counter).i32(1).op('i32.add').globalSet(counter);
  module.start(f.index);
  for (const [name, index] of Object.entries({ counter, wide, single, double })) module.export(name, 'global', index);
  const exports = instantiate(module) as unknown as Record<string, { value: unknown }>;
  assert.deepEqual(['counter', 'wide', 'single', 'double'].map((name) => exports[name]?.value), [-15, -(1n << 63n), 0.5, 0.1]);
  assert.throws(() => module.defineGlobal('v128', false, 0), /pass a Code/);
});

test('exceptions: throw across a call, catch by tag, catch all, rethrow by reference', () => {
  const module = new ModuleBuilder();
  const payload = module.type(['i32'], []);
  const unary = module.type(['i32'], ['i32']);
  const caught = module.type([], ['i32', 'exnref']);
  const wanted = module.defineTag(payload);
  const other = module.defineTag(module.type([], []));
  const thrower = module.function(payload);
  thrower.code.localGet(0).i32(100).op('i32.lt_s').if().localGet(0).throw(wanted).op('end').throw(other);
  const plain = module.function(unary);
  plain.code.block().block('i32').tryTable([{ kind: 'catch', tag: wanted, depth: 0 }, { kind: 'catch_all', depth: 1 }]);
  plain.code.localGet(0).call(thrower.index).op('end').op('unreachable').op('end').op('return').op('end').i32(-1);
  const again = module.function(unary);
  again.code.block('i32').tryTable([{ kind: 'catch', tag: wanted, depth: 0 }]);
  again.code.block(caught).tryTable([{ kind: 'catch_ref', tag: wanted, depth: 0 }]).localGet(0).call(thrower.index).op('end');
  again.code.op('unreachable').op('end').op('throw_ref').op('end').op('unreachable').op('end').i32(1000).op('i32.add');
  const anything = module.function(unary);
  anything.code.block('exnref').tryTable([{ kind: 'catch_all_ref', depth: 0 }], 'i32').localGet(0).call(thrower.index).i32(0);
  anything.code.op('end').op('return').op('end').op('ref.is_null').refNull('exn').op('ref.is_null').op('i32.add');
  for (const [name, f] of Object.entries({ plain, again, anything })) module.export(name, 'func', f.index);
  const exports = instantiate(module);
  assert.deepEqual([exports.plain?.(7), exports.plain?.(500)], [7, -1]);
  assert.equal(exports.again?.(7), 1007);
  assert.equal(exports.anything?.(7), 1);
});

test('a tag is imported from the module that exports it', () => {
  const owner = new ModuleBuilder();
  owner.export('tag', 'tag', owner.defineTag(owner.type(['i64'], [])));
  const thrower = new ModuleBuilder();
  const tag = thrower.importTag('owner', 'tag', thrower.type(['i64'], []));
  const f = thrower.function(thrower.type([], ['i64']));
  f.code.block('i64').tryTable([{ kind: 'catch', tag, depth: 0 }]).i64(5n).throw(tag).op('end').op('unreachable').op('end');
  thrower.export('f', 'func', f.index);
  assert.equal(instantiate(thrower, { owner: instantiate(owner) }).f?.(), 5n);
});

test('names show in stack traces', () => {
  const module = new ModuleBuilder();
  const type = module.type([], []);
  module.function(type);
  const f = module.function(type);
  f.name = 'décode_ModRM';
  f.code.op('unreachable');
  module.export('f', 'func', f.index);
  assert.throws(() => instantiate(module).f?.(), (error: Error) => error.stack?.includes('décode_ModRM') === true);
});

test('locals of mixed types start at zero and follow the parameters', () => {
  const module = new ModuleBuilder();
  const f = module.function(module.type(['i64'], ['i64']));
  const indices = (['i32', 'i32', 'i64', 'v128', 'f64', 'f64', 'i32'] as const).map((type) => f.local(type));
  assert.deepEqual(indices, [1, 2, 3, 4, 5, 6, 7]);
  f.code.localGet(7).op('i64.extend_i32_u').localGet(3).op('i64.add').localGet(0).op('i64.add');
  module.export('f', 'func', f.index);
  assert.equal(instantiate(module).f?.(9n), 9n);
});

test('branch hints validate and change nothing but the hint section', () => {
  const write = (likely: boolean | undefined): Uint8Array => {
    const module = new ModuleBuilder();
    const f = module.function(module.type(['i32'], ['i32']));
    f.code.localGet(0);
    if (likely !== undefined) f.code.hint(likely);
    f.code.if('i32').i32(1).op('else').i32(2).op('end');
    module.export('f', 'func', f.index);
    const exports = instantiate(module);
    assert.deepEqual([exports.f?.(1), exports.f?.(0)], [1, 2]);
    return module.toBytes();
  };
  const plain = write(undefined);
  for (const likely of [false, true]) {
    const hinted = write(likely);
    assert.ok(WebAssembly.validate(hinted));
    const section = Buffer.from([0, 32, 25, ...Buffer.from('metadata.code.branch_hint'), 1, 0, 1, 3, 1, Number(likely)]);
    const at = Buffer.from(hinted).indexOf(section);
    assert.ok(at > 0);
    assert.deepEqual(Buffer.concat([hinted.subarray(0, at), hinted.subarray(at + section.length)]), Buffer.from(plain));
  }
});

test('branch hints are in rising order at the offsets of their branches, locals included', () => {
  const module = new ModuleBuilder();
  const type = module.type(['i32'], []);
  module.importFunction('env', 'f', type);
  module.function(type);
  const f = module.function(type);
  for (let i = 0; i < 200; i++) f.local(i % 2 === 0 ? 'i32' : 'i64');
  f.code.block().localGet(0).hint(false).brIf(0).localGet(0).hint(true).if().op('nop').op('end');
  const unhinted = f.code.localGet(0).sizeBytes;
  f.code.brIf(0).append(new Code().localGet(0).hint(true).brIf(0)).op('end');
  module.branchHint(f.index, unhinted, false);
  const bytes = Buffer.from(module.toBytes());
  assert.ok(WebAssembly.validate(bytes));
  // 200 runs of one local each: a count of two bytes and two bytes a run.
  const body = bytes.indexOf(f.code.buffer.toBytes()) - 402;
  assert.deepEqual([...bytes.subarray(body, body + 6)], [0xc8, 0x01, 1, 0x7f, 1, 0x7e]);
  const section = bytes.indexOf('metadata.code.branch_hint') + 25;
  assert.deepEqual([...bytes.subarray(section, section + 3)], [1, f.index, 4]);
  const hints = [0, 1, 2, 3].map((i) => {
    const [low = 0, high = 0, size, value] = bytes.subarray(section + 3 + i * 4);
    assert.ok(low >= 0x80 && high < 0x80 && size === 1);
    const offset = (low & 0x7f) | (high << 7);
    return { offset: offset - 402, opcode: bytes[body + offset], value };
  });
  const brIf = 0x0d;
  assert.deepEqual(hints, [
    { offset: 4, opcode: brIf, value: 0 },
    { offset: 8, opcode: 0x04, value: 1 },
    { offset: 14, opcode: brIf, value: 0 },
    { offset: 18, opcode: brIf, value: 1 },
  ]);
});

test('toBytes can be called again after more was added', () => {
  const module = new ModuleBuilder();
  const type = module.type([], ['i32']);
  const f = module.function(type);
  f.code.i32(1);
  const before = module.toBytes();
  assert.deepEqual(module.toBytes(), before);
  const g = module.function(type);
  g.code.call(f.index);
  module.export('g', 'func', g.index);
  assert.equal(instantiate(module).g?.(), 1);
  assert.ok(WebAssembly.validate(new ModuleBuilder().toBytes()));
});

test('mistakes that would shift indices or lose code are named', () => {
  const module = new ModuleBuilder();
  const type = module.type(['i32'], ['i32']);
  assert.throws(() => module.function(7), /no type 7; make one with type\(\)/);
  assert.throws(() => module.importFunction('env', 'f', 7), /no type 7/);
  assert.throws(() => module.defineTag(type), /tag must have none/);
  assert.throws(() => module.importMemory('env', 'm', { minPages: 1, shared: true }), /pass maxPages/);
  assert.throws(() => module.branchHint(0, 0, true), /defines no function 0/);
  assert.throws(() => module.export('f', 'func', 0), /no func 0/);
  // @ts-expect-error a misspelt type is a compile error
  assert.throws(() => module.type(['i16'], []), /'i16' is no WebAssembly value type/);
  const f = module.function(type);
  assert.throws(() => module.importFunction('env', 'f', type), /import 'env\.f' follows the definition of a func/);
  module.export('f', 'func', f.index);
  assert.throws(() => module.export('f', 'func', f.index), /'f' exists already/);
  f.name = 'step';
  f.code.block();
  assert.throws(() => module.toBytes(), /function 0 \(step\) leaves 1 block\(s\) open/);
  f.code.op('end').op('end');
  assert.throws(() => module.toBytes(), /function 0 \(step\) closes 1 block\(s\) too many/);
  const memory = new ModuleBuilder();
  memory.defineMemory({ minPages: 1 });
  assert.throws(() => memory.defineMemory({ minPages: 1 }), /has a memory already/);
  const hinted = new ModuleBuilder();
  hinted.function(hinted.type([], [])).code.hint(true);
  assert.throws(() => hinted.toBytes(), /directly before/);
});
