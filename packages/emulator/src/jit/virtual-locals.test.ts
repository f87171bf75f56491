import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL, RegionLocals, temporaryName, VectorConstants } from './virtual-locals.ts';

function locals() {
  const types: string[] = [];
  return { types, made: new RegionLocals((type) => types.push(type)) };
}

test('a local gets its number when it is first named, and keeps it', () => {
  const { types, made } = locals();
  assert.equal(made.number(LOCAL.cpu), 0);
  const before = types.length;
  const number = made.number(LOCAL.vector + 3);
  assert.equal(types.length, before + 1);
  assert.equal(types.at(-1), 'v128');
  assert.equal(made.number(LOCAL.vector + 3), number);
  assert.deepEqual([made.has(LOCAL.vector + 3), made.has(LOCAL.vector + 4)], [true, false]);
});

test('temporaries and constants have the types they are named for', () => {
  const { types, made } = locals();
  for (const type of ['i32', 'i64', 'f32', 'f64', 'v128'] as const) {
    made.number(temporaryName(type, 63)!);
    assert.equal(types.at(-1), type);
    assert.equal(temporaryName(type, 64), undefined);
  }
  const constants = new VectorConstants();
  const name = constants.name(Array.from({ length: 16 }, () => 7))!;
  assert.equal(constants.name(Array.from({ length: 16 }, () => 7)), name);
  made.number(name);
  assert.equal(types.at(-1), 'v128');
  assert.deepEqual(constants.among(made).map(({ bytes }) => bytes[0]), [7]);
});

test('numbers have one byte: there is room for 128', () => {
  const { made } = locals();
  const names = Array.from({ length: 64 }, (_, index) => temporaryName('i64', index)!);
  assert.equal(made.haveRoom(names), true);
  for (const name of names) made.number(name);
  assert.equal(made.haveRoom(names), true);
  assert.equal(made.haveRoom(Array.from({ length: 64 }, (_, index) => temporaryName('v128', index)!)), false);
});

test('there are only so many vector constants', () => {
  const constants = new VectorConstants();
  const names = Array.from({ length: 257 }, (_, index) => constants.name([index & 0xff, index >> 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  assert.equal(new Set(names.slice(0, 256)).size, 256);
  assert.equal(names[256], undefined);
});
