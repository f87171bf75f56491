import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BlockBackend } from '@hanok/machine';
import { ImageError } from '../image-error.ts';
import { temporaryDirectory } from '../testing/temporary-directory.ts';
import { openOverlayDisk } from './overlay-disk.ts';
import { CLUSTER_BYTES, TABLE_OFFSET_BYTES } from './overlay-header.ts';
import { openRawDisk } from './raw-disk.ts';

const SIZE_BYTES = 5 * CLUSTER_BYTES + 1536;

const base = (): Uint8Array => Uint8Array.from({ length: SIZE_BYTES }, (_, index) => (index >> 9) % 251 | 1);

async function readAll(disk: BlockBackend): Promise<Buffer> {
  const bytes = Buffer.alloc(disk.sizeBytes);
  await disk.read(0, bytes);
  return bytes;
}

/** Does random operations on the disk and on an array, which must agree. */
async function compareWithModel(disk: BlockBackend, model: Uint8Array, seed: number, reopen?: () => Promise<BlockBackend>): Promise<BlockBackend> {
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
  for (let round = 0; round < 400; round++) {
    const offset = random(SIZE_BYTES / 512) * 512;
    const length = Math.min(SIZE_BYTES - offset, random(2) ? random(8) * 512 : random(300) * 512);
    const kind = random(10);
    if (kind < 5) {
      const bytes = new Uint8Array(length).fill(random(256));
      await disk.write(offset, bytes);
      model.set(bytes, offset);
    } else if (kind < 7) {
      await disk.discard(offset, length);
      model.fill(0, offset, offset + length);
    } else if (kind < 8) {
      await disk.flush();
    } else if (kind < 9 && reopen) {
      await disk.close();
      disk = await reopen();
    } else {
      const bytes = new Uint8Array(length);
      await disk.read(offset, bytes);
      assert.ok(Buffer.from(bytes).equals(model.subarray(offset, offset + length)), `seed ${seed} round ${round}`);
    }
  }
  assert.ok((await readAll(disk)).equals(model), `seed ${seed} at the end`);
  return disk;
}

function newSeed(): number {
  const seed = Number(process.env['HANOK_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  return seed;
}

test('a raw disk holds what was written, and discards to zeros', async (t) => {
  const path = join(await temporaryDirectory(t), 'disk.img');
  await writeFile(path, base());
  const disk = await openRawDisk(path);
  assert.deepEqual([disk.sizeBytes, disk.readOnly], [SIZE_BYTES, false]);
  const model = base();
  await compareWithModel(disk, model, newSeed());
  await disk.close();
  assert.ok((await readFile(path)).equals(model));
});

test('discarding a hole of a sparse raw disk takes no space', async (t) => {
  const path = join(await temporaryDirectory(t), 'disk.img');
  await writeFile(path, '');
  await truncate(path, 16 << 20);
  const disk = await openRawDisk(path);
  await disk.discard(0, 16 << 20);
  await disk.close();
  assert.equal((await stat(path)).blocks, 0);
});

test('a read-only raw disk and ranges outside the disk are refused', async (t) => {
  const path = join(await temporaryDirectory(t), 'disk.img');
  await writeFile(path, base());
  const disk = await openRawDisk(path, { readOnly: true });
  t.after(() => disk.close());
  await assert.rejects(disk.write(0, new Uint8Array(512)), /disk\.img is open read-only/);
  await assert.rejects(disk.discard(0, 512), /read-only/);
  await disk.flush();
  for (const [offset, length] of [[SIZE_BYTES, 512], [-512, 512], [0.5, 512], [Number.NaN, 512], [SIZE_BYTES - 511, 512]]) {
    await assert.rejects(disk.read(offset!, new Uint8Array(length!)), /disk\.img: the range .* is outside the disk/);
  }
  await truncate(path, 512);
  await assert.rejects(disk.read(0, new Uint8Array(1024)), /disk\.img ends at 512 bytes/);
});

test('names the file and the mend when a disk cannot be opened', async (t) => {
  const directory = await temporaryDirectory(t);
  const odd = join(directory, 'odd.img');
  await writeFile(odd, 'x'.repeat(700));
  await assert.rejects(openRawDisk(odd), /odd\.img.*700 bytes is not a multiple of 512.*truncate -s 1024/s);
  await writeFile(odd, '');
  await assert.rejects(openRawDisk(odd), /truncate -s 512/);
  await assert.rejects(openRawDisk(join(directory, 'none.img')), /none\.img: there is no such file/);
  await assert.rejects(openRawDisk(directory), /directory|regular file/);
  await assert.rejects(openRawDisk('/dev/null'), /\/dev\/null as a disk: it is not a regular file/);
  await assert.rejects(openOverlayDisk(odd), ImageError);
});

test('an overlay without a file leaves the base and the temporary directory alone', async (t) => {
  const path = join(await temporaryDirectory(t), 'base.img');
  await writeFile(path, base());
  const temporary = await temporaryDirectory(t);
  const usual = process.env['TMPDIR'];
  process.env['TMPDIR'] = temporary;
  const disk = await openOverlayDisk(path).finally(() => (usual === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = usual)));
  const model = base();
  await compareWithModel(disk, model, newSeed());
  assert.deepEqual(await readdir(temporary), []);
  await disk.close();
  assert.ok((await readFile(path)).equals(base()));
});

test('an overlay in a file keeps the changes', async (t) => {
  const directory = await temporaryDirectory(t);
  const [path, overlay] = [join(directory, 'base.img'), join(directory, 'overlay')];
  await writeFile(path, base());
  const reopen = (): Promise<BlockBackend> => openOverlayDisk(path, overlay);
  const model = base();
  const disk = await compareWithModel(await reopen(), model, newSeed(), reopen);
  await disk.close();
  const again = await reopen();
  assert.ok((await readAll(again)).equals(model));
  await again.close();
  assert.ok((await readFile(path)).equals(base()));
  // Data clusters are used again: at most two for each cluster of the disk.
  assert.ok((await stat(overlay)).size <= (1 + 2 * 6) * CLUSTER_BYTES);
  assert.deepEqual((await readdir(directory)).sort(), ['base.img', 'overlay']);
});

test('what was flushed outlives a crash, and what was not leaves the old content', async (t) => {
  const directory = await temporaryDirectory(t);
  const [path, overlay, crashed] = [join(directory, 'base.img'), join(directory, 'overlay'), join(directory, 'crashed')];
  await writeFile(path, base());
  const disk = await openOverlayDisk(path, overlay);
  const model = base();
  await disk.write(512, Buffer.alloc(1024, 0xaa));
  model.fill(0xaa, 512, 1536);
  await disk.discard(CLUSTER_BYTES, CLUSTER_BYTES);
  model.fill(0, CLUSTER_BYTES, 2 * CLUSTER_BYTES);
  await disk.flush();
  // These clusters must not take the place of data that the table in the file still names.
  await disk.discard(0, CLUSTER_BYTES);
  await disk.write(3 * CLUSTER_BYTES, Buffer.alloc(CLUSTER_BYTES, 0xbb));
  await writeFile(crashed, await readFile(overlay));
  await disk.close();
  const after = await openOverlayDisk(path, crashed);
  assert.ok((await readAll(after)).equals(model));
  await after.close();
});

test('writes to one cluster at the same time do not lose each other', async (t) => {
  const path = join(await temporaryDirectory(t), 'base.img');
  await writeFile(path, base());
  const disk = await openOverlayDisk(path);
  const model = base();
  const work: Promise<void>[] = [];
  for (let sector = 0; sector < SIZE_BYTES / 512; sector++) {
    model.fill(sector & 0xff, sector * 512, sector * 512 + 512);
    work.push(disk.write(sector * 512, Buffer.alloc(512, sector & 0xff)));
    if (sector % 50 === 0) work.push(disk.flush());
  }
  await Promise.all(work);
  assert.ok((await readAll(disk)).equals(model));
  await disk.close();
});

test('refuses an overlay of another base, and hostile overlays', async (t) => {
  const directory = await temporaryDirectory(t);
  const [path, overlay] = [join(directory, 'base.img'), join(directory, 'overlay')];
  await writeFile(path, base());
  const disk = await openOverlayDisk(path, overlay);
  await disk.write(0, Buffer.alloc(2 * CLUSTER_BYTES, 1));
  await disk.close();
  const good = await readFile(overlay);
  const refused = async (change: (bytes: Buffer) => Uint8Array, message: RegExp): Promise<void> => {
    await writeFile(overlay, change(Buffer.from(good)));
    await assert.rejects(openOverlayDisk(path, overlay), (error: unknown) => error instanceof ImageError && message.test(error.message), String(message));
  };
  const withU32 = (value: number, offset: number) => (bytes: Buffer): Buffer => (bytes.writeUInt32LE(value, offset), bytes);
  await refused(() => Buffer.alloc(0), /not an overlay/);
  await refused(() => Buffer.from('something else'.repeat(1000)), /not an overlay/);
  await refused(withU32(2, 8), /version 2/);
  await refused(withU32(31, 12), /damaged overlay header/);
  await refused(withU32(1, 100), /damaged overlay header/);
  await refused(withU32(512, 16), /belongs to a base of 512 bytes, but .*base\.img has/);
  await refused((bytes) => bytes.subarray(0, TABLE_OFFSET_BYTES + 10), /cut off/);
  await refused(withU32(3, TABLE_OFFSET_BYTES), /damaged cluster table/);
  await refused(withU32(2, TABLE_OFFSET_BYTES), /damaged cluster table/);
  await refused(withU32(0xfffffffe, TABLE_OFFSET_BYTES + 8), /damaged cluster table/);
  await truncate(path, SIZE_BYTES + 512);
  await refused((bytes) => bytes, /give the base that it was made from/);
  await assert.rejects(openOverlayDisk(path, join(directory, 'none', 'overlay')), /none/);
  await mkdir(join(directory, 'folder'));
  await assert.rejects(openOverlayDisk(path, join(directory, 'folder')), ImageError);
});
