import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENTER } from '../layout.ts';
import type { CompileRequest } from './region-compiler.ts';
import { ASKED, RequestQueue } from './request-queue.ts';

test('what ran most since it was asked for comes first, and what is not wanted any more is not compiled', () => {
  const memory = new SharedArrayBuffer(0x1000);
  const view = new DataView(memory);
  const queue = new RequestQueue(memory);
  const runs = [5, 700, 0, 90];
  runs.forEach((count, id) => {
    view.setInt32(id * 32 + ENTER.countdown, ASKED - count, true);
    queue.add({ id, slot: id * 32 } as CompileRequest);
  });
  assert.deepEqual(queue.take(1), { requests: [{ id: 1, slot: 32 }], unwanted: [] });
  view.setInt32(3 * 32 + ENTER.countdown, 1500, true);
  view.setInt32(2 * 32 + ENTER.countdown, ASKED - 6, true);
  assert.deepEqual(queue.take(8), { requests: [{ id: 2, slot: 64 }, { id: 0, slot: 0 }], unwanted: [3] });
  assert.deepEqual(queue.take(8), { requests: [], unwanted: [] });
});
