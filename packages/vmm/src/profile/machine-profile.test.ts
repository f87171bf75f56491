import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ActivityReader, ActivityWord, machineMemory } from '@hanok/emulator';
import { describeProfile } from './machine-profile.ts';
import { Sampler } from './sampler.ts';

const NOTHING_COMPILED = { modules: 0, regions: 0, instructions: 0, liveRegions: 0 };
const symbols = { count: 1, find: (address: number) => (address === 0x81000010 ? { name: 'start_kernel', offset: 0x10 } : undefined) };
const place = (activity: number, high: number, low: number, pageTables = 0) => ({ activity, high, low, pageTables, ns: 1 });
const describe = (...places: ReturnType<typeof place>[]) =>
  describeProfile({ durationNs: 1, sampleCount: 1, places, vcpus: [] }, ['cpuid'], symbols, NOTHING_COMPILED).places.map(({ activity, code }) => [activity, code?.space, code?.name, code?.offset]);

test('names what runs: a symbol of the kernel, else the page', () => {
  assert.deepEqual(describe(place(2, -1, 0x81000010), place(2, -1, 0xc0001234), place(1, 0, 0x401234, 0x2c88)), [
    ['compiled code', 'kernel', 'start_kernel', 0x10],
    ['compiled code', 'kernel', '0xffffffffc0001000', 0x234],
    ['interpreter', 'user 0x2c88000', '0x401000', 0x234],
  ]);
});

test('what runs no guest code has no place, and helpers have their names', () => {
  const [notRunning, helper, unknown] = describe(place(0, -1, 0x81000010), place(20, -1, 0x81000010), place(4000, 0, 0));
  assert.deepEqual(notRunning, ['not running', undefined, undefined, undefined]);
  assert.equal(helper![0], 'instruction cpuid');
  assert.deepEqual(unknown, ['instruction unknown', undefined, undefined, undefined]);
});

test("a vCPU's thread tells what it does, and the sampler sees it", () => {
  const pages = machineMemory(1, 0).pageCount;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const activity = new ActivityWord(memory, 0);
  const sampler = new Sampler([new ActivityReader(memory, 0)], 0);
  let nowNs = 0;
  const look = () => void sampler.sample(++nowNs);
  look();
  const readPort = activity.recordingBus({ readPort: () => (look(), 7), writePort: look, readMmio: () => 0, writeMmio: look }).readPort;
  activity.during('between slices', () => {
    look();
    assert.equal(activity.recordingHelper((number: number) => (look(), readPort(number, 1)))(0), 7);
    look();
  });
  look();
  const profile = describeProfile(sampler.result(), ['cpuid'], undefined, NOTHING_COMPILED);
  assert.deepEqual(profile.vcpus[0]!.places.map((index) => profile.places[index]!.activity), ['not running', 'between slices', 'instruction cpuid', 'port read', 'between slices', 'not running']);
});
