import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PostedInterrupts } from './posted-interrupts.ts';

const create = () => new PostedInterrupts(new SharedArrayBuffer(PostedInterrupts.sizeBytes));

test('vectors keep their trigger modes; those under 16 are dropped', () => {
  const posted = create();
  posted.post(0x51, true);
  posted.post(0x52, false);
  posted.post(15, false);
  assert.deepEqual(posted.take(2), { requests: (1 << 17) | (1 << 18), levels: 1 << 17 });
  assert.deepEqual(posted.take(0), { requests: 0, levels: 0 });
  assert.equal(posted.takeAttention(), true);
  assert.equal(posted.takeAttention(), false);
});

test('INIT voids an earlier start-up IPI, a later one stays', () => {
  const posted = create();
  posted.postStartup(0x12);
  posted.postInit();
  assert.equal(posted.takeStartup(), -1);
  assert.equal(posted.takeInit(), true);
  posted.postInit();
  posted.postStartup(0x9f);
  assert.equal(posted.takeInit(), true);
  assert.equal(posted.takeStartup(), 0x9f);
  assert.equal(posted.takeStartup(), -1);
  assert.equal(posted.takeInit(), false);
});

test('NMI and kick are taken once and do not disturb each other', () => {
  const posted = create();
  posted.postNmi();
  posted.postKick();
  posted.postStartup(0xff);
  assert.equal(posted.takeStartup(), 0xff);
  assert.equal(posted.takeKick(), true);
  assert.equal(posted.takeKick(), false);
  assert.equal(posted.takeNmi(), true);
  assert.equal(posted.takeNmi(), false);
});
