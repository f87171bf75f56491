import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@hanok/machine';
import { CmosRtc } from './cmos-rtc.ts';
import { OPERATION_COUNT, Random, randomAccess } from './fuzz-traffic.test.ts';

test('random register traffic: never throws, never more than one pending call, and its state can be saved', () => {
  const random = new Random('cmos-rtc');
  const clock = new FakeClock(Date.UTC(2026, 0, 1) * 1e6);
  let pendingCalls = 0;
  const counting = {
    nowNs: () => clock.nowNs(),
    wallNs: () => clock.wallNs(),
    schedule: (delayNs: number, call: () => void) => {
      assert.ok(delayNs >= 1000 && delayNs <= 2 * 86400e9, `a delay of ${delayNs} ns`);
      pendingCalls++;
      let open = true;
      const close = (): void => {
        if (open) pendingCalls--;
        open = false;
      };
      const scheduled = clock.schedule(delayNs, () => {
        close();
        call();
      });
      return {
        cancel: () => {
          close();
          scheduled.cancel();
        },
      };
    },
  };
  const rtc = new CmosRtc({ clock: counting, line: { set: () => {} } });
  const write = (index: number, value: number): void => {
    rtc.write(0, index, 1);
    rtc.write(1, value, 1);
  };
  const operations: (() => void)[] = [
    () => randomAccess(random, rtc, 2),
    () => write(random.below(14), random.value() & 0xff),
    () => write(0x0b, random.pick([0x02, 0x82, 0x00, 0x06])),
    () => write(0x32, random.below(256)),
    () => write(0x0a, 0x20 | random.below(16)),
    () => void rtc.read(1, 1),
    () => clock.advance(random.pick([1, 122_000, 1e6, random.below(3e9)])),
    () => {
      if (random.below(20) !== 0) return;
      const state = JSON.parse(JSON.stringify(rtc.save()));
      rtc.restore(state);
      assert.deepEqual(rtc.save(), state);
    },
  ];
  for (let operation = 0; operation < OPERATION_COUNT; operation++) {
    random.pick(operations)();
    assert.ok(pendingCalls <= 1);
  }
});
