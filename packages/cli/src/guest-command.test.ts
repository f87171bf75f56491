import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { appendArchive, commandScript, StatusReader } from './guest-command.ts';

test('a shell gives a command exactly the arguments that were quoted', () => {
  const awkward = ['', ' ', "it's", "''", '"', '$HOME', '`id`', '\\', '\n', 'a\tb', '*', '; exit 3', '-n', '#', '!x', '~', 'ünïcode', "\\'", '$(id)'];
  const script = commandScript(['printf', '%s\\0', ...awkward]);
  const printed = execFileSync('sh', ['-c', script]).toString();
  assert.deepEqual(printed.split('\0').slice(0, -1), awkward);
});

test('an archive stands at a multiple of four bytes after the initrd', () => {
  const joined = appendArchive(Uint8Array.of(1, 2, 3, 4, 5), Uint8Array.of(9, 9));
  assert.deepEqual([...joined], [1, 2, 3, 4, 5, 0, 0, 0, 9, 9]);
  assert.deepEqual([...appendArchive(Uint8Array.of(1, 2, 3, 4), Uint8Array.of(9))], [1, 2, 3, 4, 9]);
});

test('the exit status is read from what the guest writes, whatever that is', () => {
  const read = (...writes: string[]) => {
    const reader = new StatusReader();
    for (const text of writes) reader.push(Buffer.from(text));
    return reader.status;
  };
  assert.equal(read('7\n'), 7);
  assert.equal(read('1', '30', '\n'), 130);
  assert.equal(read('0'), 0);
  assert.equal(read('255\nmore'), 255);
  for (const text of ['', 'seven', '-1', '256', '99999', '7x', `${'9'.repeat(1e5)}`]) assert.equal(read(text), undefined, text.slice(0, 9));
});
