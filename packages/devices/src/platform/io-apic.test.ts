import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoApic } from './io-apic.ts';

function setUp() {
  const messages: [number, number][] = [];
  const ioApic = new IoApic({ send: (address, data) => messages.push([address, data]) });
  const select = (index: number): void => ioApic.write(0, index, 4);
  const write = (index: number, value: number): void => {
    select(index);
    ioApic.write(0x10, value, 4);
  };
  const read = (index: number): number => {
    select(index);
    return ioApic.read(0x10, 4);
  };
  return { ioApic, messages, write, read };
}

test('identity and reset values', () => {
  const { read, write, ioApic } = setUp();
  assert.equal(read(1), 0x170020);
  write(0, 0xff000000);
  assert.equal(read(0), 0x0f000000);
  assert.equal(read(0x10), 0x10000);
  assert.equal(read(0x3f), 0);
  assert.equal(read(0x40), 0xffffffff);
  assert.equal(ioApic.read(0x20, 4), 0xffffffff);
  assert.throws(() => ioApic.line(24), /no line 24/);
});

test('an edge makes one message; a masked edge is lost', () => {
  const { ioApic, messages, write } = setUp();
  const line = ioApic.line(4);
  line.set(true);
  line.set(false);
  assert.deepEqual(messages, []);
  write(0x19, 0x03000000);
  write(0x18, 0x34);
  line.set(true);
  line.set(true);
  line.set(false);
  assert.deepEqual(messages, [[0xfee03000, 0x34]]);
  line.set(true);
  assert.equal(messages.length, 2);
});

test('a level interrupt waits for its EOI and comes again while asserted', () => {
  const { ioApic, messages, write, read } = setUp();
  const line = ioApic.line(9);
  write(0x22, 0x8000 | 0x51);
  line.set(true);
  assert.deepEqual(messages, [[0xfee00000, 0xc051]]);
  assert.equal(read(0x22), 0xc051, 'remote IRR');
  line.set(false);
  line.set(true);
  assert.equal(messages.length, 1);
  ioApic.eoi(0x50);
  assert.equal(messages.length, 1);
  ioApic.eoi(0x51);
  assert.equal(messages.length, 2);
  line.set(false);
  ioApic.write(0x40, 0x51, 4);
  assert.equal(read(0x22), 0x8051);
  assert.equal(messages.length, 2);
});

test('unmasking a level line that is asserted interrupts', () => {
  const { ioApic, messages, write } = setUp();
  write(0x30, 0x18000 | 0x60);
  ioApic.line(16).set(true);
  assert.equal(messages.length, 0);
  write(0x30, 0x8000 | 0x60);
  assert.equal(messages.length, 1);
  write(0x30, 0x8000 | 0x60);
  assert.equal(messages.length, 1, 'still being served');
});

test('switching to edge and back clears remote IRR', () => {
  const { ioApic, messages, write } = setUp();
  write(0x30, 0x8060);
  ioApic.line(16).set(true);
  write(0x30, 0x10060);
  write(0x30, 0x8060);
  assert.equal(messages.length, 2);
});

test('delivery modes and logical destinations are in the message', () => {
  const { ioApic, messages, write } = setUp();
  write(0x11, 0x0f000000);
  write(0x10, 0x900 | 0x70);
  ioApic.line(0).set(true);
  assert.deepEqual(messages, [[0xfee0f00c, 0x170]]);
});

test('save and restore', () => {
  const { ioApic, write } = setUp();
  write(0x22, 0x8051);
  ioApic.line(9).set(true);
  const state = JSON.parse(JSON.stringify(ioApic.save()));
  const other = setUp();
  other.ioApic.restore(state);
  assert.deepEqual(other.ioApic.save(), state);
  other.ioApic.eoi(0x51);
  assert.equal(other.messages.length, 1);
  for (const [field, value] of Object.entries({ version: 0, low: [], levels: 'x', id: 16, select: 1.5 })) {
    assert.throws(() => other.ioApic.restore({ ...state, [field]: value }), /io-apic/);
  }
});
