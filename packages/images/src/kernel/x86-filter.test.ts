import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { undoX86Filter } from './x86-filter.ts';
import { unpackXzKernel } from './xz-kernel.ts';

/** Calls and jumps close to each other, and what xz 5.4 --x86 makes of them. */
const CODE =
  'e8e8e900e9ffe8e8e8e9e853e8fffae9e9ffffffe9e9e9e9e979ffff00e8e900e8ffff6aff68ffe9ff7300e8006605e9cb00ffe9e90000e8e8ff00e8' +
  'e8e8f295ffe90000e8e8e9e900e8ece9e8e952000000e9ff00e900fff8e8e9ffb0e8ffffe8ffffe968e9e8ff00d200e8e8e9ffffe8e9e8e9e800ffff';
const FILTERED =
  'e8e8ef00e9ffe8e8e8e9e853e8fffae9fdffffffe9e9e9e9e979ffff00e80b01e8ffff6aff68ffe9ff7300e8006605e9cb00ffe9e90000e8e8ff00e8' +
  'e829f395ffe90000e831eae900e8ece938ea52000000e95601e900fff8e8e95eb1e8ffffe8ffffe9d0e9e8ff00d200e858eaffffe8e95eeae800ffff';

test('gives the code that went through the filter', () => {
  const code = Buffer.from(FILTERED, 'hex');
  undoX86Filter(code);
  assert.equal(code.toString('hex'), CODE);
});

test('short pieces stay as they are', () => {
  for (let length = 0; length < 5; length++) {
    const code = new Uint8Array(length).fill(0xe8);
    undoX86Filter(code);
    assert.ok(code.every((byte) => byte === 0xe8));
  }
});

test("random code that the host's xz filtered", async (t) => {
  const seed = Number(process.env['HANOK_FUZZ_SEED'] ?? Date.now() >>> 0) >>> 0 || 1;
  console.log(`x86-filter: HANOK_FUZZ_SEED=${seed}`);
  let state = seed;
  const random = (limit: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  const code = Uint8Array.from({ length: 3 << 20 }, () => [0xe8, 0xe9, 0x00, 0xff, random(256)][random(5)]!);
  let packed: Buffer;
  try {
    packed = execFileSync('xz', ['-T1', '-0', '--check=crc32', '--x86', '--lzma2=preset=0', '-c'], { input: code, maxBuffer: 16 << 20, stdio: 'pipe' });
  } catch {
    t.skip('this computer has no xz');
    return;
  }
  const unpacked = await unpackXzKernel(packed, code.length);
  assert.ok(Buffer.from(code).equals(unpacked));
});
