import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compressedKernel } from './bzimage.ts';
import { loadKernel } from './load-kernel.ts';
import { guardedRam, imageOf, KERNEL_ADDRESS, smallBzImage, smallElf } from './small-kernels.test.ts';
import { trimPvhKernel } from './trim-elf.ts';

/** `smallElf` with 100 bytes of code, zeros behind them, and 3000 bytes that nobody loads. */
function paddedElf(): Uint8Array {
  const file = new Uint8Array(4024).fill(0xcc);
  file.set(smallElf().fill(0, 612));
  const data = new DataView(file.buffer);
  data.setBigUint64(40, 1024n, true);
  data.setUint16(60, 3, true);
  return file;
}

test('a trimmed kernel loads what the whole one does, from less', () => {
  const whole = paddedElf();
  const trimmed = trimPvhKernel(whole)!;
  assert.equal(trimmed.length, 64 + 2 * 56 + 112 + 64);
  const loaded = [whole, trimmed].map((kernel) => {
    const { memory } = guardedRam();
    memory.slice(KERNEL_ADDRESS, 8192)!.fill(0xee);
    return { state: loadKernel(imageOf(memory, kernel)), memory: [...memory.slice(KERNEL_ADDRESS, 8192)!] };
  });
  assert.deepEqual(loaded[1], loaded[0]);
  assert.deepEqual(trimPvhKernel(trimmed), trimmed);
});

test('a kernel whose segments lie over each other in the file stays as it is', () => {
  const file = smallElf();
  const data = new DataView(file.buffer);
  data.setBigUint64(64 + 8, 0n, true);
  data.setBigUint64(64 + 32, 1024n, true);
  assert.equal(trimPvhKernel(file), file);
});

test('nothing else is trimmed', () => {
  const other = (change: (data: DataView) => void): Uint8Array => {
    const file = smallElf();
    change(new DataView(file.buffer));
    return file;
  };
  const noNote = other((data) => data.setUint32(292, 7, true));
  const i386 = other((data) => data.setUint16(18, 3, true));
  const noElf = other((data) => data.setUint8(0, 0));
  for (const file of [noNote, i386, noElf, smallElf().subarray(0, 40), smallElf().subarray(0, 1000), smallBzImage(), new Uint8Array(0)]) {
    assert.equal(trimPvhKernel(file), undefined);
  }
});

test('the compressed part of a bzImage', () => {
  const file = smallBzImage();
  const data = new DataView(file.buffer);
  data.setUint32(0x248, 1000, true);
  data.setUint32(0x24c, 24, true);
  file.set([1, 2, 3], 2024);
  assert.deepEqual([...compressedKernel(file)!.subarray(0, 4)], [1, 2, 3, 0x90]);
  assert.equal(compressedKernel(file)!.length, 24);
  assert.equal(compressedKernel(smallElf()), undefined);
  data.setUint32(0x24c, 25, true);
  assert.throws(() => compressedKernel(file), /compressed part ends at 0x401, behind its end 0x400/);
  data.setUint32(0x248, 0xffffffff, true);
  assert.throws(() => compressedKernel(file), /the file is damaged/);
  assert.throws(() => compressedKernel(file.subarray(0, 1500)), /truncated/);
  data.setUint16(0x236, 0, true);
  assert.equal(compressedKernel(file), undefined, 'of i386');
});
