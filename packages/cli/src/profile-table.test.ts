import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineProfile } from '@hanok/vmm';
import { profileTable } from './profile-table.ts';
import { speedscopeFile } from './speedscope.ts';

const code = { address: 0xffffffff81000123n, space: 'kernel', name: 'vfs_read', offset: 0x23 } as const;
const PROFILE: MachineProfile = {
  durationNs: 4e9, sampleCount: 4000, hasSymbols: true, compiledCode: { modules: 3, regions: 20, instructions: 300, liveRegions: 15 },
  places: [{ activity: 'compiled code', ns: 1e9, code }, { activity: 'TLB miss', ns: 5e8, code }, { activity: 'halted', ns: 25e8 }],
  vcpus: [{ places: [0, 2, 1], weightsNs: [1e9, 25e8, 5e8] }],
};

test('the table has time by activity, by symbol and by region, and counts', () => {
  const lines = profileTable(PROFILE, [{ kind: 'tlb miss', count: 12 }], 1e6).split('\n').map((line) => line.trim());
  assert.equal(lines[0], '4.00 s of 1 vCPU, 4000 samples of each');
  for (const line of ['62.5%     2.500 s  halted', '25.0%     1.000 s  compiled code', '37.5%     1.500 s  kernel vfs_read', '25.0%     1.000 s  0xffffffff81000123  kernel vfs_read+0x23']) {
    assert.ok(lines.includes(line), `${line}\n${lines.join('\n')}`);
  }
  assert.ok(lines.includes('compiled: 20 regions of 300 instructions in 3 modules; 15 regions at the end'));
  assert.ok(lines.some((line) => /^tlb miss +12 +12\.0$/.test(line)));
});

test('a profile of nothing is a table too', () => {
  assert.match(profileTable({ ...PROFILE, places: [], vcpus: [], hasSymbols: false }, [], 0), /^4\.00 s of 0 vCPUs, .*; no kernel symbols were found\n/);
});

test('the file has stacks of space, symbol and activity, and their weights', () => {
  const { shared, profiles, activeProfileIndex } = JSON.parse(speedscopeFile(PROFILE, 'x'));
  assert.equal(activeProfileIndex, 0);
  const [profile] = profiles;
  assert.deepEqual([profile.type, profile.unit, profile.startValue, profile.endValue], ['sampled', 'nanoseconds', 0, 4e9]);
  assert.deepEqual(profile.weights, [1e9, 25e8, 5e8]);
  const named = profile.samples.map((stack: number[]) => stack.map((frame) => shared.frames[frame].name));
  assert.deepEqual(named, [['kernel', 'vfs_read', 'compiled 0xffffffff81000123'], ['halted'], ['kernel', 'vfs_read', 'TLB miss']]);
});
