import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blk } from '@hanok/devices';
import type { BlkConfig } from '@hanok/devices';
import { FakeDisk } from './fake-backends.ts';
import { GuestDriver } from './guest-driver.ts';
import type { StartOptions } from './guest-driver.ts';
import { TestBoard, settle } from './test-board.ts';

const T = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, SECURE_ERASE: 14, WRITE_ZEROES: 13 };
const S = { OK: 0, IOERR: 1, UNSUPP: 2 };
const PENDING = 0xee;

function start(config: Partial<BlkConfig> = {}, options: StartOptions = {}) {
  const board = new TestBoard();
  const disk = (config.backend as FakeDisk | undefined) ?? new FakeDisk(64 * 512);
  const device = blk({ backend: disk, serial: 'disk-0', ...config }, { memory: board.memory, clock: board.clock, name: 'disk0' });
  board.add(device);
  const driver = new GuestDriver(board, 2).start(options);

  /** Puts a request into the ring and notifies; `status` reads its status byte. */
  const request = (type: number, sector: number, { out = new Uint8Array(0) as Uint8Array, inBytes = 0, indirect = false } = {}) => {
    const header = new Uint8Array(16);
    const view = new DataView(header.buffer);
    view.setUint32(0, type, true);
    view.setBigUint64(8, BigInt(sector), true);
    const data = board.allocate(inBytes);
    const status = board.place(Uint8Array.of(PENDING));
    const head = driver.queues[0]!.submit(
      [
        { gpa: board.place(header), lengthBytes: 16, writable: false },
        ...(out.length > 0 ? [{ gpa: board.place(out), lengthBytes: out.length, writable: false }] : []),
        ...(inBytes > 0 ? [{ gpa: data, lengthBytes: inBytes, writable: true }] : []),
        { gpa: status, lengthBytes: 1, writable: true },
      ],
      indirect,
    );
    driver.notify(0);
    return { head, status: () => board.bytes(status, 1)[0], data: () => board.bytes(data, inBytes) };
  };
  return { board, disk, device, driver, request };
}

function segment(sector: number, sectors: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, sectors, true);
  view.setUint32(12, flags, true);
  return bytes;
}

test('the configuration shows capacity, limits and block size', () => {
  const { driver } = start({ blockSizeBytes: 4096 });
  assert.equal(driver.read(4, 0, 4), 64);
  assert.equal(driver.read(4, 4, 4), 0);
  assert.equal(driver.read(4, 8, 4), 65536);
  assert.equal(driver.read(4, 12, 4), 254);
  assert.equal(driver.read(4, 20, 4), 4096);
  assert.equal(driver.read(4, 34, 2), 1);
});

for (const indirect of [false, true]) {
  test(`writes, reads back and interrupts, ${indirect ? 'indirect' : 'direct'} descriptors`, async () => {
    const { board, disk, driver, request } = start();
    const written = request(T.OUT, 3, { out: new Uint8Array(1024).fill(7), indirect });
    await settle();
    assert.equal(written.status(), S.OK);
    assert.equal(disk.bytes[3 * 512], 7);
    assert.equal(disk.bytes[5 * 512], 0);
    driver.queues[0]!.setUsedEvent(1);
    const read = request(T.IN, 4, { inBytes: 1024, indirect });
    await settle();
    assert.equal(read.status(), S.OK);
    assert.deepEqual([read.data()[0], read.data()[511], read.data()[512]], [7, 7, 0]);
    assert.deepEqual(driver.queues[0]!.takeUsed(), [
      { head: written.head, lengthBytes: 1 },
      { head: read.head, lengthBytes: 1025 },
    ]);
    assert.deepEqual(board.takeMessages(), [GuestDriver.messageOf(0), GuestDriver.messageOf(0)]);
  });
}

test('flush reaches the backend, and identity is the serial', async () => {
  const { disk, request } = start();
  const flush = request(T.FLUSH, 0);
  const identity = request(T.GET_ID, 0, { inBytes: 20 });
  await settle();
  assert.equal(flush.status(), S.OK);
  assert.deepEqual(disk.calls, ['flush']);
  assert.equal(new TextDecoder().decode(identity.data()).replaceAll('\0', ''), 'disk-0');
});

test('discard and write zeroes clear their segments', async () => {
  const { disk, request } = start();
  disk.bytes.fill(9);
  const discard = request(T.DISCARD, 0, { out: Uint8Array.from([...segment(0, 1), ...segment(4, 2)]) });
  const zeroes = request(T.WRITE_ZEROES, 0, { out: segment(10, 1, 1) });
  await settle();
  assert.deepEqual([discard.status(), zeroes.status()], [S.OK, S.OK]);
  assert.deepEqual(
    [0, 1, 4, 6, 10, 11].map((sector) => disk.bytes[sector * 512]),
    [0, 9, 0, 9, 0, 9],
  );
});

test('what no disk can do is refused', async () => {
  const { disk, request } = start();
  const cases = [
    { request: request(T.IN, 64, { inBytes: 512 }), status: S.IOERR },
    { request: request(T.IN, 63, { inBytes: 1024 }), status: S.IOERR },
    { request: request(T.IN, 2 ** 53, { inBytes: 512 }), status: S.IOERR },
    { request: request(T.IN, 0, { inBytes: 511 }), status: S.IOERR },
    { request: request(T.OUT, 64, { out: new Uint8Array(512) }), status: S.IOERR },
    { request: request(T.SECURE_ERASE, 0, { out: segment(0, 1) }), status: S.UNSUPP },
    { request: request(999, 0), status: S.UNSUPP },
    { request: request(T.DISCARD, 0, { out: segment(0, 1, 1) }), status: S.UNSUPP },
    { request: request(T.DISCARD, 0, { out: segment(60, 8) }), status: S.IOERR },
    { request: request(T.DISCARD, 0, { out: new Uint8Array(17 * 16) }), status: S.IOERR },
    { request: request(T.WRITE_ZEROES, 0, { out: new Uint8Array(15) }), status: S.IOERR },
  ];
  await settle();
  assert.deepEqual(
    cases.map((one) => one.request.status()),
    cases.map((one) => one.status),
  );
  assert.deepEqual(disk.calls, []);
});

test('a backend error is an I/O error', async () => {
  const { disk, request } = start();
  disk.broken = true;
  const all = [request(T.IN, 0, { inBytes: 512 }), request(T.OUT, 0, { out: new Uint8Array(512) }), request(T.FLUSH, 0)];
  await settle();
  assert.deepEqual(
    all.map((one) => one.status()),
    [S.IOERR, S.IOERR, S.IOERR],
  );
});

test('a read-only disk says so and refuses writes', async () => {
  const { driver, disk, request } = start({ readOnly: true });
  assert.equal(driver.offered & (1n << 5n), 1n << 5n);
  assert.equal(driver.offered & (1n << 13n), 0n);
  const all = [request(T.OUT, 0, { out: new Uint8Array(512) }), request(T.DISCARD, 0, { out: segment(0, 1) })];
  await settle();
  assert.deepEqual(
    all.map((one) => one.status()),
    [S.IOERR, S.IOERR],
  );
  assert.deepEqual(disk.calls, []);
});

test('several requests are under way at once and may end out of order', async () => {
  const { driver, disk, request } = start();
  disk.hold();
  const first = request(T.IN, 0, { inBytes: 512 });
  const second = request(T.IN, 1, { inBytes: 512 });
  await settle();
  assert.deepEqual(disk.calls, ['read 0 512', 'read 512 512']);
  assert.equal(driver.queues[0]!.usedIdx, 0);
  disk.release();
  await settle();
  assert.deepEqual(
    driver.queues[0]!.takeUsed().map((used) => used.head),
    [second.head, first.head],
  );
});

test('a reset drops what is under way: nothing reaches guest memory', async () => {
  const { board, disk, driver, request } = start();
  disk.bytes.fill(5);
  disk.hold();
  const read = request(T.IN, 0, { inBytes: 512 });
  driver.setCommon(20, 0, 1);
  assert.equal(driver.status, 0);
  const usedBefore = driver.queues[0]!.usedIdx;
  driver.start();
  disk.release();
  await settle();
  assert.equal(read.status(), PENDING);
  assert.equal(read.data()[0], 0);
  assert.deepEqual([driver.queues[0]!.usedIdx, usedBefore], [0, 0]);
  assert.deepEqual(board.takeMessages(), []);
});

test('pause waits for what is under way and starts nothing until resume', async () => {
  const { board, device, disk, request } = start();
  disk.hold();
  const first = request(T.IN, 0, { inBytes: 512 });
  let paused = false;
  const pausing = device.pause().then(() => (paused = true));
  await settle();
  assert.equal(paused, false);
  assert.throws(() => device.save(), /disk0: 1 requests are under way; pause/);
  disk.release();
  await pausing;
  assert.equal(first.status(), S.OK);
  board.takeMessages();
  const second = request(T.IN, 1, { inBytes: 512 });
  await settle();
  assert.deepEqual([disk.calls.length, second.status(), board.messages.length], [1, PENDING, 0]);
  device.resume();
  await settle();
  assert.equal(second.status(), S.OK);
});

test('a device goes on from its saved state', async () => {
  const { board, device, driver, request } = start();
  request(T.OUT, 0, { out: new Uint8Array(512).fill(1) });
  await settle();
  await device.pause();
  const waiting = request(T.IN, 0, { inBytes: 512 });
  const state = structuredClone(device.save());
  device.reset();
  assert.equal(board.readConfig(driver.device, 4, 2) & 4, 0);
  device.restore(state);
  board.takeMessages();
  device.resume();
  await settle();
  assert.deepEqual([waiting.status(), waiting.data()[0]], [S.OK, 1]);
  assert.deepEqual(board.takeMessages(), [GuestDriver.messageOf(0)]);
});

test('a request that is no request makes the device need a reset, and a reset mends it', async () => {
  const { board, driver } = start();
  driver.queues[0]!.submit([{ gpa: board.allocate(8), lengthBytes: 8, writable: false }]);
  driver.notify(0);
  assert.equal(driver.needsReset, true);
  assert.deepEqual(board.takeMessages(), [0x40]);
  driver.start();
  assert.equal(driver.needsReset, false);
});

test('wrong settings are named with the mend', () => {
  const wiring = { memory: new TestBoard().memory, clock: new TestBoard().clock, name: 'disk0' };
  assert.throws(() => blk({ backend: new FakeDisk(512), serial: 'x'.repeat(21) }, wiring), /disk0: serial .* shorten it/);
  assert.throws(() => blk({ backend: new FakeDisk(512), blockSizeBytes: 513 }, wiring), /disk0: block size 513/);
});
