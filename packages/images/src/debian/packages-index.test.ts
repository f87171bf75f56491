import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageError } from '../image-error.ts';
import { makePackages } from '../testing/debian-fixture.ts';
import { PackagesIndex, parseDepends } from './packages-index.ts';
import { resolveClosure } from './resolve.ts';

const SHA256 = 'a'.repeat(64);
const indexOf = (text: string): PackagesIndex => new PackagesIndex(Buffer.from(text));
const closure = (specs: Parameters<typeof makePackages>[0], ...names: string[]): string[] =>
  resolveClosure(indexOf(makePackages(specs).text), names).map(({ name }) => name);

test('finds packages wherever they stand, with folded fields', () => {
  const index = indexOf(
    `Package: first\nVersion: 1:2-3\nEssential: yes\nPriority: required\nDepends: a (>= 1),\n b:any | c [amd64],\n d\nPre-Depends: p\nFilename: pool/f.deb\nSize: 7\nSHA256: ${SHA256}\n\n` +
      `Package: last\nVersion: 2\nDescription: says\n Package: fake\nFilename: pool/l.deb\nSize: 8\nSHA256: ${SHA256}`,
  );
  assert.deepEqual([...index.names], ['first', 'last']);
  assert.deepEqual(index.find('first'), {
    name: 'first',
    version: '1:2-3',
    fileName: 'pool/f.deb',
    sizeBytes: 7,
    sha256: SHA256,
    depends: [['p'], ['a'], ['b', 'c'], ['d']],
    priority: 'required',
    essential: true,
  });
  assert.equal(index.find('last')!.sizeBytes, 8);
  assert.equal(index.find('fake'), undefined);
  assert.equal(indexOf('').find('first'), undefined);
  assert.equal(indexOf('\n\nPackage: ').find('first'), undefined);
});

test('refuses file names that could leave the mirror, and missing sums', () => {
  const stanza = (fileName: string, sha256 = SHA256): string => `Package: p\nFilename: ${fileName}\nSize: 7\nSHA256: ${sha256}\n`;
  for (const name of ['../etc/passwd', '/etc/passwd', 'a/../../b', 'http://elsewhere/x', 'a/%2e%2e/b', '', 'a\\..\\b']) {
    assert.throws(() => indexOf(stanza(name)).find('p'), ImageError, name);
  }
  assert.throws(() => indexOf(stanza('ok.deb', 'short')).find('p'), /for p/);
  assert.equal(indexOf(stanza('pool/a/b_1.2~3+4-5.deb')).find('p')!.name, 'p');
});

test('parses dependency fields', () => {
  assert.deepEqual(parseDepends('a(=1)|b, , c <!nocheck>'), [['a', 'b'], ['c']]);
  assert.deepEqual(parseDepends(''), []);
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
  assert.throws(() => closure([], 'nothing'), /no package nothing/);
  assert.throws(() => closure([{ name: 'a', depends: 'b | c' }], 'a'), /a depends on b \| c/);
});
