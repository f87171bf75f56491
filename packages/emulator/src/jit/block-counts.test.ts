import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockCounts } from './block-counts.ts';

const POLICY = { hotCount: 100, doublingsMax: 2, unknownFactor: 2, newFactor: 5, newRegions: 4, batchRegions: 1, batchSlices: 1 };
const PAGE = 7;

test('code must be hotter while there are few regions, and where no earlier machine left some', () => {
  const counts = new BlockCounts(POLICY, 2);
  assert.equal(counts.usual, 500);
  counts.compiledOne();
  assert.equal(counts.usual, 500);
  counts.compiledOne();
  assert.equal(counts.usual, 200, 'two vCPUs have four together');
  counts.foundArchive(1);
  assert.equal(counts.usual, 100);
});

test('an archive with enough of them spares the wait', () => {
  const counts = new BlockCounts(POLICY, 1);
  counts.foundArchive(4);
  assert.equal(counts.usual, 100);
});

test('code on a page that changes must be hotter, up to a limit', () => {
  const counts = new BlockCounts({ ...POLICY, newFactor: 1, unknownFactor: 1 }, 1);
  const seen = [0, 1, 2, 3].map(() => {
    const count = counts.of(PAGE);
    counts.droppedPage(PAGE);
    return count;
  });
  assert.deepEqual(seen, [100, 200, 400, 400]);
  assert.equal(counts.of(PAGE + 1), 100);
  assert.equal(counts.dropsOf(PAGE), 4);
});
