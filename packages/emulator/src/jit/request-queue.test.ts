import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENTER } from '../layout.ts';
import type { RecordedCode } from './recorded-code.ts';
import type { CompileRequest } from './region-compiler.ts';
import { ASKED, RequestQueue } from './request-queue.ts';

const request = (id: number, isGrown = false): CompileRequest => ({ id, slot: id * 32, code: { isGrown } as RecordedCode });

test('what ran most since it was asked for comes first, and what is not wanted any more is not compiled', () => {
  const memory = new SharedArrayBuffer(0x1000);
  const view = new DataView(memory);
  const queue = new RequestQueue(memory);
  const runs = [5, 700, 0, 90];
  runs.forEach((count, id) => {
    view.setInt32(id * 32 + ENTER.countdown, ASKED - count, true);
    queue.add(request(id));
  });
  assert.deepEqual(queue.take(1), { requests: [request(1)], unwanted: [] });
  view.setInt32(3 * 32 + ENTER.countdown, 1500, true);
  view.setInt32(2 * 32 + ENTER.countdown, ASKED - 6, true);
  assert.deepEqual(queue.take(8), { requests: [request(2), request(0)], unwanted: [3] });
  assert.deepEqual(queue.take(8), { requests: [], unwanted: [] });
});

test('what is compiled already waits for all else, and comes one by one', () => {
  const memory = new SharedArrayBuffer(0x1000);
  const view = new DataView(memory);
  const queue = new RequestQueue(memory);
  for (const [id, isGrown] of [true, false, true].entries()) {
    view.setInt32(id * 32 + ENTER.countdown, ASKED, true);
    queue.add(request(id, isGrown));
  }
  const taken = [1, 2, 3, 4].map(() => queue.take(8).requests.map(({ id }) => id));
  assert.deepEqual(taken, [[1], [0], [2], []]);
});
