import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rng } from '@hanok/devices';
import { CountingEntropy } from './fake-backends.ts';
import { GuestDriver } from './guest-driver.ts';
import { TestBoard } from './test-board.ts';

function start() {
  const board = new TestBoard();
  const device = rng({ source: new CountingEntropy() }, { memory: board.memory, clock: board.clock });
  board.add(device);
  return { board, device, driver: new GuestDriver(board, 4).start() };
}

test('fills a scattered request and says so', () => {
  const { board, driver } = start();
  const first = board.allocate(3);
  const second = board.allocate(5);
  const head = driver.queues[0]!.submit([
    { gpa: first, lengthBytes: 3, writable: true },
    { gpa: second, lengthBytes: 5, writable: true },
  ]);
  driver.notify(0);
  assert.deepEqual(driver.queues[0]!.takeUsed(), [{ head, lengthBytes: 8 }]);
  assert.deepEqual([...board.bytes(first, 3), ...board.bytes(second, 5)], [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(board.takeMessages(), [GuestDriver.messageOf(0)]);
});

test('gives part of a request that is too large', () => {
  const { board, driver } = start();
  driver.queues[0]!.submit([{ gpa: board.allocate(100000), lengthBytes: 100000, writable: true }]);
  driver.notify(0);
  const [used] = driver.queues[0]!.takeUsed();
  assert.equal(used!.lengthBytes, 4096);
});

test('has no device configuration structure', () => {
  assert.equal(start().driver.regions.has(4), false);
});
