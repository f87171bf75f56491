import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rng } from '@hanok/devices';
import { CountingEntropy } from './fake-backends.ts';
import { GuestDriver } from './guest-driver.ts';
import { TestBoard } from './test-board.ts';

const INDIRECT_DESC = 1n << 28n;
const EVENT_IDX = 1n << 29n;
const VERSION_1 = 1n << 32n;

function setUp() {
  const board = new TestBoard();
  const device = rng({ source: new CountingEntropy() }, { memory: board.memory, clock: board.clock, name: 'rng0' });
  board.add(device);
  const driver = new GuestDriver(board, 4);
  const ask = (lengthBytes = 4) => {
    const gpa = board.allocate(lengthBytes);
    driver.queues[0]!.submit([{ gpa, lengthBytes, writable: true }]);
    return gpa;
  };
  return { board, device, driver, ask };
}

test('offers the ring features and version 1, and no legacy', () => {
  const { driver } = setUp();
  assert.equal(driver.offered, INDIRECT_DESC | EVENT_IDX | VERSION_1);
});

test('refuses features it did not offer, and drivers without version 1', () => {
  const { driver } = setUp();
  const statusAfter = (features: bigint) => {
    driver.setCommon(20, 0, 1);
    driver.setCommon(20, 3, 1);
    driver.acceptFeatures(features);
    driver.setCommon(20, 3 | 8, 1);
    return driver.status;
  };
  assert.equal(statusAfter(EVENT_IDX), 3);
  assert.equal(statusAfter(VERSION_1 | 1n), 3);
  assert.equal(statusAfter(VERSION_1), 11);
  driver.acceptFeatures(0n);
  driver.setCommon(8, 1, 4);
  assert.equal(driver.common(12, 4), 1);
});

test('DRIVER_OK needs FEATURES_OK, and bits stay until reset', () => {
  const { driver } = setUp();
  driver.setCommon(20, 7, 1);
  assert.equal(driver.status, 3);
  driver.setCommon(20, 1, 1);
  assert.equal(driver.status, 3);
  driver.setCommon(20, 0, 1);
  assert.equal(driver.status, 0);
});

test('queue size and addresses are fixed while the queue is enabled; a reset restores them', () => {
  const { driver } = setUp();
  driver.start({ queueSize: 8 });
  driver.setCommon(22, 0, 2);
  driver.setCommon(24, 4, 2);
  driver.setCommon(32, 0x123450, 4);
  assert.deepEqual([driver.common(24, 2), driver.common(32, 4), driver.common(28, 2)], [8, driver.queues[0]!.descriptors, 1]);
  driver.setCommon(20, 0, 1);
  driver.setCommon(22, 0, 2);
  assert.deepEqual([driver.common(24, 2), driver.common(32, 4), driver.common(28, 2), driver.common(26, 2)], [64, 0, 0, 0xffff]);
});

test('sizes that are no power of two or too large are ignored, and so is a queue that does not exist', () => {
  const { driver } = setUp();
  for (const size of [0, 3, 128, 0xffff]) driver.setCommon(24, size, 2);
  assert.equal(driver.common(24, 2), 64);
  driver.setCommon(22, 7, 2);
  driver.setCommon(28, 1, 2);
  assert.deepEqual([driver.common(24, 2), driver.common(28, 2), driver.common(26, 2)], [0, 0, 0xffff]);
});

test('a vector the device does not have reads back as none', () => {
  const { driver } = setUp();
  driver.setCommon(16, 1, 2);
  assert.equal(driver.common(16, 2), 1);
  driver.setCommon(16, 2, 2);
  assert.equal(driver.common(16, 2), 0xffff);
});

test('requests made available before DRIVER_OK are served then, and not before', () => {
  const { board, driver, ask } = setUp();
  driver.prepare();
  ask();
  driver.notify(0);
  assert.equal(driver.queues[0]!.usedIdx, 0);
  driver.ready();
  assert.deepEqual([driver.queues[0]!.usedIdx, board.takeMessages()], [1, [GuestDriver.messageOf(0)]]);
});

test('without bus mastering nothing is read or written until it is switched on', () => {
  const { board, driver, ask } = setUp();
  driver.start();
  board.writeConfig(driver.device, 4, 0x0002, 2);
  ask();
  driver.notify(0);
  assert.deepEqual([driver.queues[0]!.usedIdx, board.messages.length], [0, 0]);
  board.writeConfig(driver.device, 4, 0x0006, 2);
  assert.deepEqual([driver.queues[0]!.usedIdx, board.messages.length], [1, 1]);
});

test('INTx where MSI-X is off: asserted with the ISR bit, released by reading it', () => {
  const { board, driver, ask } = setUp();
  driver.start({ msix: false });
  const wire = driver.device % 4;
  ask();
  driver.notify(0);
  assert.equal(board.intx[wire], true);
  assert.equal(board.readConfig(driver.device, 6, 2) & 8, 8);
  assert.equal(driver.read(3, 0, 1), 1);
  assert.deepEqual([board.intx[wire], driver.read(3, 0, 1), board.messages.length], [false, 0, 0]);
});

test('the interrupt disable bit holds INTx back', () => {
  const { board, driver, ask } = setUp();
  driver.start({ msix: false });
  const wire = driver.device % 4;
  board.writeConfig(driver.device, 4, 0x0406, 2);
  ask();
  driver.notify(0);
  assert.equal(board.intx[wire], false);
  board.writeConfig(driver.device, 4, 0x0006, 2);
  assert.equal(board.intx[wire], true);
});

test('interrupts are suppressed by the flag, or by used_event', () => {
  const plain = setUp();
  plain.driver.start({ features: ~EVENT_IDX });
  plain.driver.queues[0]!.setAvailableFlags(1);
  plain.ask();
  plain.driver.notify(0);
  assert.deepEqual([plain.driver.queues[0]!.usedIdx, plain.board.messages.length], [1, 0]);

  const { board, driver, ask } = setUp();
  driver.start();
  driver.queues[0]!.setUsedEvent(2);
  for (const expected of [1, 1, 2]) {
    ask();
    driver.notify(0);
    assert.equal(board.messages.length, expected);
  }
});

test('avail_event asks to hear of the next request', () => {
  const { driver, ask } = setUp();
  driver.start();
  for (let i = 0; i < 3; i++) ask();
  driver.notify(0);
  assert.equal(driver.queues[0]!.availableEvent, 3);
});

test('indices wrap at 65536', () => {
  const { board, driver, ask } = setUp();
  driver.start({ queueSize: 2, features: ~EVENT_IDX });
  const gpa = ask();
  driver.notify(0);
  for (let i = 1; i < 65540; i++) {
    driver.queues[0]!.makeAvailable(0);
    if (i % 2 === 0) driver.notify(0);
  }
  driver.notify(0);
  assert.deepEqual([driver.needsReset, driver.queues[0]!.usedIdx], [false, 65540 & 0xffff]);
  assert.notDeepEqual([...board.bytes(gpa, 4)], [0, 0, 0, 0]);
});

test('PCI configuration access reaches the BAR, even without memory space', () => {
  const { board, driver } = setUp();
  const { device, pciCfgCapability: cap } = driver;
  board.writeConfig(device, 4, 0, 2);
  board.writeConfig(device, cap + 8, 18, 4);
  board.writeConfig(device, cap + 12, 2, 4);
  assert.equal(board.readConfig(device, cap + 16, 2), 1);
  board.writeConfig(device, cap + 8, 20, 4);
  board.writeConfig(device, cap + 12, 1, 4);
  board.writeConfig(device, cap + 16, 1, 1);
  assert.equal(board.readConfig(device, cap + 16, 1), 1);
  board.writeConfig(device, cap + 12, 3, 4);
  board.writeConfig(device, cap + 16, 0, 4);
  board.writeConfig(device, cap + 12, 1, 4);
  assert.equal(board.readConfig(device, cap + 16, 1), 1);
});

test('a saved state is plain, and a damaged one is refused with the field', async () => {
  const { board, device, driver, ask } = setUp();
  driver.start();
  await device.pause();
  const state = structuredClone(device.save()) as unknown as {
    version: number;
    core: { status: unknown; queues: { size: unknown; addresses: { word: number }[] }[] };
  };
  const damaged = (change: (copy: typeof state) => void) => {
    const copy = structuredClone(state);
    change(copy);
    return () => device.restore(copy as never);
  };
  assert.throws(
    damaged((copy) => (copy.version = 2)),
    /rng0 has version 2/,
  );
  assert.throws(
    damaged((copy) => (copy.core.status = 'x')),
    /rng0\.core: field status is not a whole number/,
  );
  assert.throws(
    damaged((copy) => (copy.core.queues[0]!.size = 3)),
    /field size is not a power of two/,
  );
  assert.throws(
    damaged((copy) => (copy.core.queues[0]!.addresses[1]!.word = 1)),
    /field addresses do not fit the RAM/,
  );
  device.restore(state as never);
  ask();
  driver.notify(0);
  assert.equal(driver.queues[0]!.usedIdx, 0);
  device.resume();
  assert.equal(driver.queues[0]!.usedIdx, 1);
  board.checkGuards();
});
