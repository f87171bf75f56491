import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Sampled, Sampler } from './sampler.ts';

interface Seen {
  activity: number;
  blockHigh: number;
  blockLow: number;
  pageTables: number;
}

/** A vCPU that does one thing after another, one a look. */
function scripted(seen: readonly Seen[]): Sampled {
  let looks = 0;
  const state = { activity: 0, blockHigh: 0, blockLow: 0, pageTables: 0, look: () => void Object.assign(state, seen[looks++ % seen.length]) };
  return state;
}

const kernel: Seen = { activity: 2, blockHigh: -1, blockLow: 0x81000000, pageTables: 7 };
const user: Seen = { activity: 1, blockHigh: 0, blockLow: 0x401000, pageTables: 7 };

test('adds up the time of places, and keeps the order of samples', () => {
  const sampler = new Sampler([scripted([kernel, user, kernel]), scripted([user])], 1000);
  for (const nowNs of [1010, 1030, 1060]) sampler.sample(nowNs);
  const { durationNs, sampleCount, places, vcpus } = sampler.result();
  assert.deepEqual([durationNs, sampleCount], [60, 3]);
  assert.deepEqual(places, [
    { activity: 2, high: -1, low: 0x81000000, pageTables: 0, ns: 40 },
    { activity: 1, high: 0, low: 0x401000, pageTables: 7, ns: 80 },
  ]);
  assert.deepEqual(vcpus, [{ places: [0, 1, 0], weightsNs: [10, 20, 30] }, { places: [1, 1, 1], weightsNs: [10, 20, 30] }]);
});

test('kernel code is one place in all address spaces, user code is not', () => {
  const sampler = new Sampler([scripted([kernel, { ...kernel, pageTables: 8 }, user, { ...user, pageTables: 8 }])], 0);
  for (let nowNs = 1; nowNs <= 4; nowNs++) sampler.sample(nowNs);
  assert.deepEqual(sampler.result().places.map(({ pageTables, ns }) => [pageTables, ns]), [[0, 2], [7, 1], [8, 1]]);
});

test('keeps a bounded number of samples, and all of the time', () => {
  const sampler = new Sampler([scripted([kernel, user])], 0, { samplesMax: 8, placesMax: 10 });
  for (let nowNs = 1; nowNs <= 1000; nowNs++) sampler.sample(nowNs);
  const { places, vcpus } = sampler.result();
  assert.deepEqual(places.map(({ ns }) => ns), [500, 500]);
  const { places: order, weightsNs } = vcpus[0]!;
  assert.ok(order.length < 8 && order.length === weightsNs.length);
  const keptNs = weightsNs.reduce((sum, ns) => sum + ns, 0);
  // What still waits to be a sample is less than one.
  assert.ok(keptNs > 1000 - Math.max(...weightsNs) && keptNs <= 1000, String(keptNs));
});

test('a guest that runs everywhere does not fill memory', () => {
  const everywhere = Array.from({ length: 100 }, (_, index) => ({ ...user, blockLow: index * 4096 }));
  const sampler = new Sampler([scripted(everywhere)], 0, { samplesMax: 1000, placesMax: 10 });
  for (let nowNs = 1; nowNs <= 100; nowNs++) sampler.sample(nowNs);
  const { places } = sampler.result();
  assert.equal(places.length, 11);
  assert.deepEqual(places.at(-1), { activity: 1, high: 0, low: 0, pageTables: 0, ns: 90 });
});
