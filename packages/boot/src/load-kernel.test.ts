import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuestMemory } from '@hanok/machine';
import { BootError } from './boot-error.ts';
import { loadKernel } from './load-kernel.ts';
import { guardedRam, imageOf, KERNEL_ADDRESS, smallBzImage, smallElf } from './small-kernels.test.ts';

const text = (memory: GuestMemory, address: number, length: number): string => String.fromCharCode(...memory.slice(address, length)!);

function bzImageWith(change: (data: DataView) => void): Uint8Array {
  const file = smallBzImage();
  change(new DataView(file.buffer));
  return file;
}

function elfWith(change: (data: DataView) => void): Uint8Array {
  const file = smallElf();
  change(new DataView(file.buffer));
  return file;
}

test('bzImage: the state of the 64-bit boot protocol', () => {
  const { memory } = guardedRam();
  const state = loadKernel({ ...imageOf(memory, smallBzImage()), initrd: new Uint8Array(5000).fill(7) });
  assert.equal(state.rip, BigInt(KERNEL_ADDRESS + 0x200));
  assert.equal(state.rflags, 2n);
  assert.equal(state.cr0! & 0x80000001n, 0x80000001n);
  assert.equal(state.cr4, 0x20n);
  assert.equal(state.efer, 0x500n);
  assert.deepEqual(
    state.segments!.map((segment) => segment.selector),
    [0x18, 0x10, 0x18, 0x18, 0x18, 0x18],
  );
  assert.equal(state.segments![1]!.access, 0xa09b);
  assert.equal(memory.readU64(Number(state.gdtr!.base) + 0x10), 0x00af9b000000ffffn);
  assert.equal(memory.readU64(Number(state.gdtr!.base) + 0x18), 0x00cf93000000ffffn);

  const params = Number(state.gpr![6]!);
  assert.equal(memory.readU16(params + 0x1fe), 0xaa55);
  assert.equal(memory.readU32(params + 0x202), 0x53726448);
  assert.equal(memory.slice(params + 0x210, 1)![0], 0xff);
  assert.equal(memory.readU64(params + 0x70), 0xe0000n);
  assert.equal(text(memory, memory.readU32(params + 0x228)!, 14), 'console=ttyS0\0');
  const initrd = memory.readU32(params + 0x218)!;
  assert.equal(initrd, 0x200000 - 0x2000);
  assert.equal(memory.readU32(params + 0x21c), 5000);
  assert.ok(memory.slice(initrd, 5000)!.every((byte) => byte === 7));
  assert.ok(memory.slice(KERNEL_ADDRESS, 1024)!.every((byte) => byte === 0x90));

  assert.equal(memory.slice(params + 0x1e8, 1)![0], 5);
  const entries = Array.from({ length: 5 }, (_, index) => {
    const at = params + 0x2d0 + index * 20;
    return [memory.readU64(at), memory.readU64(at + 8), memory.readU32(at + 16)];
  });
  assert.deepEqual(entries, [
    [0n, 0x9fc00n, 1],
    [0x9fc00n, 0x40400n, 2],
    [0xe0000n, 0x20000n, 2],
    [0x100000n, 0x100000n, 1],
    [0xe0000000n, 0x100000n, 2],
  ]);
});

test('bzImage of i386: the state of the 32-bit boot protocol', () => {
  const { memory } = guardedRam();
  const state = loadKernel(imageOf(memory, bzImageWith((data) => data.setUint16(0x236, 0, true))));
  assert.equal(state.rip, BigInt(KERNEL_ADDRESS));
  assert.deepEqual([state.cr0, state.cr4, state.efer, state.rflags], [0x11n, 0n, 0n, 2n]);
  assert.deepEqual([3, 5, 7].map((register) => state.gpr![register]), [0n, 0n, 0n]);
  assert.equal(state.segments![1]!.access, 0xc09b);
  assert.equal(memory.readU32(Number(state.gpr![6]!) + 0x202), 0x53726448);
});

test('bzImage: the page tables map the first 4 GiB to themselves', () => {
  const { memory } = guardedRam();
  const { cr3 } = loadKernel(imageOf(memory, smallBzImage()));
  for (const address of [0, 0x7000, KERNEL_ADDRESS, 0x3fe00000, 0x80000000, 0xfec00000, 0xffe00000]) {
    const indexes = [39, 30, 21].map((shift) => Math.floor(address / 2 ** shift) % 512);
    let table = Number(cr3);
    indexes.forEach((index, level) => {
      const entry = memory.readU64(table + index * 8)!;
      assert.equal(entry & 3n, 3n);
      if (level === 2) assert.equal(entry, BigInt(Math.floor(address / 0x200000) * 0x200000) | 0x83n);
      table = Number(entry & ~0xfffn);
    });
  }
});

test('PVH: the state of the direct boot ABI', () => {
  const { memory } = guardedRam();
  memory.slice(KERNEL_ADDRESS, 4096)!.fill(0xee);
  const state = loadKernel({ ...imageOf(memory, smallElf()), initrd: new Uint8Array(100).fill(9) });
  assert.equal(state.rip, BigInt(KERNEL_ADDRESS + 0x10));
  assert.equal(state.cr0, 0x11n);
  assert.equal(state.efer, 0n);
  assert.equal(state.segments![1]!.access, 0xc09b);
  assert.ok(
    memory.slice(KERNEL_ADDRESS + 512, 4096 - 512)!.every((byte) => byte === 0),
    'the rest of the segment is cleared',
  );
  const info = Number(state.gpr![3]!);
  assert.equal(memory.readU32(info), 0x336ec578);
  assert.equal(memory.readU32(info + 4), 1);
  assert.equal(memory.readU32(info + 12), 1);
  const modules = Number(memory.readU64(info + 16));
  assert.equal(memory.readU64(modules), 0x1ff000n);
  assert.equal(memory.readU64(modules + 8), 100n);
  assert.equal(text(memory, Number(memory.readU64(info + 24)), 13), 'console=ttyS0');
  assert.equal(memory.readU64(info + 32), 0xe0000n);
  assert.equal(memory.readU32(info + 48), 5);
  const map = Number(memory.readU64(info + 40));
  assert.equal(memory.readU64(map + 8), 0x9fc00n);
  assert.equal(memory.readU32(map + 3 * 24 + 16), 1);
});

test('without an initrd the kernel is told of none', () => {
  const { memory } = guardedRam();
  const bzImage = loadKernel(imageOf(memory, smallBzImage()));
  assert.equal(memory.readU32(Number(bzImage.gpr![6]!) + 0x218), 0);
  const pvh = loadKernel({ ...imageOf(memory, smallElf()), initrd: new Uint8Array(0) });
  assert.equal(memory.readU32(Number(pvh.gpr![3]!) + 12), 0);
});

const WRONG_KERNELS: [string, Uint8Array, RegExp][] = [
  ['empty', new Uint8Array(0), /empty/],
  ['text', new TextEncoder().encode('#!/bin/sh\n'), /no x86 Linux kernel; use a bzImage/],
  ['gzip', Uint8Array.of(0x1f, 0x8b, 8), /gzip; unpack/],
  ['arm64', new Uint8Array(64).map((_, index) => [0x41, 0x52, 0x4d, 0x64][index - 0x38] ?? 0), /arm64 Image; use an amd64/],
  ['arm64 ELF', elfWith((data) => data.setUint16(18, 183, true)), /ELF file is for arm64/],
  ['i386 ELF', elfWith((data) => data.setUint16(18, 3, true)), /ELF file is for i386/],
  ['big-endian ELF', elfWith((data) => (data.setUint8(5, 2), data.setUint16(18, 21, false))), /PowerPC 64/],
  ['short ELF', smallElf().subarray(0, 40), /truncated/],
  ['ELF without its end', smallElf().subarray(0, 1000), /truncated: segment 0/],
  ['ELF without program headers', smallElf().subarray(0, 100), /truncated: it ends before/],
  ['ELF without PVH', elfWith((data) => data.setUint32(292, 7, true)), /no PVH entry point/],
  ['ELF with many segments', elfWith((data) => data.setUint16(56, 0xffff, true)), /lists 65535 segments/],
  [
    'ELF with overlap',
    elfWith((data) => (data.setUint32(64 + 56, 1, true), data.setBigUint64(64 + 56 + 24, 0x100100n, true))),
    /no PVH|overlaps/,
  ],
  ['ELF entry outside', elfWith((data) => data.setUint32(284 + 16, 0x40, true)), /entry point 0x40 lies outside/],
  ['ELF at huge address', elfWith((data) => data.setBigUint64(64 + 24, 0xffff_ffff_8100_0000n, true)), /impossible addresses/],
  ['ELF segment wraps', elfWith((data) => data.setBigUint64(64 + 8, 0xffff_ffff_ffff_ffffn, true)), /truncated/],
  ['ELF over low memory', elfWith((data) => data.setBigUint64(64 + 24, 0x7000n, true)), /overlaps the loader's own tables/],
  ['ELF in the BIOS area', elfWith((data) => data.setBigUint64(64 + 24, 0xf0000n, true)), /reserved range/],
  ['old protocol', bzImageWith((data) => data.setUint16(0x206, 0x020a, true)), /protocol 2\.10 is too old/],
  ['zImage', bzImageWith((data) => data.setUint8(0x211, 0)), /zImage/],
  ['short header', bzImageWith((data) => data.setUint8(0x201, 0x10)), /setup header ends/],
  ['truncated bzImage', smallBzImage().subarray(0, 1500), /truncated: it has 1500 of 2048 bytes/],
  ['huge bzImage', bzImageWith((data) => data.setUint32(0x1f4, 0xffffffff, true)), /truncated/],
  ['empty payload', bzImageWith((data) => data.setUint32(0x1f4, 0, true)), /no kernel behind it/],
  ['bzImage above 4 GiB', bzImageWith((data) => data.setBigUint64(0x258, 1n << 40n, true)), /above 4 GiB/],
  ['bzImage too large for RAM', bzImageWith((data) => data.setUint32(0x260, 0x3000000, true)), /at least 49 MiB of memory, it has 2 MiB/],
];

for (const [name, kernel, message] of WRONG_KERNELS) {
  test(`refuses: ${name}`, () => {
    const { memory, guardIntact } = guardedRam();
    assert.throws(
      () => loadKernel(imageOf(memory, kernel)),
      (error: unknown) => error instanceof BootError && message.test(error.message),
    );
    assert.ok(guardIntact());
  });
}

test('refuses what does not fit beside the kernel', () => {
  const { memory } = guardedRam();
  const image = imageOf(memory, smallBzImage());
  assert.throws(
    () => loadKernel({ ...image, initrd: new Uint8Array(0x200000) }),
    /initrd of 2 MiB does not fit beside the kernel: give the machine at least 4 MiB/,
  );
  const low = bzImageWith((data) => data.setUint32(0x22c, 0x1fffff, true));
  assert.throws(() => loadKernel({ ...image, kernel: low, initrd: new Uint8Array(0x200000) }), /do not fit below 0x200000/);
  assert.throws(() => loadKernel({ ...image, commandLine: 'x'.repeat(2048) }), /2048 characters are more than this kernel's 2047/);
  assert.throws(() => loadKernel({ ...image, kernel: smallElf(), commandLine: 'x'.repeat(2048) }), BootError);
  assert.throws(() => loadKernel({ ...image, commandLine: 'root=ä' }), /character 6 is not printable ASCII/);
  const map = new Array(129).fill({ base: 0, sizeBytes: 4096, type: 1 });
  assert.throws(() => loadKernel({ ...image, memoryMap: map }), /129 ranges/);
});
