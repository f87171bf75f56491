import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from './errors.ts';
import { formatSize, parseSize } from './size.ts';

test('sizes are bytes or powers of 1024', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['4096', 4096],
    ['256M', 2 ** 28],
    ['256m', 2 ** 28],
    ['1G', 2 ** 30],
    ['512MiB', 2 ** 29],
    ['512MB', 2 ** 29],
    ['1.5G', 1.5 * 2 ** 30],
    ['64 K', 65536],
    ['10b', 10],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text, '--memory'), bytes, text);
});

test('what is not a size is named together with the mend', () => {
  for (const text of ['', 'M', '-1', '1X', '1e9', '0x10', '1.5', '256Mi', '9999999999999999999', '1..5G', 'NaN', 'Infinity']) {
    assert.throws(
      () => parseSize(text, '--memory'),
      (error) => error instanceof UsageError && error.message.includes(`--memory ${text}`) && error.message.includes('256M'),
      text,
    );
  }
});

test('sizes are shown in their largest unit', () => {
  assert.equal(formatSize(2 ** 20), '1 MiB');
  assert.equal(formatSize(1536 * 2 ** 20), '1.5 GiB');
  assert.equal(formatSize(12), '12 bytes');
});
