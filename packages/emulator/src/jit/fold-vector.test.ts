import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '../ir.ts';
import { assemble, bytesOf, type ByteSource, foldBytes, replaceHalf } from './fold-vector.ts';

const node = (type: Node['type'], extra: Partial<Node> = {}): Node => ({ type, kind: 'pure', emit: () => {}, uses: 0, local: -1, ...extra });
const vector = () => node('v128');
const known = (bytes: readonly ByteSource[]) => node('v128', { bytes });
const integer = (constant: bigint) => node('i64', { constant });
const count = (from: number) => Array.from({ length: 16 }, (_, index) => from + index);

test('a swizzle with known indices is a shuffle, and zeros keep it a swizzle', () => {
  const v = vector();
  const turned = foldBytes('i8x16.swizzle', [v, known([4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11])])!;
  assert.deepEqual(assemble(turned), { kind: 'shuffle', lanes: [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11], a: v, b: v });
  const shifted = foldBytes('i8x16.swizzle', [v, known(count(3))])!;
  assert.deepEqual(assemble(shifted), { kind: 'swizzle', node: v, indices: [...count(3).slice(0, 13), 0x80, 0x80, 0x80] });
  assert.deepEqual(assemble(foldBytes('i8x16.swizzle', [v, known(count(0))])!), { kind: 'same', node: v });
  assert.equal(foldBytes('i8x16.swizzle', [v, vector()]), undefined);
});

test('two shifted vectors that do not overlap are one shuffle, as PALIGNR is', () => {
  const [a, b] = [vector(), vector()];
  const low = foldBytes('i8x16.swizzle', [b, known(count(5))])!;
  const high = foldBytes('i8x16.swizzle', [a, known(count(5).map((index) => (index - 16) & 0xff))])!;
  assert.deepEqual(assemble(foldBytes('v128.or', [known(low), known(high)])!), { kind: 'shuffle', lanes: count(5), a: b, b: a });
  assert.equal(foldBytes('v128.or', [known(low), a]), undefined);
});

test('a blend by a known mask is a shuffle, and the mask follows from the immediate', () => {
  const [a, b] = [vector(), vector()];
  const bits = known(count(0).map((byte) => (byte % 4 === 0 ? 1 << (byte / 4) : 0)));
  const spread = known(foldBytes('i32x4.splat', [node('i32', { constant: 5n })])!);
  const mask = foldBytes('i32x4.eq', [known(foldBytes('v128.and', [spread, bits])!), bits])!;
  assert.deepEqual(mask, [255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
  const blend = assemble(foldBytes('v128.bitselect', [a, b, known(mask)])!);
  assert.deepEqual(blend, { kind: 'shuffle', lanes: [0, 1, 2, 3, 20, 21, 22, 23, 8, 9, 10, 11, 28, 29, 30, 31], a, b });
});

test('halves put together from other vectors or constants', () => {
  const [a, b] = [vector(), vector()];
  const upper = node('i64', { operation: { name: 'i64x2.extract_lane', operands: [b], lane: 1 } });
  assert.deepEqual(assemble(replaceHalf(0, a, upper)!), { kind: 'shuffle', lanes: [...count(8).slice(0, 8), ...count(24).slice(0, 8)], a: b, b: a });
  const zero = known(new Array<number>(16).fill(0));
  assert.deepEqual(assemble(replaceHalf(1, zero, integer(0x0102n))!), { kind: 'constant', bytes: [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0] });
  assert.equal(replaceHalf(0, a, node('i64')), undefined);
});

test('sources beyond two, or two with constants, are left alone', () => {
  const [a, b, c] = [vector(), vector(), vector()].map(bytesOf) as [readonly ByteSource[], readonly ByteSource[], readonly ByteSource[]];
  assert.equal(assemble([a[0]!, b[1]!, c[2]!, ...a.slice(3)]), undefined);
  assert.equal(assemble([a[0]!, b[1]!, 0, ...a.slice(3)]), undefined);
  assert.equal(assemble([7, ...a.slice(1)]), undefined);
});
