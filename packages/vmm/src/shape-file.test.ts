import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { machineMemory, shapeTableOf } from '@hanok/emulator/shared';
import type { Decoded } from '@hanok/x86';
import { keepShapes, restoreShapes } from './shape-file.ts';

const VCPUS = 2;

function newMemory(): WebAssembly.Memory {
  const { pageCount } = machineMemory(VCPUS, 0x10000);
  return new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
}

/** The table of a machine that knows so many shapes of two bytes. */
function tableOf(count: number) {
  const table = shapeTableOf(newMemory(), 0);
  for (let number = 0; number < count; number++) table.add(Uint8Array.of(number >> 4, number), 0, { shapeBytes: 2 } as Decoded, number, new Uint8Array(32));
  return table;
}

test('shapes are kept when there are new ones, and read only as they were written', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-shapes-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'name');
  const counts = () => {
    const memory = newMemory();
    restoreShapes(path, memory, VCPUS);
    return Array.from({ length: VCPUS }, (_, vcpu) => shapeTableOf(memory, vcpu).shapeCount);
  };
  keepShapes(path, tableOf(0));
  assert.deepEqual(counts(), [0, 0]);
  keepShapes(path, tableOf(100));
  assert.deepEqual(counts(), [100, 100]);
  const { ino } = statSync(path);
  utimesSync(path, 0, 0);
  counts();
  assert.ok(statSync(path).mtimeMs > 0, 'it is in use');
  keepShapes(path, tableOf(100));
  assert.equal(statSync(path).ino, ino, 'nothing new');
  keepShapes(path, tableOf(120));
  assert.deepEqual(counts(), [120, 120]);
  const file = readFileSync(path);
  file[file.length - 1]! ^= 1;
  writeFileSync(path, file);
  assert.deepEqual(counts(), [0, 0]);
  keepShapes(join(path, 'not-a-folder'), tableOf(100));
});
