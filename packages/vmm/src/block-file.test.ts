import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KeptBlocks } from '@hanok/emulator';
import { keepBlocks, readBlocks } from './block-file.ts';

const CODE = Uint8Array.from({ length: 0x1000 }, (_, at) => at ^ (at >> 8));

/** A journal with blocks at the first `count` multiples of 16. */
function journalOf(count: number): Int32Array {
  const journal = new Int32Array(20_000);
  const blocks = new KeptBlocks(undefined, journal);
  for (let number = 0; number < count; number++) blocks.note(CODE, number * 16, 4, 0, Int32Array.of(number), 0, 4);
  blocks.settle();
  return journal;
}

function countIn(path: string): number {
  const words = readBlocks(path);
  const blocks = new KeptBlocks(words);
  return words ? Array.from({ length: 256 }, (_, number) => blocks.copy(CODE, number * 16, 0, new Int32Array(1), 0)).filter((end) => end > 0).length : 0;
}

test('blocks are kept when they are many, and read only as they were written', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-blocks-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'name');
  keepBlocks(path, journalOf(0));
  assert.equal(readBlocks(path), undefined);
  keepBlocks(path, journalOf(200));
  assert.equal(countIn(path), 200);
  const { ino } = statSync(path);
  keepBlocks(path, journalOf(1));
  assert.equal(statSync(path).ino, ino);
  keepBlocks(path, journalOf(210));
  assert.equal(countIn(path), 210);
  const file = readFileSync(path);
  file[file.length - 1]! ^= 1;
  writeFileSync(path, file);
  assert.equal(countIn(path), 0);
  keepBlocks(join(path, 'not-a-folder'), journalOf(200));
});
