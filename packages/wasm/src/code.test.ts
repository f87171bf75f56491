import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from './code.ts';
import { ModuleBuilder } from './module.ts';
import type { MemoryOp, PlainOp } from './opcodes.ts';
import { functionUnderTest, instantiate, randomIntegers } from './testing.ts';
import type { ValueType } from './value-types.ts';

/** Integer arithmetic on bigints as the core specification defines it (section 4.3.2), by width. */
const INTEGER_MEANING: Readonly<Record<string, (a: bigint, b: bigint, bits: number) => bigint | boolean>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div_s: (a, b, bits) => BigInt.asIntN(bits, a) / BigInt.asIntN(bits, b),
  div_u: (a, b) => a / b,
  rem_s: (a, b, bits) => BigInt.asIntN(bits, a) % BigInt.asIntN(bits, b),
  rem_u: (a, b) => a % b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b, bits) => a << b % BigInt(bits),
  shr_s: (a, b, bits) => BigInt.asIntN(bits, a) >> b % BigInt(bits),
  shr_u: (a, b, bits) => a >> b % BigInt(bits),
  rotl: (a, b, bits) => (a << b % BigInt(bits)) | (a >> (BigInt(bits) - (b % BigInt(bits)))),
  rotr: (a, b, bits) => (a >> b % BigInt(bits)) | (a << (BigInt(bits) - (b % BigInt(bits)))),
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_s: (a, b, bits) => BigInt.asIntN(bits, a) < BigInt.asIntN(bits, b),
  lt_u: (a, b) => a < b,
  gt_s: (a, b, bits) => BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b),
  gt_u: (a, b) => a > b,
  le_s: (a, b, bits) => BigInt.asIntN(bits, a) <= BigInt.asIntN(bits, b),
  le_u: (a, b) => a <= b,
  ge_s: (a, b, bits) => BigInt.asIntN(bits, a) >= BigInt.asIntN(bits, b),
  ge_u: (a, b) => a >= b,
};

const toNative = (bits: number, value: bigint): number | bigint =>
  (bits === 32 ? Number(BigInt.asIntN(32, value)) : BigInt.asIntN(64, value));

test('integer arithmetic and comparisons of both widths mean what the specification says', () => {
  const seed = Date.now() | 0;
  const next = randomIntegers(seed);
  for (const [name, meaning] of Object.entries(INTEGER_MEANING)) {
    for (const bits of [32, 64]) {
      const type: ValueType = bits === 32 ? 'i32' : 'i64';
      const comparison = typeof meaning(1n, 1n, bits) === 'boolean';
      const f = functionUnderTest([type, type], [comparison ? 'i32' : type], ({ code }) =>
        code.localGet(0).localGet(1).op(`${type}.${name}` as PlainOp),
      );
      for (let i = 0; i < 40; i++) {
        const a = BigInt.asUintN(bits, (BigInt(next()) << 32n) | BigInt(next() >>> 0)) >> BigInt(next() & (bits - 1));
        const b = i % 4 === 0 ? a || 1n : BigInt.asUintN(bits, (BigInt(next()) << 32n) | BigInt(next() >>> 0)) || 1n;
        const expected = meaning(a, b, bits);
        const native = typeof expected === 'boolean' ? Number(expected) : toNative(bits, expected);
        assert.equal(f(toNative(bits, a), toNative(bits, b)), native, `${type}.${name} ${a} ${b}, seed ${seed}`);
      }
    }
  }
});

test('unary, conversion and float instructions compute', () => {
  const cases: [PlainOp, ValueType, (number | bigint)[], ValueType, number | bigint][] = [
    ['i32.clz', 'i32', [1], 'i32', 31],
    ['i64.ctz', 'i64', [256n], 'i64', 8n],
    ['i64.popcnt', 'i64', [-1n], 'i64', 64n],
    ['i64.eqz', 'i64', [0n], 'i32', 1],
    ['i32.extend8_s', 'i32', [0x80], 'i32', -128],
    ['i64.extend32_s', 'i64', [0x8000_0000n], 'i64', -0x8000_0000n],
    ['i64.extend_i32_u', 'i32', [-1], 'i64', 0xffff_ffffn],
    ['i32.wrap_i64', 'i64', [0x1_0000_0007n], 'i32', 7],
    ['f64.sqrt', 'f64', [9], 'f64', 3],
    ['f64.nearest', 'f64', [2.5], 'f64', 2],
    ['f64.copysign', 'f64', [3, -1], 'f64', -3],
    ['f32.div', 'f32', [1, 3], 'f32', Math.fround(1 / 3)],
    ['f32.demote_f64', 'f64', [0.1], 'f32', Math.fround(0.1)],
    ['f64.convert_i64_u', 'i64', [-1n], 'f64', 2 ** 64],
    ['i32.trunc_sat_f64_u', 'f64', [-5], 'i32', 0],
    ['i64.trunc_sat_f64_s', 'f64', [1e300], 'i64', 0x7fff_ffff_ffff_ffffn],
    ['i64.reinterpret_f64', 'f64', [1], 'i64', 0x3ff0_0000_0000_0000n],
  ];
  for (const [name, operand, values, result, expected] of cases) {
    const params = values.map(() => operand);
    const f = functionUnderTest(params, [result], ({ code }) => {
      for (const i of params.keys()) code.localGet(i);
      code.op(name);
    });
    assert.equal(f(...values), expected, name);
  }
  const constants = functionUnderTest([], ['f64'], ({ code }) => code.f32(1.5).op('f64.promote_f32').f64(0.25).op('f64.mul'));
  assert.equal(constants(), 0.375);
});

test('stores and loads of each width, with offsets, fill, copy and size', () => {
  const value = 0x8182_8384_8586_8788n;
  const pairs: [MemoryOp, MemoryOp, bigint][] = [
    ['i64.store', 'i64.load', value],
    ['i64.store8', 'i64.load8_u', 0x88n],
    ['i64.store8', 'i64.load8_s', -0x78n],
    ['i64.store16', 'i64.load16_u', 0x8788n],
    ['i64.store32', 'i64.load32_s', BigInt.asIntN(32, value)],
    ['i64.store32', 'i64.load32_u', 0x8586_8788n],
  ];
  for (const [store, load, expected] of pairs) {
    const f = functionUnderTest(['i32', 'i64'], ['i64'], ({ code }) =>
      code.localGet(0).localGet(1).memory(store, 1000, 1).localGet(0).i32(1000).op('i32.add').memory(load, 0, 1),
    );
    assert.equal(BigInt.asUintN(64, f(3, value) as bigint), BigInt.asUintN(64, expected), `${store} ${load}`);
  }
  const bulk = functionUnderTest([], ['i32'], ({ code }) =>
    code.i32(16).i32(0x5a).i32(8).memoryFill().i32(40).i32(18).i32(4).memoryCopy().i32(0).memory('i32.load', 40).memorySize().op('i32.add'),
  );
  assert.equal(bulk(), 0x5a5a_5a5b);
});

test('every atomic read-modify-write works on shared memory', () => {
  const meaning: Readonly<Record<string, (old: bigint, operand: bigint) => bigint>> = {
    add: (old, operand) => old + operand,
    sub: (old, operand) => old - operand,
    and: (old, operand) => old & operand,
    or: (old, operand) => old | operand,
    xor: (old, operand) => old ^ operand,
    xchg: (_old, operand) => operand,
  };
  const old = 0xf1e2_d3c4_b5a6_9788n;
  const operand = 0x1234_5678_9abc_def0n;
  for (const [name, compute] of Object.entries(meaning)) {
    for (const width of [8, 16, 32, 64]) {
      const op = (width === 64 ? `i64.atomic.rmw.${name}` : `i64.atomic.rmw${width}.${name}_u`) as MemoryOp;
      const f = functionUnderTest(['i64', 'i64'], ['i64', 'i64'], ({ code }) =>
        code.i32(0).localGet(0).memory('i64.atomic.store', 64)
          .i32(64).localGet(1).memory(op).i32(64).memory('i64.atomic.load').atomicFence(),
      );
      const [before, after] = (f(BigInt.asIntN(64, old), operand) as bigint[]).map((word) => BigInt.asUintN(64, word));
      const part = BigInt.asUintN(width, compute(BigInt.asUintN(width, old), BigInt.asUintN(width, operand)));
      assert.equal(before, BigInt.asUintN(width, old), op);
      assert.equal(after, old - BigInt.asUintN(width, old) + part, op);
    }
  }
});

test('compare-exchange stores on equality only; wait and notify answer', () => {
  const f = functionUnderTest(['i32', 'i32'], ['i32', 'i32'], ({ code }) =>
    code.i32(8).i32(5).memory('i32.atomic.store').i32(8).localGet(0).localGet(1).memory('i32.atomic.rmw.cmpxchg').i32(8).memory('i32.load'),
  );
  assert.deepEqual(f(5, 9), [5, 9]);
  assert.deepEqual(f(6, 9), [5, 5]);
  const notEqual = functionUnderTest([], ['i32', 'i32'], ({ code }) =>
    code.i32(8).i32(1).i64(-1).memory('memory.atomic.wait32').i32(8).i32(1).memory('memory.atomic.notify'),
  );
  assert.deepEqual(notEqual(), [1, 0]);
});

test('SIMD: constants, lanes, shuffles, memory and arithmetic', () => {
  const ramp = Uint8Array.from({ length: 16 }, (_, i) => i * 3);
  const reversed = Array.from({ length: 16 }, (_, i) => 15 - i);
  const lane = functionUnderTest([], ['i32'], ({ code }) =>
    code.v128(ramp).v128(ramp).shuffle(reversed).v128(ramp).op('i8x16.add').lane('i8x16.extract_lane_u', 4),
  );
  assert.equal(lane(), 45);
  const swizzle = functionUnderTest([], ['i32'], ({ code }) =>
    code.v128(ramp).i32(7).op('i8x16.splat').op('i8x16.swizzle').lane('i32x4.extract_lane', 3),
  );
  assert.equal(swizzle(), 0x1515_1515);
  const floats = functionUnderTest(['f64'], ['f64'], ({ code }) =>
    code.localGet(0).op('f64x2.splat').f64(2).lane('f64x2.replace_lane', 1)
      .localGet(0).op('f64x2.splat').op('f64x2.add').lane('f64x2.extract_lane', 1),
  );
  assert.equal(floats(40), 42);
  const memory = functionUnderTest(['i64'], ['i64'], ({ code }) =>
    code
      .i32(0).localGet(0).memory('i64.store', 32)
      .i32(0).i32(0).memory('v128.load64_splat', 32).memory('v128.store', 48)
      .i32(0).i32(32).memory('v128.load32_zero').memoryLane('v128.store16_lane', 64, 1)
      .i32(0).v128(ramp).memoryLane('v128.load8_lane', 64, 0).op('drop')
      .i32(0).memory('i64.load', 56).i32(0).memory('i64.load16_u', 64).op('i64.xor'),
  );
  assert.equal(memory(0x1111_2222_3333_4444n), 0x1111_2222_3333_4444n ^ 0x3333n);
  const bits = functionUnderTest([], ['i32'], ({ code }) => code.v128(ramp).i32(21).op('i8x16.splat').op('i8x16.gt_s').op('i8x16.bitmask'));
  assert.equal(bits(), 0xff00);
  assert.throws(() => new Code().v128(new Uint8Array(15)), /pass 16/);
  assert.throws(() => new Code().shuffle([...reversed.slice(1), 32]), /lane 32/);
});

test('blocks, loops, if and br_table choose their way', () => {
  const sum = functionUnderTest(['i32'], ['i32'], (f) => {
    const total = f.local('i32');
    f.code.block().loop().localGet(0).op('i32.eqz').hint(false).brIf(1).localGet(total).localGet(0).op('i32.add').localSet(total);
    assert.equal(f.code.depth, 2);
    f.code.localGet(0).i32(1).op('i32.sub').localSet(0).br(0).op('end').op('end').localGet(total);
  });
  assert.equal(sum(100), 5050);
  const choose = functionUnderTest(['i32'], ['i32'], ({ code }) => {
    code.block().block().block().localGet(0).brTable(Uint32Array.of(0, 1), 2);
    code.op('end').i32(10).op('return').op('end').i32(11).op('return').op('end').i32(12);
  });
  assert.deepEqual([0, 1, 2, -1].map((i) => choose(i)), [10, 11, 12, 12]);
  const either = functionUnderTest(['i32'], ['i64'], ({ code }) => code.localGet(0).if('i64').i64(1n).op('else').i64(-1n).op('end'));
  assert.deepEqual([either(7), either(0)], [1n, -1n]);
});

test('multi-value: blocks with parameters and functions with several results', () => {
  const module = new ModuleBuilder();
  const pair = module.type(['i32', 'i32'], ['i32', 'i32']);
  const f = module.function(pair);
  f.code.localGet(0).localGet(1).block(pair).localSet(0).localSet(1).localGet(0).localGet(1).op('end');
  module.export('swap', 'func', f.index);
  assert.deepEqual(instantiate(module).swap?.(1, 2), [2, 1]);
});

test('append keeps depth, hints and function references', () => {
  const inner = new Code().block().localGet(0).hint(true).brIf(0).refFunc(3).op('drop');
  const outer = new Code().op('nop').append(inner);
  assert.equal(outer.depth, 1);
  assert.equal(outer.sizeBytes, inner.sizeBytes + 1);
  assert.deepEqual(outer.hints, [{ offset: 5, likely: true }]);
  assert.deepEqual(outer.referencedFunctions, [3]);
});

test('a misplaced hint and an unknown instruction are refused', () => {
  assert.throws(() => new Code().hint(true).localGet(0).brIf(0), /directly before/);
  assert.throws(() => new Code().hint(true).hint(true), /directly before/);
  assert.throws(() => new Code().append(new Code().hint(true)), /directly before/);
  // @ts-expect-error a misspelt instruction is a compile error
  assert.throws(() => new Code().op('i32.ad'), /'i32\.ad' is no instruction of Code\.op/);
  // @ts-expect-error a load has immediates
  assert.throws(() => new Code().op('i32.load'), /no instruction/);
  // @ts-expect-error there is no such access
  assert.throws(() => new Code().memory('i32.load64'), /no instruction of Code\.memory/);
  // @ts-expect-error there is no such lane access
  assert.throws(() => new Code().lane('i32x8.extract_lane', 0), /no instruction of Code\.lane/);
});
