import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPERATION_COUNT, Random, randomAccess } from './fuzz-traffic.test.ts';
import { IO_APIC_LINE_COUNT, IO_APIC_SIZE_BYTES, IoApic } from './io-apic.ts';

test('random register traffic: never throws, sends only well-formed messages', () => {
  const random = new Random('io-apic');
  let sent = 0;
  const ioApic = new IoApic({
    send: (address, data) => {
      sent++;
      assert.equal(address >>> 20, 0xfee);
      assert.ok(data >= 0 && data <= 0xffff);
      // A device may react at once, in the middle of the I/O APIC's work.
      if (random.below(50) === 0) lines[random.below(IO_APIC_LINE_COUNT)]!.set(random.below(2) === 0);
    },
  });
  const lines = Array.from({ length: IO_APIC_LINE_COUNT }, (_, index) => ioApic.line(index));
  const operations: (() => void)[] = [
    () => randomAccess(random, ioApic, IO_APIC_SIZE_BYTES),
    () => ioApic.write(0, random.below(0x48), 4),
    () => ioApic.write(0x10, random.value(), random.width()),
    () => ioApic.write(0x10, random.below(256) | (random.below(2) << 15), 4),
    () => void ioApic.read(0x10, random.width()),
    () => lines[random.below(IO_APIC_LINE_COUNT)]!.set(random.below(2) === 0),
    () => ioApic.eoi(random.below(256)),
    () => random.below(100) === 0 && ioApic.restore(JSON.parse(JSON.stringify(ioApic.save()))),
  ];
  for (let operation = 0; operation < OPERATION_COUNT; operation++) random.pick(operations)();
  assert.ok(sent <= OPERATION_COUNT * IO_APIC_LINE_COUNT);
});
