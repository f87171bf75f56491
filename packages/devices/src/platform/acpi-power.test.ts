import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@hanok/machine';
import { AcpiPower } from './acpi-power.ts';

function setUp() {
  const clock = new FakeClock();
  const seen = { level: false, powerOffs: 0 };
  const power = new AcpiPower({ clock, line: { set: (level) => void (seen.level = level) }, onPowerOff: () => void seen.powerOffs++ });
  return { clock, seen, power };
}

test('the power button raises the SCI when enabled, until its status is cleared', () => {
  const { power, seen } = setUp();
  power.pressPowerButton();
  assert.equal(seen.level, false);
  assert.equal(power.read(0, 2), 0x100);
  power.write(2, 0x120, 2);
  assert.equal(power.read(2, 2), 0x120, 'the guest checks that an enable bit stays');
  assert.equal(seen.level, true);
  power.write(0, 0xfeff, 2);
  assert.equal(seen.level, true);
  power.write(1, 0x01, 1);
  assert.equal(seen.level, false);
  assert.equal(power.read(0, 4), 0x01200000);
});

test('SCI_EN is always set; S5 powers off, other sleep types do not', () => {
  const { power, seen } = setUp();
  assert.equal(power.read(4, 2), 1);
  power.write(4, 0x2000 | (1 << 10), 2);
  assert.equal(seen.powerOffs, 0);
  power.write(4, 5 << 10, 2);
  assert.equal(power.read(4, 2), (5 << 10) | 1);
  assert.equal(seen.powerOffs, 0);
  power.write(4, 0x2000 | (5 << 10), 2);
  assert.equal(seen.powerOffs, 1);
  assert.equal(power.read(4, 2), (5 << 10) | 1);
});

test('the PM timer counts 3.579545 MHz and tells of its halves', () => {
  const { power, clock, seen } = setUp();
  clock.advance(1e9);
  assert.equal(power.read(8, 4), 3_579_545);
  power.write(2, 1, 2);
  clock.advance(598e9);
  assert.equal(seen.level, false);
  clock.advance(2e9);
  assert.equal(seen.level, true);
  power.write(0, 1, 2);
  assert.equal(seen.level, false);
  clock.advance(700e9);
  assert.equal(seen.level, true);
  assert.equal(power.read(8, 4), (1301 * 3_579_545) % 2 ** 32);
});

test('pause, save and restore', async () => {
  const { power, clock, seen } = setUp();
  power.write(2, 0x101, 2);
  await power.pause();
  power.pressPowerButton();
  clock.advance(700e9);
  assert.equal(seen.level, false);
  const state = JSON.parse(JSON.stringify(power.save()));
  power.resume();
  assert.equal(seen.level, true);
  const other = setUp();
  other.power.restore(state);
  assert.equal(other.seen.level, true);
  assert.equal(other.power.read(2, 2), 0x101);
  for (const field of ['version', 'status', 'enable', 'control'])
    assert.throws(() => other.power.restore({ ...state, [field]: -1 }), /acpi-power/);
});
