import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageError } from '../image-error.ts';
import { PackagesIndex } from './packages-index.ts';

const SHA256 = 'a'.repeat(64);
const indexOf = (text: string): PackagesIndex => new PackagesIndex(Buffer.from(text));

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
    depends: [[{ name: 'p' }], [{ name: 'a', operator: '>=', version: '1' }], [{ name: 'b' }, { name: 'c' }], [{ name: 'd' }]],
    conflicts: [],
    provides: [],
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

test('lists the packages of a priority', () => {
  const stanza = (name: string, priority: string): string => `Package: ${name}\nPriority: ${priority}\nDescription: says\n Priority: required\n`;
  assert.deepEqual(indexOf([stanza('a', 'required'), stanza('b', 'important'), stanza('c', 'required')].join('\n')).namesOfPriority('required'), ['a', 'c']);
});
