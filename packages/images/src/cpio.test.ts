import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeCpio } from './cpio.ts';

interface Parsed {
  readonly path: string;
  readonly mode: number;
  readonly links: number;
  readonly device: readonly [number, number];
  readonly content: string;
}

/** A second reading of the format, from its description. */
function parseCpio(archive: Uint8Array): Parsed[] {
  const bytes = Buffer.from(archive);
  const entries: Parsed[] = [];
  for (let offset = 0; ; ) {
    assert.equal(bytes.toString('latin1', offset, offset + 6), '070701');
    const field = (index: number): number => Number.parseInt(bytes.toString('latin1', offset + 6 + index * 8, offset + 14 + index * 8), 16);
    const nameBytes = field(11);
    const path = bytes.toString('utf8', offset + 110, offset + 110 + nameBytes - 1);
    assert.equal(bytes[offset + 110 + nameBytes - 1], 0);
    const start = (offset + 110 + nameBytes + 3) & ~3;
    const end = start + field(6);
    if (path === 'TRAILER!!!') {
      assert.equal((end + 3) & ~3, bytes.length);
      return entries;
    }
    entries.push({ path, mode: field(1), links: field(4), device: [field(9), field(10)], content: bytes.toString('utf8', start, end) });
    offset = (end + 3) & ~3;
  }
}

test('writes what Linux reads', () => {
  const archive = writeCpio([
    { path: 'dev', type: 'directory', mode: 0o755 },
    { path: 'dev/console', type: 'character-device', mode: 0o600, deviceMajor: 5, deviceMinor: 1 },
    { path: 'dev/sda', type: 'block-device', mode: 0o660, deviceMajor: 8 },
    { path: 'pipe', type: 'fifo', mode: 0o600 },
    { path: 'größe', type: 'file', mode: 0o4755, content: 'abcde' },
    { path: 'empty', type: 'file', mode: 0o644 },
    { path: 'sh', type: 'symlink', mode: 0o777, content: 'bin/busybox' },
  ]);
  assert.deepEqual(parseCpio(archive), [
    { path: 'dev', mode: 0o040755, links: 2, device: [0, 0], content: '' },
    { path: 'dev/console', mode: 0o020600, links: 1, device: [5, 1], content: '' },
    { path: 'dev/sda', mode: 0o060660, links: 1, device: [8, 0], content: '' },
    { path: 'pipe', mode: 0o010600, links: 1, device: [0, 0], content: '' },
    { path: 'größe', mode: 0o104755, links: 1, device: [0, 0], content: 'abcde' },
    { path: 'empty', mode: 0o100644, links: 1, device: [0, 0], content: '' },
    { path: 'sh', mode: 0o120777, links: 1, device: [0, 0], content: 'bin/busybox' },
  ]);
});

test('archives can follow one another, for every length of content', () => {
  for (let length = 0; length < 9; length++) {
    assert.equal(writeCpio([{ path: 'x'.repeat(length + 1), type: 'file', mode: 0o644, content: 'y'.repeat(length) }]).length % 4, 0);
  }
});

test('refuses paths that Linux would not unpack where they are meant', () => {
  for (const path of ['', '/absolute', 'a\0b']) assert.throws(() => writeCpio([{ path, type: 'file', mode: 0o644 }]), /cannot be a path/);
});
