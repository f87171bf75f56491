import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rng } from '@hanok/devices';
import { CountingEntropy } from './fake-backends.ts';
import { GuestDriver } from './guest-driver.ts';
import type { GuestQueue } from './guest-queue.ts';
import { TestBoard } from './test-board.ts';

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

/** Starts a device, lets `attack` prepare the ring, notifies, and says whether the device gave up. */
function attack(
  prepare: (queue: GuestQueue, board: TestBoard) => void,
  features = ~0n,
): { needsReset: boolean; used: number; reason: string | undefined } {
  const board = new TestBoard();
  const device = rng({ source: new CountingEntropy() }, { memory: board.memory, clock: board.clock });
  board.add(device);
  const driver = new GuestDriver(board, 4).start({ features, queueSize: 8 });
  prepare(driver.queues[0]!, board);
  driver.notify(0);
  const result = { needsReset: driver.needsReset, used: driver.queues[0]!.usedIdx, reason: device.core.lastFailure };
  assert.deepEqual(board.takeMessages(), result.needsReset ? [0x40] : [GuestDriver.messageOf(0)].slice(0, result.used));
  board.checkGuards();
  return result;
}

const attacks: { name: string; reason: RegExp; prepare: (queue: GuestQueue, board: TestBoard) => void; features?: bigint }[] = [
  {
    name: 'a chain that loops',
    reason: /a loop/,
    prepare(queue) {
      queue.writeDescriptor(0, 0x1000, 4, NEXT | WRITE, 1);
      queue.writeDescriptor(1, 0x1000, 4, NEXT | WRITE, 0);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'a head outside the table',
    reason: /descriptor 8 is outside its table of 8/,
    prepare: (queue) => queue.makeAvailable(8),
  },
  {
    name: 'a next outside the table',
    reason: /descriptor 9000 is outside/,
    prepare(queue) {
      queue.writeDescriptor(0, 0x1000, 4, NEXT | WRITE, 9000);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'a buffer that ends after RAM',
    reason: /outside RAM/,
    prepare(queue, board) {
      queue.writeDescriptor(0, board.memory.sizeBytes - 4, 8, WRITE, 0);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'a buffer at an address of 64 bits',
    reason: /outside RAM/,
    prepare(queue, board) {
      board.memory.writeU64(queue.descriptors, 0xffffffff_fffffff0n);
      board.memory.writeU32(queue.descriptors + 8, 32);
      board.memory.writeU16(queue.descriptors + 12, WRITE);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'readable after writable',
    reason: /readable descriptor after a writable one/,
    prepare: (queue) =>
      void queue.submit([
        { gpa: 0x1000, lengthBytes: 4, writable: true },
        { gpa: 0x1000, lengthBytes: 4, writable: false },
      ]),
  },
  {
    name: 'an index that jumps',
    reason: /available index is 9 ahead/,
    prepare: (queue) => queue.setAvailableIdx(9),
  },
  {
    name: 'an index that goes back',
    reason: /available index is 65535 ahead/,
    prepare: (queue) => queue.setAvailableIdx(-1),
  },
  {
    name: 'an indirect table in an indirect table',
    reason: /inside a table/,
    prepare(queue, board) {
      const table = board.allocate(16);
      board.memory.writeU64(table, BigInt(table));
      board.memory.writeU32(table + 8, 16);
      board.memory.writeU16(table + 12, INDIRECT);
      queue.writeDescriptor(0, table, 16, INDIRECT, 0);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'an indirect table with a next descriptor',
    reason: /with a next descriptor/,
    prepare(queue) {
      queue.writeDescriptor(0, 0x1000, 16, INDIRECT | NEXT, 1);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'an indirect table of half a descriptor',
    reason: /indirect table of 24 bytes/,
    prepare(queue) {
      queue.writeDescriptor(0, 0x1000, 24, INDIRECT, 0);
      queue.makeAvailable(0);
    },
  },
  {
    name: 'an indirect table that was not negotiated',
    reason: /without VIRTIO_F_RING_INDIRECT_DESC/,
    features: ~(1n << 28n),
    prepare: (queue) => void queue.submit([{ gpa: 0x1000, lengthBytes: 4, writable: true }], true),
  },
  {
    name: 'a very long indirect chain',
    reason: /more than 1024 descriptors/,
    prepare: (queue) =>
      void queue.submit(
        Array.from({ length: 1100 }, () => ({ gpa: 0x1000, lengthBytes: 1, writable: true })),
        true,
      ),
  },
];

for (const { name, reason, prepare, features } of attacks) {
  test(`${name} makes the device need a reset`, () => {
    const result = attack(prepare, features);
    assert.deepEqual([result.needsReset, result.used], [true, 0]);
    assert.match(result.reason ?? '', reason);
  });
}

test('long indirect chains, empty buffers and requests without writable part are served', () => {
  const result = attack((queue) => {
    queue.submit(
      Array.from({ length: 100 }, () => ({ gpa: 0x1000, lengthBytes: 1, writable: true })),
      true,
    );
    queue.submit([{ gpa: 0x1000, lengthBytes: 0, writable: true }]);
    queue.submit([{ gpa: 0x1000, lengthBytes: 5, writable: false }]);
  });
  assert.deepEqual([result.needsReset, result.used], [false, 3]);
});

for (const [name, ring, gpa] of [
  ['descriptors out of RAM', 0, 0xfff00],
  ['a misaligned used ring', 2, 0x2002],
  ['an available ring beyond 4 GiB', 1, 2 ** 33],
] as const) {
  test(`${name}: the queue does not start`, () => {
    const board = new TestBoard();
    const device = rng({ source: new CountingEntropy() }, { memory: board.memory, clock: board.clock });
    board.add(device);
    const driver = new GuestDriver(board, 4);
    driver.negotiate(~0n);
    [0x1000, 0x2000, 0x3000].forEach((fallback, index) => {
      const address = index === ring ? gpa : fallback;
      driver.setCommon(32 + index * 8, address >>> 0, 4);
      driver.setCommon(36 + index * 8, Math.floor(address / 2 ** 32), 4);
    });
    driver.setCommon(28, 1, 2);
    assert.deepEqual([driver.common(28, 2), driver.needsReset], [0, true]);
  });
}
