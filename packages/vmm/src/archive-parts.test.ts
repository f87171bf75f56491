import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openParts } from './archive-parts.ts';
import { openRegionFile } from './region-file.ts';

/** `i32.const 0; drop` */
const NOTHING = [0x41, 0x00, 0x1a];

/** Regions that give 0, of so many bytes together. */
function addRegions(path: string, keys: readonly number[], sizeBytes: number): void {
  const { archive, flush } = openRegionFile(path);
  const code = Uint8Array.from(Array.from({ length: Math.ceil(sizeBytes / keys.length / NOTHING.length) }, () => NOTHING).flat());
  for (const key of keys) {
    archive.add({
      entry: 0, blockTag: 1, key, instructionCount: 1, isGrown: false, pages: [0], runs: [{ offset: 0, bytes: Uint8Array.of(key) }], locals: [], hints: [], places: [],
      code: Uint8Array.of(...code, 0x41, 0x00),
    });
  }
  flush();
}

const countsOf = (path: string) => openParts(path, openRegionFile(path)).map(({ regionCount, codePath }) => [regionCount, codePath !== undefined]);

function temporaryPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-parts-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'name');
}

test('an archive without regions has no parts', (t) => {
  assert.deepEqual(countsOf(temporaryPath(t)), []);
});

test('parts get files of their own as the archive grows', (t) => {
  const path = temporaryPath(t);
  addRegions(path, [1, 2, 3], 40_000);
  assert.deepEqual(countsOf(path), [[3, true]]);
  addRegions(path, [4], 5000);
  assert.deepEqual(countsOf(path), [[3, true], [1, false]]);
  assert.ok(!existsSync(`${path}.1`));
  addRegions(path, [5, 6], 8000);
  assert.deepEqual(countsOf(path), [[3, true], [3, true]]);
  assert.deepEqual(countsOf(path), [[3, true], [3, true]]);
});

test('a part that is damaged, or of another archive, is made anew with all that follows it', (t) => {
  const path = temporaryPath(t);
  addRegions(path, [1, 2, 3], 40_000);
  openParts(path, openRegionFile(path));
  addRegions(path, [4], 20_000);
  assert.deepEqual(countsOf(path), [[3, true], [1, true]]);
  const file = readFileSync(`${path}.0`);
  file[100]! ^= 1;
  writeFileSync(`${path}.0`, file);
  assert.deepEqual(countsOf(path), [[4, true]]);
  rmSync(path);
  addRegions(path, [7], 40_000);
  assert.deepEqual(countsOf(path), [[1, true]]);
  rmSync(path);
  addRegions(path, [8, 9], 40_000);
  const [part] = openParts(path, openRegionFile(path));
  assert.equal(part!.regionCount, 2);
  rmSync(path);
  addRegions(path, [9, 8], 50_000);
  assert.ok(openParts(path, openRegionFile(path))[0]!.sizeBytes > part!.sizeBytes);
});
