import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@hanok/machine';
import { nextAlarmSeconds } from './calendar.ts';
import { CmosRtc } from './cmos-rtc.ts';

const START_NS = Date.UTC(2026, 10, 22, 23, 59, 58) * 1e6;

function setUp() {
  const clock = new FakeClock(START_NS);
  const line = { level: false, edges: 0 };
  const set = (level: boolean): void => {
    if (level && !line.level) line.edges++;
    line.level = level;
  };
  const rtc = new CmosRtc({ clock, line: { set } });
  const read = (index: number): number => {
    rtc.write(0, index, 1);
    return rtc.read(1, 1);
  };
  const write = (index: number, value: number): void => {
    rtc.write(0, index, 1);
    rtc.write(1, value, 1);
  };
  const time = (): string => [0x32, 9, 8, 7, 4, 2, 0].map((index) => read(index).toString(16).padStart(2, '0')).join(' ');
  return { clock, line, rtc, read, write, time };
}

test('shows the wall clock in BCD and 24 hours, and the weekday', () => {
  const { clock, time, read } = setUp();
  assert.equal(time(), '20 26 11 22 23 59 58');
  assert.equal(read(6), 1);
  assert.equal(read(0x0d), 0x80);
  clock.advance(3e9);
  assert.equal(time(), '20 26 11 23 00 00 01');
});

test('binary and 12-hour formats', () => {
  const { read, write } = setUp();
  write(0x0b, 0x04);
  assert.equal(read(4), 0x80 | 11);
  assert.equal(read(2), 59);
  write(0x0b, 0x00);
  assert.equal(read(4), 0x91);
  write(4, 0x12);
  assert.equal(read(4), 0x12, 'midnight');
  write(0x0b, 0x02);
  assert.equal(read(4), 0x00);
});

test('update in progress shows before a second ends', () => {
  const { clock, read } = setUp();
  assert.equal(read(0x0a), 0x26);
  clock.advance(1e9 - 200_000);
  assert.equal(read(0x0a), 0xa6);
  clock.advance(200_000);
  assert.equal(read(0x0a), 0x26);
});

test('the guest sets the time', () => {
  const { clock, write, time, read } = setUp();
  write(0x0b, 0x82);
  for (const [index, value] of [
    [0x32, 0x19],
    [9, 0x99],
    [8, 0x12],
    [7, 0x31],
    [4, 0x23],
    [2, 0x59],
    [0, 0x59],
    [6, 6],
  ] as const)
    write(index, value);
  clock.advance(5e9);
  assert.equal(time(), '19 99 12 31 23 59 59', 'SET holds it');
  write(0x0b, 0x02);
  clock.advance(1e9);
  assert.equal(time(), '20 00 01 01 00 00 00');
  assert.equal(read(6), 7, 'Saturday');
});

test('memory and its bounds', () => {
  const { rtc, read, write } = setUp();
  write(0x7f, 0x42);
  write(0x0e, 0x17);
  assert.equal(read(0xff), 0x42, 'bit 7 of the index masks NMI');
  assert.equal(read(0x0e), 0x17);
  rtc.reset();
  assert.equal(read(0x7f), 0x42);
});

test('update, alarm and periodic interrupts', () => {
  const { clock, line, read, write } = setUp();
  read(0x0c);
  write(0x0b, 0x12);
  clock.advance(999_000_000);
  assert.equal(line.level, false);
  clock.advance(2_000_000);
  assert.equal(line.level, true);
  assert.equal(read(0x0c) & 0x90, 0x90);
  assert.equal(line.level, false);
  write(0x0b, 0x22);
  write(1, 0x05);
  write(3, 0xff);
  write(5, 0xff);
  clock.advance(5e9);
  assert.equal(line.level, false);
  clock.advance(1.1e9);
  assert.equal(line.level, true);
  assert.equal(read(0x0c) & 0xa0, 0xa0);
  write(0x0b, 0x42);
  const edges = line.edges;
  for (let index = 0; index < 10; index++) {
    clock.advance(1e9 / 1024);
    read(0x0c);
  }
  assert.ok(line.edges - edges >= 9);
});

test('flags rise without interrupts, too', () => {
  const { clock, line, read } = setUp();
  read(0x0c);
  clock.advance(1.5e9);
  assert.equal(read(0x0c) & 0x10, 0x10);
  assert.equal(read(0x0c) & 0x10, 0);
  assert.equal(line.edges, 0);
});

test('the next alarm', () => {
  assert.equal(nextAlarmSeconds({ hour: 7, minute: 30, second: 0 }, 8 * 3600), 86400 + 7.5 * 3600);
  assert.equal(nextAlarmSeconds({ hour: undefined, minute: undefined, second: 10 }, 10), 10);
  assert.equal(nextAlarmSeconds({ hour: undefined, minute: 59, second: undefined }, 3600), 3600 + 59 * 60);
  assert.equal(nextAlarmSeconds({ hour: 24, minute: 0, second: 0 }, 0), Infinity);
});

test('a paused clock chip schedules nothing; save and restore', async () => {
  const { clock, line, rtc, write, time } = setUp();
  write(0x0b, 0x12);
  write(9, 0x30);
  await rtc.pause();
  clock.advance(3e9);
  assert.equal(line.edges, 0);
  const state = JSON.parse(JSON.stringify(rtc.save()));
  const other = setUp();
  other.clock.advance(3e9);
  other.rtc.restore(state);
  assert.equal(other.time(), time());
  assert.equal(other.line.level, true, 'the update flag was pending');
  for (const [field, value] of Object.entries({ version: 3, nvram: [1], offsetUs: Infinity, weekdayOffset: 7, index: 128 })) {
    assert.throws(() => other.rtc.restore({ ...state, [field]: value }), /cmos-rtc/);
  }
});
