import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtioConsole } from '@hanok/devices';
import { FakeConsole } from './fake-backends.ts';
import { GuestDriver } from './guest-driver.ts';
import { TestBoard } from './test-board.ts';

const EVENT = { READY: 0, ADD: 1, PORT_READY: 3, CONSOLE: 4, RESIZE: 5, OPEN: 6, NAME: 7 };
const BUFFER_SIZE_BYTES = 16;
const MULTIPORT = 2n;

function setUp(features = ~0n) {
  const board = new TestBoard();
  const terminal = new FakeConsole();
  const channel = new FakeConsole();
  const guestOpens: boolean[] = [];
  const device = virtioConsole(
    {
      ports: [
        { name: 'console', backend: terminal, isConsole: true },
        { name: 'agent', backend: channel, isConsole: false, onGuestOpen: (open) => void guestOpens.push(open) },
      ],
    },
    { memory: board.memory, clock: board.clock },
  );
  board.add(device);
  const driver = new GuestDriver(board, 3).start({ features });
  return { board, terminal, channel, guestOpens, device, driver, guest: new ConsoleGuest(board, driver) };
}

/** The virtio-console driver's side: control messages, and input buffers that it gives and collects. */
class ConsoleGuest {
  readonly #board: TestBoard;
  readonly #driver: GuestDriver;
  readonly #buffers = new Map<string, number>();

  constructor(board: TestBoard, driver: GuestDriver) {
    this.#board = board;
    this.#driver = driver;
  }

  /** Gives a queue `count` input buffers. */
  give(queue: number, count = 1, sizeBytes = BUFFER_SIZE_BYTES): void {
    for (let i = 0; i < count; i++) {
      const gpa = this.#board.allocate(sizeBytes);
      const head = this.#driver.queues[queue]!.submit([{ gpa, lengthBytes: sizeBytes, writable: true }]);
      this.#buffers.set(`${queue}/${head}`, gpa);
    }
    this.#driver.notify(queue);
  }

  /** What arrived on a queue since the last call, a buffer each. */
  take(queue: number): Uint8Array[] {
    return this.#driver.queues[queue]!.takeUsed().map(({ head, lengthBytes }) =>
      this.#board.bytes(this.#buffers.get(`${queue}/${head}`)!, lengthBytes),
    );
  }

  text(queue: number): string {
    return this.take(queue)
      .map((bytes) => new TextDecoder().decode(bytes))
      .join('');
  }

  send(queue: number, bytes: Uint8Array): void {
    this.#driver.queues[queue]!.submit([{ gpa: this.#board.place(bytes), lengthBytes: bytes.length, writable: false }]);
    this.#driver.notify(queue);
  }

  control(id: number, event: number, value: number): void {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, id, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    this.send(3, bytes);
  }

  /** Control messages that came: port, event, value, and text or numbers behind them. */
  messages(): (number | string)[][] {
    return this.take(2).map((bytes) => {
      const view = new DataView(bytes.buffer);
      const event = view.getUint16(4, true);
      const rest = event === EVENT.NAME ? [new TextDecoder().decode(bytes.subarray(8))] : [];
      const size = event === EVENT.RESIZE ? [view.getUint16(8, true), view.getUint16(10, true)] : [];
      return [view.getUint32(0, true), event, view.getUint16(6, true), ...rest, ...size];
    });
  }

  /** Everything up to open ports. */
  bringUp(): void {
    this.give(2, 12);
    this.control(0, EVENT.READY, 1);
    for (const port of [0, 1]) this.control(port, EVENT.PORT_READY, 1);
    for (const port of [0, 1]) this.control(port, EVENT.OPEN, 1);
    this.messages();
  }
}

test('ports are added, named and opened in the order a driver expects', () => {
  const { guest, terminal, driver } = setUp();
  assert.equal(driver.read(4, 4, 4), 2);
  terminal.resize(132, 43);
  guest.give(2, 16, 32);
  guest.control(0, EVENT.READY, 1);
  assert.deepEqual(guest.messages(), [
    [0, EVENT.ADD, 1],
    [1, EVENT.ADD, 1],
  ]);
  guest.control(0, EVENT.PORT_READY, 1);
  assert.deepEqual(guest.messages(), [
    [0, EVENT.CONSOLE, 1],
    [0, EVENT.NAME, 1, 'console'],
    [0, EVENT.RESIZE, 0, 132, 43],
    [0, EVENT.OPEN, 1],
  ]);
  guest.control(1, EVENT.PORT_READY, 1);
  assert.deepEqual(guest.messages(), [
    [1, EVENT.NAME, 1, 'agent'],
    [1, EVENT.OPEN, 1],
  ]);
  terminal.resize(80, 25);
  assert.deepEqual(guest.messages(), [[0, EVENT.RESIZE, 0, 80, 25]]);
});

test('control messages wait for buffers', () => {
  const { guest } = setUp();
  guest.control(0, EVENT.READY, 1);
  assert.deepEqual(guest.messages(), []);
  guest.give(2);
  assert.deepEqual(guest.messages(), [[0, EVENT.ADD, 1]]);
  guest.give(2);
  assert.deepEqual(guest.messages(), [[1, EVENT.ADD, 1]]);
});

test('output reaches the backend and comes back as used', () => {
  const { board, guest, terminal, channel, driver } = setUp();
  guest.bringUp();
  board.takeMessages();
  guest.send(1, new TextEncoder().encode('hello'));
  guest.send(5, new TextEncoder().encode('{}'));
  assert.deepEqual([terminal.output, channel.output], ['hello', '{}']);
  assert.deepEqual([driver.queues[1]!.usedIdx, driver.queues[5]!.usedIdx], [1, 1]);
  assert.deepEqual(board.takeMessages(), [GuestDriver.messageOf(1), GuestDriver.messageOf(5)]);
});

test('output waits in the ring while the backend does', () => {
  const { guest, channel, driver } = setUp();
  guest.bringUp();
  channel.accepting = false;
  guest.send(5, new Uint8Array(40000).fill(0x61));
  guest.send(5, new TextEncoder().encode('b'));
  assert.deepEqual([channel.output.length, driver.queues[5]!.usedIdx], [32768, 0]);
  channel.drain();
  assert.deepEqual([channel.output.length, driver.queues[5]!.usedIdx], [40001, 2]);
});

test('a flood of output is taken in turns', () => {
  const { board, channel, guest, driver } = setUp();
  guest.bringUp();
  const gpa = board.allocate(400000);
  driver.queues[5]!.submit(Array.from({ length: 4 }, () => ({ gpa, lengthBytes: 400000, writable: false })));
  driver.notify(5);
  assert.equal(channel.output.length, 1024 * 1024);
  board.clock.advance(0);
  assert.deepEqual([channel.output.length, driver.queues[5]!.usedIdx], [1600000, 1]);
});

test('input is held until a program has the port open, and while there are no buffers', () => {
  const { guest, channel, guestOpens } = setUp();
  channel.send('early ');
  guest.bringUp();
  assert.equal(channel.pending.length, 6);
  guest.give(4, 2, 4);
  assert.equal(guest.text(4), 'early ');
  guest.control(1, EVENT.OPEN, 0);
  guest.give(4, 1);
  channel.send('later');
  assert.equal(channel.pending.length, 5);
  guest.control(1, EVENT.OPEN, 1);
  assert.equal(guest.text(4), 'later');
  assert.deepEqual(guestOpens, [true, false, true]);
});

test('the host side closes after all input was delivered, and opens for a new connection', () => {
  const { guest, channel } = setUp();
  guest.bringUp();
  guest.give(2, 4);
  channel.send('last words');
  channel.end();
  assert.deepEqual(guest.messages(), []);
  guest.give(4, 1, 5);
  assert.deepEqual([guest.text(4), guest.messages()], ['last ', []]);
  guest.give(4, 1, 5);
  assert.deepEqual([guest.text(4), guest.messages()], ['words', [[1, EVENT.OPEN, 0]]]);
  guest.give(4, 1);
  channel.send('again');
  assert.deepEqual([guest.messages(), guest.text(4)], [[[1, EVENT.OPEN, 1]], 'again']);
});

test('a new connection waits until the guest can hear that the old one ended', () => {
  const { guest, channel } = setUp();
  guest.give(2, 6);
  guest.control(0, EVENT.READY, 1);
  guest.control(1, EVENT.PORT_READY, 1);
  guest.control(1, EVENT.OPEN, 1);
  guest.messages();
  guest.give(2, 0);
  guest.give(4, 2);
  guest.control(0, EVENT.PORT_READY, 1);
  guest.messages();
  channel.end();
  channel.send('new');
  assert.equal(channel.pending.length, 3);
  guest.give(2, 1);
  assert.deepEqual([guest.messages().at(-1), channel.pending.length], [[0, EVENT.OPEN, 1], 3]);
  guest.give(2, 1);
  assert.deepEqual(guest.messages(), [[1, EVENT.OPEN, 0]]);
  guest.give(2, 1);
  assert.deepEqual([guest.messages(), guest.text(4)], [[[1, EVENT.OPEN, 1]], 'new']);
});

test('a driver without multiport has one port and sees its size in the configuration', () => {
  const { board, driver, guest, terminal } = setUp(~MULTIPORT);
  guest.give(0, 1);
  terminal.send('ls');
  assert.equal(guest.text(0), 'ls');
  guest.send(1, new TextEncoder().encode('files'));
  assert.equal(terminal.output, 'files');
  board.takeMessages();
  const generation = driver.common(21, 1);
  terminal.resize(100, 30);
  assert.deepEqual([driver.read(4, 0, 2), driver.read(4, 2, 2)], [100, 30]);
  assert.notEqual(driver.common(21, 1), generation);
  assert.deepEqual(board.takeMessages(), [0x40]);
});

test('nonsense on the control queue means nothing', () => {
  const { guest, driver } = setUp();
  guest.bringUp();
  for (const [id, event, value] of [
    [7, 3, 1],
    [0xffffffff, 6, 1],
    [0, 1, 1],
    [1, 2, 1],
    [0, 99, 5],
    [0, 0, 0],
  ])
    guest.control(id!, event!, value!);
  guest.send(3, new Uint8Array(3));
  assert.deepEqual([guest.messages(), driver.needsReset], [[], false]);
});

test('paused: nothing moves; resumed: everything does; the state survives', async () => {
  const { board, device, guest, channel, driver } = setUp();
  guest.bringUp();
  guest.give(2, 2);
  guest.give(4, 2);
  await device.pause();
  board.takeMessages();
  channel.send('in');
  guest.send(5, new TextEncoder().encode('out'));
  assert.deepEqual([channel.pending.length, channel.output, board.messages.length], [2, '', 0]);
  const state = structuredClone(device.save());
  device.reset();
  device.restore(state);
  device.resume();
  assert.deepEqual([channel.pending.length, channel.output, guest.text(4), driver.needsReset], [0, 'out', 'in', false]);
});

test('wrong ports are named with the mend', () => {
  const { memory, clock } = new TestBoard();
  const port = (name: string) => ({ name, backend: new FakeConsole(), isConsole: false });
  assert.throws(() => virtioConsole({ ports: [] }, { memory, clock }), /0 ports; declare 1 to 31/);
  assert.throws(() => virtioConsole({ ports: [port('a'), port('a')] }, { memory, clock }), /two ports are named "a"/);
  assert.throws(() => virtioConsole({ ports: [port('a b')] }, { memory, clock }), /port name "a b"/);
});
