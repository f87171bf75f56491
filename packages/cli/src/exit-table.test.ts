import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitTable } from './exit-table.ts';

test('exits are listed by how often they came, with their share of the work', () => {
  const table = exitTable([{ kind: 'mmio', count: 3 }, { kind: 'hlt', count: 0 }, { kind: 'port-io', count: 500 }], 2_000_000);
  assert.equal(
    table,
    [
      'exit     count  per million instructions',
      'port-io    500                     250.0',
      'mmio         3                       1.5',
      'all        503                     251.5',
      '2000000 instructions',
      '',
    ].join('\n'),
  );
});

test('a machine that ran nothing has no shares', () => {
  assert.match(exitTable([{ kind: 'hlt', count: 1 }], 0), /^hlt +1 +-$/m);
});
