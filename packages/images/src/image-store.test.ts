import assert from 'node:assert/strict';
import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ImageCache } from './cache.ts';
import { ImageStore } from './image-store.ts';
import { temporaryDirectory } from './testing/temporary-directory.ts';

const INPUTS = '0'.repeat(64);
const LARGE_BYTES = (8 << 20) + 1;

async function setUp(t: TestContext) {
  let count = 0;
  const store = new ImageStore(new ImageCache(await temporaryDirectory(t)));
  const obtain = async () =>
    await store.obtain('test', INPUTS, async (directory) => {
      count++;
      await writeFile(join(directory, 'small'), 'small');
      await writeFile(join(directory, 'large'), Buffer.alloc(LARGE_BYTES));
    });
  return { obtain, made: () => count };
}

test('a small file is known by its content', async (t) => {
  const { obtain, made } = await setUp(t);
  const path = (await obtain()).get('small')!;
  const { atime, mtime } = await stat(path);
  await writeFile(path, 'smell');
  await utimes(path, atime, mtime);
  assert.equal((await obtain()).get('small'), path);
  assert.equal(await readFile(path, 'utf8'), 'small');
  assert.equal(made(), 2);
});

test('a large file is known by its size and time', async (t) => {
  const { obtain, made } = await setUp(t);
  const path = (await obtain()).get('large')!;
  await obtain();
  assert.equal(made(), 1);
  await writeFile(path, Buffer.alloc(LARGE_BYTES, 1));
  await obtain();
  assert.equal(made(), 2);
  await writeFile(path, Buffer.alloc(LARGE_BYTES + 1));
  await obtain();
  assert.equal(made(), 3);
  assert.ok((await readFile(path)).every((byte) => byte === 0));
});
