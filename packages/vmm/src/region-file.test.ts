import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ARCHIVE_BYTES_MAX, ArchiveIndex } from '@hanok/emulator';
import { regionFilePath } from './region-file-path.ts';
import { openRegionFile } from './region-file.ts';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-regions-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const region = (key: number) => ({
  entry: 0, blockTag: 1, key, instructionCount: 1, isGrown: false, pages: [0], runs: [{ offset: 0, bytes: Uint8Array.of(0x90) }], locals: [], hints: [], places: [],
  code: new Uint8Array(3),
});

const KEYS = Array.from({ length: 100 }, (_, key) => key);
function countIn(path: string): number {
  const index = new ArchiveIndex(openRegionFile(path).archive.tables);
  return KEYS.reduce((sum, key) => sum + index.withKey(key, 1).length, 0);
}

test('regions are there for the next machines, whoever kept them', (t) => {
  const path = join(temporaryFolder(t), 'regions', 'name');
  const [first, second] = [openRegionFile(path), openRegionFile(path)];
  first.archive.add(region(1));
  second.archive.add(region(2));
  first.archive.add(region(3));
  assert.equal(countIn(path), 0);
  for (const { flush } of [first, second, first]) flush();
  assert.equal(countIn(path), 3);
});

test('a file that was cut short, or damaged, has the regions before that', (t) => {
  const path = join(temporaryFolder(t), 'name');
  const { archive, flush } = openRegionFile(path);
  for (const key of [1, 2, 3]) archive.add(region(key));
  flush();
  const bytes = readFileSync(path);
  truncateSync(path, bytes.length - 1);
  assert.equal(countIn(path), 2);
  const damaged = Buffer.from(bytes);
  damaged[bytes.length / 3 + 20]! ^= 1;
  writeFileSync(path, damaged);
  assert.equal(countIn(path), 1);
});

test('a full file gets no more', (t) => {
  const path = join(temporaryFolder(t), 'name');
  const code = randomBytes(1 << 20);
  const fill = () => {
    const { archive, flush } = openRegionFile(path);
    for (const key of KEYS) archive.add({ ...region(key), code });
    flush();
    return statSync(path).size;
  };
  const sizeBytes = fill();
  assert.ok(sizeBytes >= ARCHIVE_BYTES_MAX && sizeBytes < ARCHIVE_BYTES_MAX + 2 * code.length, `${sizeBytes} bytes`);
  assert.equal(fill(), sizeBytes);
  assert.ok(countIn(path) > 1);
});

test('a folder that cannot be had costs nothing', (t) => {
  const path = join(temporaryFolder(t), 'name');
  writeFileSync(path, 'no folder');
  const { archive, flush } = openRegionFile(join(path, 'name'));
  archive.add(region(1));
  flush();
  assert.equal(archive.tables.bytes.length, 0);
});

test('each kernel and each initrd has a file of its own', () => {
  const kernel = new Uint8Array(100_000);
  const initrd = new Uint8Array(1000);
  const path = regionFilePath('/cache', { kernel, initrd });
  assert.equal(regionFilePath('/cache', { kernel: kernel.slice(), initrd: initrd.slice() }), path);
  assert.notEqual(regionFilePath('/cache', { kernel: kernel.subarray(1), initrd }), path);
  assert.notEqual(regionFilePath('/cache', { kernel, initrd: initrd.subarray(1) }), path);
  kernel[1000] = 1;
  assert.notEqual(regionFilePath('/cache', { kernel, initrd }), path);
});
