import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BootError } from './boot-error.ts';
import { compressedKernel } from './bzimage.ts';
import { loadKernel } from './load-kernel.ts';
import { guardedRam, imageOf, smallBzImage, smallElf } from './small-kernels.test.ts';
import { trimPvhKernel } from './trim-elf.ts';

const OPERATION_COUNT = Number(process.env['HANOK_FUZZ_OPERATIONS'] ?? 200_000);
const SEED = Number(process.env['HANOK_FUZZ_SEED'] ?? Date.now() >>> 0) >>> 0 || 1;

/** Repeatable random numbers (xorshift32). */
let randomState = SEED;
function random(limit: number): number {
  randomState ^= randomState << 13;
  randomState ^= randomState >>> 17;
  randomState ^= randomState << 5;
  return (randomState >>> 0) % limit;
}

/** Where the loaders look: mutations aim here most of the time. */
const INTERESTING_BZIMAGE = [0x1f1, 0x1f4, 0x1fe, 0x201, 0x202, 0x206, 0x211, 0x22c, 0x236, 0x238, 0x258, 0x25c, 0x260];
const INTERESTING_ELF = [
  4,
  5,
  18,
  32,
  36,
  54,
  56,
  ...[0, 56].flatMap((at) => [64, 72, 76, 88, 92, 96, 100, 104, 108].map((field) => field + at)),
  256,
  260,
  264,
  284,
  288,
  292,
  300,
];

function mutate(template: Uint8Array, interesting: readonly number[]): Uint8Array {
  const file = template.slice();
  const data = new DataView(file.buffer);
  for (let count = random(4); count > 0; count--) {
    const at = Math.min(file.length - 8, random(3) === 0 ? random(file.length) : interesting[random(interesting.length)]!);
    const value =
      [0, 1, 0xffffffff, 0x80000000, 1 << random(32), random(0x10000), 0x100000 + random(0x100000), random(2 ** 32)][random(8)]! >>> 0;
    const width = random(4);
    if (width === 0) data.setUint8(at, value & 0xff);
    else if (width === 1) data.setUint16(at, value & 0xffff, true);
    else if (width === 2) data.setUint32(at, value, true);
    else data.setBigUint64(at, (BigInt(random(2 ** 32)) << 32n) | BigInt(value), true);
  }
  return random(8) === 0 ? file.subarray(0, random(file.length)) : file;
}

test('mutated kernels and random bytes: a state or a BootError, and no byte outside RAM changes', () => {
  console.log(`load-kernel: HANOK_FUZZ_SEED=${SEED}, ${OPERATION_COUNT} files`);
  const { memory, guardIntact } = guardedRam();
  const bzImage = smallBzImage();
  const elf = smallElf();
  let loaded = 0;
  let refused = 0;
  for (let operation = 0; operation < OPERATION_COUNT; operation++) {
    const kind = random(9);
    const kernel =
      kind < 4
        ? mutate(bzImage, INTERESTING_BZIMAGE)
        : kind < 8
          ? mutate(elf, INTERESTING_ELF)
          : new Uint8Array(random(2000)).map(() => random(256));
    const initrd = random(2) === 0 ? undefined : new Uint8Array(random(64) === 0 ? random(0x200000) : random(5000));
    try {
      const state = loadKernel({ ...imageOf(memory, kernel), initrd });
      assert.ok(Number(state.rip) < memory.sizeBytes, `operation ${operation}: RIP is outside RAM`);
      const trimmed = random(8) === 0 ? trimPvhKernel(kernel) : undefined;
      if (trimmed) assert.equal(loadKernel({ ...imageOf(memory, trimmed), initrd }).rip, state.rip, `operation ${operation}: trimmed`);
      compressedKernel(kernel);
      loaded++;
    } catch (error) {
      assert.ok(error instanceof BootError, `operation ${operation}: ${String(error)}`);
      assert.match(error.message, /^(kernel|initrd|command line|memory)/);
      refused++;
    }
    if (operation % 20_000 === 0) assert.ok(guardIntact(), `operation ${operation}`);
  }
  assert.ok(guardIntact());
  assert.ok(loaded > 0 && refused > 0);
  console.log(`load-kernel: ${loaded} loaded, ${refused} refused`);
});
