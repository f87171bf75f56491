import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsoleBackend } from '@hanok/machine';
import { Uart16550 } from './uart-16550.ts';

/** The outside of a serial port: what was sent, and input that waits until the port takes it. */
class TestConsole implements ConsoleBackend {
  sent = '';
  accepting = true;
  waiting: number[] = [];
  readonly #listeners: ((bytes: Uint8Array) => number)[] = [];
  readonly #drains: (() => void)[] = [];

  write(bytes: Uint8Array): boolean {
    this.sent += String.fromCharCode(...bytes);
    return this.accepting;
  }
  onInput(listener: (bytes: Uint8Array) => number): void {
    this.#listeners.push(listener);
  }
  ready(): void {
    this.#offer();
  }
  onDrain(listener: () => void): void {
    this.#drains.push(listener);
  }
  onEnd(): void {}

  type(text: string): void {
    this.waiting.push(...Array.from(text, (character) => character.charCodeAt(0)));
    this.#offer();
  }
  drain(): void {
    this.accepting = true;
    for (const drain of this.#drains) drain();
  }
  #offer(): void {
    if (this.waiting.length === 0) return;
    const taken = this.#listeners[0]!(Uint8Array.from(this.waiting));
    this.waiting.splice(0, taken);
  }
}

function setUp() {
  const outside = new TestConsole();
  const line = { level: false, edges: 0 };
  const uart = new Uart16550({
    name: 'com1',
    backend: outside,
    line: {
      set: (level) => {
        if (level && !line.level) line.edges++;
        line.level = level;
      },
    },
  });
  const write = (offset: number, value: number): void => uart.write(offset, value, 1);
  const read = (offset: number): number => uart.read(offset, 1);
  return { outside, line, uart, write, read };
}

test('looks like a 16550A to a probing driver', () => {
  const { write, read } = setUp();
  write(1, 0);
  assert.equal(read(1), 0);
  write(1, 0xff);
  assert.equal(read(1), 0x0f);
  write(1, 0);
  write(4, 0x1a);
  assert.equal(read(6) & 0xf0, 0x90, 'loopback of RTS and OUT2');
  write(4, 0x08);
  assert.equal(read(6) & 0xf0, 0xb0);
  assert.equal(read(2) & 0xc0, 0);
  write(2, 1);
  assert.equal(read(2), 0xc1);
  write(2, 0x21);
  assert.equal(read(2) & 0xe0, 0xc0, 'no 64-byte FIFO');
  write(3, 0x80);
  write(0, 0x34);
  write(1, 0x12);
  assert.equal(read(0) | (read(1) << 8), 0x1234);
  write(3, 3);
  assert.equal(read(1), 0);
  write(7, 0xa5);
  assert.equal(read(7), 0xa5);
});

test('sends at once and interrupts when empty, again after each byte', () => {
  const { outside, line, write, read } = setUp();
  write(4, 0x0b);
  write(1, 2);
  assert.equal(line.edges, 1);
  assert.equal(read(2), 0x02);
  assert.equal(line.level, false, 'reading IIR clears it');
  assert.equal(read(2), 0x01);
  write(0, 0x48);
  assert.equal(line.edges, 2);
  write(0, 0x69);
  assert.equal(line.edges, 3, 'the line falls between bytes');
  assert.equal(outside.sent, 'Hi');
  assert.equal(read(5), 0x60);
  write(1, 0);
  assert.equal(line.level, false);
  write(1, 2);
  assert.equal(line.level, true, 'enabling it while empty raises it');
  write(4, 0x03);
  assert.equal(line.level, false, 'OUT2 gates the line');
});

test('a slow outside holds the transmitter', () => {
  const { outside, line, write, read } = setUp();
  write(4, 0x0b);
  write(2, 1);
  write(1, 2);
  read(2);
  outside.accepting = false;
  write(0, 0x41);
  assert.equal(read(5), 0);
  assert.equal(line.level, false);
  write(0, 0x42);
  assert.equal(outside.sent, 'A');
  outside.drain();
  assert.equal(outside.sent, 'AB');
  assert.equal(read(5), 0x60);
  assert.equal(line.level, true);
});

test('input waits until the guest listens, and for room', () => {
  const { outside, line, write, read } = setUp();
  outside.type('early, and more than sixteen bytes');
  write(2, 7);
  assert.equal(read(5) & 1, 0);
  write(4, 0x08);
  write(1, 1);
  assert.equal(line.level, true);
  assert.equal(outside.waiting.length, 34 - 16);
  assert.equal(read(2), 0xc4);
  let text = '';
  while ((read(5) & 1) !== 0) text += String.fromCharCode(read(0));
  assert.equal(text, 'early, and more than sixteen bytes');
  assert.equal(line.level, false);
  write(2, 0xc1);
  outside.type('x');
  assert.equal(read(2), 0xcc, 'under the trigger level: time-out');
});

test('without FIFOs one byte is held', () => {
  const { outside, write, read } = setUp();
  write(4, 2);
  outside.type('ab');
  assert.equal(outside.waiting.length, 1);
  assert.equal(read(0), 0x61);
  assert.equal(read(0), 0x62);
});

test('loopback carries bytes and overruns', () => {
  const { outside, write, read } = setUp();
  write(4, 0x10);
  write(0, 0x55);
  write(0, 0x56);
  assert.equal(read(5), 0x63);
  assert.equal(read(5), 0x61);
  assert.equal(read(0), 0x55);
  assert.equal(outside.sent, '');
});

test('a paused port takes and sends nothing', async () => {
  const { outside, uart, write, read } = setUp();
  write(4, 2);
  write(2, 1);
  await uart.pause();
  outside.type('q');
  assert.equal(outside.waiting.length, 1);
  uart.resume();
  assert.equal(read(0), 0x71);
});

test('save and restore; what the old host held up goes on', async () => {
  const { outside, uart, write } = setUp();
  write(2, 1);
  write(4, 0x0b);
  write(1, 3);
  outside.type('keep');
  outside.accepting = false;
  write(0, 0x41);
  write(0, 0x42);
  await uart.pause();
  const state = JSON.parse(JSON.stringify(uart.save()));
  const other = setUp();
  await other.uart.pause();
  other.uart.restore(state);
  assert.deepEqual(other.uart.save(), state);
  other.uart.resume();
  assert.equal(other.outside.sent, 'B');
  assert.equal(other.read(5), 0x61);
  assert.equal(other.line.level, true);
  assert.equal(other.read(0), 0x6b);
  for (const [field, value] of Object.entries({ version: 9, receive: new Array(17).fill(0), mcr: 0x20, overrun: 0, transmit: [256] })) {
    assert.throws(() => other.uart.restore({ ...state, [field]: value }), /com1/);
  }
});
