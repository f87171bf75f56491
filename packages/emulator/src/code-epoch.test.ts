import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextEpoch } from './code-epoch.ts';

test('epochs leave room for the number of a TLB, and begin again', () => {
  assert.equal(nextEpoch(0), 4);
  const last = 2 ** 28 - 8;
  assert.equal(nextEpoch(last), 0);
  assert.ok(last + 3 < 2 ** 28 - 1, 'none has all bits with the number of a TLB');
});
