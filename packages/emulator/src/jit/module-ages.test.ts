import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MODULE_COST, ModuleAges } from './module-ages.ts';

/** Two regions of ten instructions in each of three modules: slots 0 and 1, 2 and 3, 4 and 5. */
function threeModules() {
  const entries = new Map<number, number>();
  const ages = new ModuleAges((slot) => entries.get(slot) ?? 0);
  for (let slot = 0; slot < 6; slot++) ages.add(slot, slot >> 1, 10);
  return { ages, enter: (slot: number) => void entries.set(slot, (entries.get(slot) ?? 0) + 1) };
}

test('a module counts whole until its last region is gone', () => {
  const { ages } = threeModules();
  const each = 20 + MODULE_COST;
  assert.equal(ages.instructionCount, 3 * each);
  ages.remove(2);
  assert.equal(ages.instructionCount, 3 * each);
  ages.remove(3);
  assert.equal(ages.instructionCount, 2 * each);
  ages.remove(3);
  assert.equal(ages.instructionCount, 2 * each);
});

test('the oldest module goes whose regions were not entered since it was last looked at', () => {
  const { ages, enter } = threeModules();
  enter(1);
  assert.deepEqual(ages.next(), [2, 3]);
  for (const slot of ages.next()) ages.remove(slot);
  // The first was moved behind the third, and is not entered any more.
  assert.deepEqual(ages.next(), [4, 5]);
  for (const slot of ages.next()) ages.remove(slot);
  assert.deepEqual(ages.next(), [0, 1]);
});

test('where all are entered the oldest goes', () => {
  const { ages, enter } = threeModules();
  for (let slot = 0; slot < 6; slot++) enter(slot);
  assert.deepEqual(ages.next(), [0, 1]);
});

test('a region that is made again belongs to its new module', () => {
  const { ages } = threeModules();
  ages.add(0, 7, 30);
  assert.equal(ages.instructionCount, 90 + 4 * MODULE_COST);
  ages.remove(1);
  assert.equal(ages.instructionCount, 70 + 3 * MODULE_COST);
});
