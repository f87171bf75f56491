import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registerTable } from './register-table.ts';

test('an access covers part of a register, several registers, or none', () => {
  const writes: string[] = [];
  const handler = registerTable([
    {
      name: 'A',
      offset: 0,
      widthBytes: 2,
      read: () => 0x1234,
      write: (value, mask) => writes.push(`A ${value.toString(16)} ${mask.toString(16)}`),
    },
    {
      name: 'B',
      offset: 2,
      widthBytes: 1,
      read: () => 0x56,
      write: (value, mask) => writes.push(`B ${value.toString(16)} ${mask.toString(16)}`),
    },
  ]);
  assert.equal(handler.read(0, 2), 0x1234);
  assert.equal(handler.read(1, 1), 0x12);
  assert.equal(handler.read(0, 4), 0xff561234);
  assert.equal(handler.read(9, 4), 0xffffffff);
  handler.write(1, 0xabcd, 2);
  assert.deepEqual(writes, ['A cd00 ff00', 'B ab ff']);
});
