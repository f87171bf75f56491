import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageError } from '../image-error.ts';
import { compressSync, makeAr, makeDeb, makeTar } from '../testing/debian-fixture.ts';
import type { Compression } from '../testing/debian-fixture.ts';
import { decompress } from './decompress.ts';
import { readAr, readDebControl, readDebTree } from './deb-file.ts';

const FILES = [
  { name: './', type: 'directory' },
  { name: './bin/', type: 'directory', mode: 0o755 },
  { name: './bin/tool', mode: 0o4755, content: 'odd' },
  { name: './bin/alias', type: 'symlink', linkname: '../../etc/anything' },
  { name: './bin/hard', type: 'link', linkname: './bin/tool' },
  { name: `./${'long/'.repeat(40)}name`, content: 'x'.repeat(1000) },
];

for (const compression of ['xz', 'gz', 'zst', ''] satisfies Compression[]) {
  test(`reads a package with ${compression || 'no'} compression`, async () => {
    const deb = await makeDeb(FILES, compression);
    const tree = await readDebTree(deb, 'fixture');
    assert.deepEqual(tree.map(({ path, type }) => [path, type]), [
      ['', 'directory'],
      ['bin', 'directory'],
      ['bin/tool', 'file'],
      ['bin/alias', 'symlink'],
      ['bin/hard', 'link'],
      [`${'long/'.repeat(40)}name`, 'file'],
    ]);
    assert.equal(tree[2]!.mode, 0o4755);
    assert.equal(Buffer.from(tree[2]!.content).toString(), 'odd');
    assert.equal(tree[3]!.linkTarget, '../../etc/anything');
    assert.equal(tree[4]!.linkTarget, 'bin/tool');
    assert.equal(Buffer.from((await readDebControl(deb, 'fixture')).get('control')!).toString(), 'Package: fixture\n');
  });
}

test('gives only the entries that are asked for', async () => {
  const tree = await readDebTree(await makeDeb(FILES), 'fixture', { select: (path) => path === 'bin/tool' });
  assert.deepEqual(tree.map(({ path }) => path), ['bin/tool']);
});

test('refuses paths that lead outside the package', async () => {
  for (const name of ['../escape', 'a/../../escape', '/absolute']) {
    await assert.rejects(readDebTree(await makeDeb([{ name, content: 'x' }], ''), 'fixture'), /leads outside/, name);
  }
  await assert.rejects(readDebTree(await makeDeb([{ name: 'a', type: 'link', linkname: '../b' }], ''), 'fixture'), /leads outside/);
});

test('every truncation of a package is an ImageError or gives what was there', async () => {
  const deb = await makeDeb(FILES.slice(0, 4), '');
  for (let length = 0; length < deb.length; length += 97) {
    await readDebTree(deb.subarray(0, length), 'cut').then(
      () => {},
      (error: unknown) => assert.ok(error instanceof ImageError, String(error)),
    );
  }
});

test('random damage never gives anything but an ImageError', async () => {
  const seed = Number(process.env['HANOK_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
  for (const compression of ['xz', 'gz', 'zst', ''] satisfies Compression[]) {
    const deb = await makeDeb(FILES.slice(0, 4), compression);
    for (let round = 0; round < 60; round++) {
      const damaged = Uint8Array.from(deb);
      for (let count = 0; count < 3; count++) damaged[random(damaged.length)] = random(256);
      await readDebTree(damaged, 'damaged').then(
        () => {},
        (error: unknown) => assert.ok(error instanceof ImageError, `seed ${seed} ${compression} round ${round}: ${String(error)}`),
      );
    }
  }
});

test('refuses ar archives with sizes that are not numbers or too large', () => {
  const good = Buffer.from(makeAr([{ name: 'debian-binary', content: Buffer.from('2.0\n') }]));
  assert.equal(readAr(good, 'fixture').length, 1);
  for (const size of ['-4        ', '9999999999', '0x4       ', '          ']) {
    const bad = Buffer.from(good);
    bad.write(size, 8 + 48);
    assert.throws(() => readAr(bad, 'fixture'), ImageError, size);
  }
  assert.throws(() => readAr(Buffer.from('not an archive'), 'fixture'), /fixture is not a Debian package/);
});

test('names a missing or unknown data archive', async () => {
  const version = { name: 'debian-binary', content: Buffer.from('2.0\n') };
  await assert.rejects(readDebTree(makeAr([version]), 'fixture'), /has no data\.tar/);
  await assert.rejects(readDebTree(makeAr([version, { name: 'data.tar.lz9', content: Buffer.from('x') }]), 'fixture'), /not supported/);
  await assert.rejects(readDebTree(makeAr([{ name: 'debian-binary', content: Buffer.from('3.0\n') }]), 'fixture'), /format 2/);
});

test('decompression is bounded', async () => {
  const bomb = new Uint8Array(1 << 20);
  for (const compression of ['xz', 'gz', 'zst'] satisfies Compression[]) {
    const packed = compressSync(compression, bomb);
    assert.equal((await decompress(`x.${compression}`, packed)).length, bomb.length);
    await assert.rejects(decompress(`x.${compression}`, packed, { limitBytes: 1 << 19 }), ImageError, compression);
    await assert.rejects(decompress(`x.${compression}`, packed.subarray(0, packed.length - 5)), ImageError, compression);
    await assert.rejects(decompress(`x.${compression}`, new Uint8Array(0)), ImageError, compression);
  }
});

test('stops when asked to', async () => {
  const deb = await makeDeb(FILES);
  await assert.rejects(readDebTree(deb, 'fixture', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.ok((await makeTar(FILES)).length > 0);
});
