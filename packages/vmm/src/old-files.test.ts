import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dropOldFiles, FOLDER_BYTES_MAX } from './old-files.ts';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-old-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file that was used so many hours ago; it takes no room on the disk. */
function addFile(folder: string, name: string, hours: number, sizeBytes = 1): void {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  const used = Date.now() / 1000 - hours * 3600;
  utimesSync(path, used, used);
}

test('files that nobody used for a week go', (t) => {
  const folder = temporaryFolder(t);
  addFile(folder, 'old', 8 * 24);
  addFile(folder, 'new', 6 * 24);
  dropOldFiles(folder);
  assert.deepEqual(readdirSync(folder), ['new']);
});

test('of too many those go that were used longest ago', (t) => {
  const folder = temporaryFolder(t);
  for (const hours of [3, 1, 4, 2]) addFile(folder, `${hours}`, hours, Math.floor(FOLDER_BYTES_MAX / 3));
  dropOldFiles(folder);
  assert.deepEqual(readdirSync(folder).toSorted(), ['1', '2', '3']);
});
