import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, PostedInterrupts } from '@hanok/machine';
import { OPERATION_COUNT, Random, randomAccess } from './fuzz-traffic.test.ts';
import { IA32_APIC_BASE, IA32_TSC_DEADLINE } from './local-apic-registers.ts';
import { LocalApic } from './local-apic.ts';

const OPTIONS = { id: 1, bootProcessor: false, physicalAddressBits: 40, crystalHz: 25_000_000, tscHz: 1_000_000_000 };

/** The rule of SDM vol. 3A §11.8.4, worked out anew from the saved registers. */
function expectedPending(apic: LocalApic): number {
  const state = apic.save() as unknown as { irr: number[]; isr: number[]; taskPriority: number; base: string };
  const highest = (words: number[]): number => {
    for (let vector = 255; vector >= 0; vector--) if (((words[vector >> 5]! >>> (vector & 31)) & 1) !== 0) return vector;
    return -1;
  };
  const service = Math.max(0, highest(state.isr)) >> 4;
  const priority = Math.max(service, state.taskPriority >> 4);
  const request = highest(state.irr);
  return (BigInt(state.base) & 0x800n) !== 0n && request >> 4 > priority ? request : -1;
}

test('random register traffic: never throws, and the cached vector is the right one', () => {
  const random = new Random('local-apic');
  const clock = new FakeClock();
  const make = (): LocalApic =>
    new LocalApic({
      ...OPTIONS,
      nowNs: () => clock.nowNs(),
      tscNow: () => BigInt(Math.floor(clock.nowNs())),
      onEoi: () => {},
      sendIpi: () => {},
    });
  let apic = make();
  const posted = new PostedInterrupts(new SharedArrayBuffer(PostedInterrupts.sizeBytes));
  const wide = (): bigint => (BigInt(random.pick([0, 0, random.value()])) << 32n) | BigInt(random.value());
  const operations: (() => void)[] = [
    () => randomAccess(random, apic, 0x1000),
    () => apic.write(random.below(0x40) * 16, random.value(), 4),
    () => apic.write(0xf0, 0x100 | random.below(256), 4),
    () => void apic.readMsr(0x800 + random.below(0x100)),
    () => void apic.writeMsr(0x800 + random.below(0x40), wide()),
    () => void apic.writeMsr(0x80f, 0x1ffn),
    () => void apic.writeMsr(IA32_APIC_BASE, random.pick([wide(), 0xfee00000n | (BigInt(random.below(16)) << 8n)])),
    () => void apic.writeMsr(IA32_TSC_DEADLINE, random.pick([wide(), BigInt(Math.floor(clock.nowNs())) + BigInt(random.below(10_000))])),
    () => apic.accept(random.below(256), random.below(2) === 0),
    () => apic.setLint(random.pick([0, 1] as const), random.below(2) === 0),
    () => apic.writeTaskPriority(random.below(20)),
    () => {
      for (let count = random.below(4); count > 0; count--) posted.postMessage(random.bits());
      apic.collect(posted);
    },
    () => {
      const vector = apic.highestPending();
      if (vector >= 0) apic.acknowledge(vector);
    },
    () => {
      clock.advance(random.pick([1, 100, 10_000, 1e9]));
      apic.tick(clock.nowNs());
      if (apic.nextDeadlineNs() !== Infinity) assert.ok(apic.nextDeadlineNs() > clock.nowNs());
    },
  ];
  for (let operation = 0; operation < OPERATION_COUNT; operation++) {
    random.pick(operations)();
    if (operation % 64 === 0) assert.equal(apic.highestPending(), expectedPending(apic), `operation ${operation}`);
    if (random.below(1000) === 0) apic.reset();
    if (random.below(1000) === 0) {
      const state = JSON.parse(JSON.stringify(apic.save()));
      apic = make();
      apic.restore(state);
      assert.equal(apic.highestPending(), expectedPending(apic));
    }
  }
});
