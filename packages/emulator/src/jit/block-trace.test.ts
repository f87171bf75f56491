import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder } from '@hanok/x86';
import { ENTER, SLOT } from '../layout.ts';
import { BlockTrace } from './block-trace.ts';

const LINEAR = 0x40_1000;
/** A loop that calls a function, and code that never runs: nop; call 20; jmp 0; … 20: je 30; ret. */
const CODE = [0x90, 0xe8, 0x1a, 0, 0, 0, 0xeb, 0xf8];
const FUNCTION = [0x74, 0x0e, 0xc3];

const slotOf = (offset: number) => 0x4000 + offset * SLOT.sizeBytes;

function machine(): { view: DataView; ram: Uint8Array } {
  const memory = new ArrayBuffer(0x10000);
  const view = new DataView(memory);
  const ram = new Uint8Array(memory, 0, 0x3000);
  ram.set(CODE, 0x1000);
  ram.set(FUNCTION, 0x1020);
  for (const offset of [0, 6, 0x20]) {
    view.setUint32(slotOf(offset) + ENTER.page, 1, true);
    view.setUint16(slotOf(offset) + SLOT.pageOffset, offset, true);
  }
  return { view, ram };
}

test('a trace tells which instructions ran and where returns led', () => {
  const { view, ram } = machine();
  const trace = new BlockTrace(slotOf(0x20), BigInt(LINEAR), 100);
  let count = 0;
  for (let ended = false; !ended; count++) {
    const offset = [0, 0x20, 6][count % 3]!;
    ended = trace.add(slotOf(offset), LINEAR + offset);
    if (ended) assert.equal(offset, 0x20, 'it ends at the block it is about');
  }
  const { runs, jumps } = trace.code(view, ram, new Decoder());
  assert.deepEqual([...runs.keys()].map((at) => at - LINEAR).toSorted((a, b) => a - b), [0, 1, 6, 0x20, 0x22]);
  assert.deepEqual([...jumps], [[LINEAR + 0x22, [LINEAR + 6]]]);
});

test('a trace ends though its block does not come again, and code may have changed', () => {
  const { view, ram } = machine();
  const trace = new BlockTrace(slotOf(0x20), BigInt(LINEAR), 100);
  let count = 1;
  while (!trace.add(slotOf(0), LINEAR)) count++;
  assert.equal(count, 400);
  for (let value = 0; value < 256; value++) {
    ram.fill(value, 0x1000, 0x2000);
    assert.ok(trace.code(view, ram, new Decoder()).runs.size > 0);
  }
});
