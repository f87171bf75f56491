import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryMap, MemoryType } from './memory-map.ts';

test('ranges are in order, do not overlap, and hold all RAM above 1 MiB', () => {
  for (const sizeBytes of [0x200000, 0x20000000, 0xc0000000]) {
    const map = memoryMap(sizeBytes);
    map.slice(1).forEach((region, index) => assert.ok(region.base >= map[index]!.base + map[index]!.sizeBytes));
    const usable = map.filter((region) => region.type === MemoryType.Usable).map((region) => region.base + region.sizeBytes);
    assert.deepEqual(usable, [0x9fc00, sizeBytes]);
  }
});

test('impossible sizes are refused with the bound', () => {
  assert.throws(() => memoryMap(0x100000000), /4096 MiB is more than the board's 3072 MiB/);
  assert.throws(() => memoryMap(0x100000), /less than the board's 2 MiB/);
  for (const size of [1.5, Number.NaN, -4096, 0x200001]) assert.throws(() => memoryMap(size), /BootError|memory:/);
});
