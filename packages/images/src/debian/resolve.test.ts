import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePackages } from '../testing/debian-fixture.ts';
import { PackagesIndex } from './packages-index.ts';
import { parseRelations } from './relation.ts';
import { resolveClosure } from './resolve.ts';

const closure = (specs: Parameters<typeof makePackages>[0], ...names: string[]): string[] =>
  resolveClosure(new PackagesIndex(Buffer.from(makePackages(specs).text)), names, (_word, candidates) => ` (of ${candidates.length})`).map(({ name }) => name);

test('parses dependency fields', () => {
  assert.deepEqual(parseRelations('a(=1)|b:any, , c (>> 2:1~rc1) [amd64] <!nocheck>, d (< 3)'), [
    [{ name: 'a', operator: '=', version: '1' }, { name: 'b' }],
    [{ name: 'c', operator: '>>', version: '2:1~rc1' }],
    [{ name: 'd', operator: '<=', version: '3' }],
  ]);
  assert.deepEqual(parseRelations(''), []);
});

test('takes versions into account, of packages and of what they provide', () => {
  const specs = [
    { name: 'old', depends: 'lib (>= 1:1) | lib2 (>= 2~)' },
    { name: 'lib', version: '9' },
    { name: 'lib2', version: '2~rc1' },
    { name: 'abi', depends: 'lib-abi (= 4)' },
    { name: 'five', provides: 'lib-abi (= 5)' },
    { name: 'bare', provides: 'lib-abi' },
    { name: 'four', provides: 'lib-abi (= 4)' },
    { name: 'exact', depends: 'lib (= 8)' },
  ];
  assert.deepEqual(closure(specs, 'old'), ['lib2', 'old']);
  assert.deepEqual(closure(specs, 'abi'), ['four', 'abi']);
  assert.throws(() => closure(specs, 'exact'), /exact depends on lib \(= 8\), which this suite does not have/);
});

test('passes over an alternative that conflicts with what is chosen, and names a conflict of what was asked for', () => {
  const specs = [
    { name: 'wants', depends: 'first | second' },
    { name: 'first', conflicts: 'mta' },
    { name: 'second' },
    { name: 'exim', provides: 'mta', conflicts: 'mta' },
    { name: 'postfix', provides: 'mta', conflicts: 'mta' },
    { name: 'breaks', breaks: 'second (<< 2)' },
  ];
  assert.deepEqual(closure(specs, 'exim', 'wants'), ['exim', 'second', 'wants']);
  assert.deepEqual(closure(specs, 'wants'), ['first', 'wants']);
  assert.throws(() => closure(specs, 'exim', 'postfix'), /(exim conflicts with postfix|postfix conflicts with exim) 1: leave one of them out/);
  assert.throws(() => closure(specs, 'second', 'breaks'), /breaks conflicts with second 1/);
});

test('what is asked for decides between alternatives, wherever it stands', () => {
  const specs = [{ name: 'helper', depends: 'merge | merged' }, { name: 'merge' }, { name: 'merged' }];
  assert.deepEqual(closure(specs, 'helper', 'merged'), ['merged', 'helper']);
});

test('gives dependencies before what needs them, each once', () => {
  const specs = [{ name: 'top', depends: 'left, right' }, { name: 'left', depends: 'base' }, { name: 'right', depends: 'base' }, { name: 'base' }];
  assert.deepEqual(closure(specs, 'top', 'base'), ['base', 'left', 'right', 'top']);
});

test('takes the first alternative, one that is chosen already, or a provider', () => {
  const specs = [
    { name: 'one', depends: 'missing | x | y' },
    { name: 'x' },
    { name: 'y' },
    { name: 'two', depends: 'x | y' },
    { name: 'mail', depends: 'mta' },
    { name: 'exim', provides: 'mta (= 4), other' },
    { name: 'postfix', provides: 'mta' },
  ];
  assert.deepEqual(closure(specs, 'one'), ['x', 'one']);
  assert.deepEqual(closure(specs, 'y', 'two'), ['y', 'two']);
  assert.deepEqual(closure(specs, 'mail'), ['exim', 'mail']);
  assert.deepEqual(closure(specs, 'postfix', 'mail'), ['postfix', 'mail']);
});

test('ends on cycles and on long chains', () => {
  assert.deepEqual(closure([{ name: 'a', depends: 'b' }, { name: 'b', depends: 'a' }], 'a').sort(), ['a', 'b']);
  const chain = Array.from({ length: 20_000 }, (_, index) => ({ name: `p${index}`, depends: `p${Math.min(index + 1, 19_999)}` }));
  assert.equal(closure(chain, 'p0').length, 20_000);
});

test('names what is missing', () => {
  assert.throws(() => closure([], 'nothing'), /no package nothing in this suite \(of 0\)/);
  assert.throws(() => closure([{ name: 'a', depends: 'b | c' }], 'a'), /a depends on b \| c/);
});
