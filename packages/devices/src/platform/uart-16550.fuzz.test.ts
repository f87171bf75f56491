import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsoleBackend } from '@hanok/machine';
import { OPERATION_COUNT, Random, randomAccess } from './fuzz-traffic.test.ts';
import { Uart16550 } from './uart-16550.ts';

test('random register traffic: never throws, takes only what it is offered, and loses no wake-up', () => {
  const random = new Random('uart-16550');
  const listeners: { input: (bytes: Uint8Array) => number; drain: () => void } = { input: () => 0, drain: () => {} };
  let offered = 0;
  let written = 0;
  const offer = (): void => {
    const bytes = new Uint8Array(random.below(40));
    const taken = listeners.input(bytes);
    assert.ok(taken >= 0 && taken <= Math.min(16, bytes.length));
    offered += taken;
  };
  const backend: ConsoleBackend = {
    write: (bytes) => {
      written += bytes.length;
      return random.below(8) !== 0;
    },
    onInput: (listener) => void (listeners.input = listener),
    ready: offer,
    onDrain: (listener) => void (listeners.drain = listener),
    onEnd: () => {},
  };
  let level = false;
  const uart = new Uart16550({ name: 'com1', backend, line: { set: (value) => void (level = value) } });
  const operations: (() => void)[] = [
    () => randomAccess(random, uart, 8),
    () => uart.write(0, random.below(256), 1),
    () => uart.write(4, random.pick([0x0b, 0x1b, 0x08]), 1),
    () => uart.write(3, 3, 1),
    () => void uart.read(random.below(8), 1),
    () => random.below(4) === 0 && offer(),
    () => listeners.drain(),
    () => {
      if (random.below(100) !== 0) return;
      void uart.pause();
      offer();
      if (random.below(2) === 0) uart.restore(JSON.parse(JSON.stringify(uart.save())));
      uart.resume();
    },
  ];
  for (let operation = 0; operation < OPERATION_COUNT; operation++) {
    random.pick(operations)();
    const state = uart.save() as unknown as { receive: number[]; transmit: number[]; mcr: number; ier: number };
    assert.ok(state.receive.length <= 16 && state.transmit.length <= 16);
    if ((state.mcr & 0x18) !== 8) assert.equal(level, false);
    if ((state.mcr & 0x18) === 8 && (state.ier & 1) !== 0 && state.receive.length > 0) assert.equal(level, true);
  }
  assert.ok(offered > 0 && written > 0);
});
