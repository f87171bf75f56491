import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@hanok/machine';
import { ACPI_POWER_SIZE_BYTES, AcpiPower } from './acpi-power.ts';
import { OPERATION_COUNT, Random, randomAccess } from './fuzz-traffic.test.ts';
import { ResetControl } from './reset-control.ts';

test('random register traffic: never throws, and the SCI is status and enable', () => {
  const random = new Random('acpi-power');
  const clock = new FakeClock();
  let level = false;
  const power = new AcpiPower({ clock, line: { set: (value) => void (level = value) }, onPowerOff: () => {} });
  const operations: (() => void)[] = [
    () => randomAccess(random, power, ACPI_POWER_SIZE_BYTES),
    () => power.pressPowerButton(),
    () => clock.advance(random.pick([1, 1e6, random.below(200e9)])),
    () => random.below(50) === 0 && power.restore(JSON.parse(JSON.stringify(power.save()))),
    () => {
      const timerAlone = (power.read(0, 2) & power.read(2, 2)) === 1;
      if (!timerAlone) assert.equal(level, (power.read(0, 2) & power.read(2, 2)) !== 0);
    },
  ];
  for (let operation = 0; operation < OPERATION_COUNT; operation++) random.pick(operations)();
});

test('random traffic of the reset ports: only the documented bytes reset', () => {
  const random = new Random('reset-control');
  let resets = 0;
  const control = new ResetControl(() => void resets++);
  for (let operation = 0; operation < OPERATION_COUNT; operation++) {
    const value = random.value();
    const before = resets;
    control.resetPort.write(0, value, 1);
    assert.equal(resets - before, (value & 4) !== 0 ? 1 : 0);
    randomAccess(random, control.resetPort, 1);
    randomAccess(random, control.keyboardPort, 1);
  }
});
