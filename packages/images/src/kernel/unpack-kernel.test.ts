import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { trimPvhKernel } from '@hanok/boot';
import { ImageError } from '../image-error.ts';
import { KERNEL_COMPRESSIONS, makeBzImage, makeElf } from '../testing/kernel-fixture.ts';
import { unpackKernel } from './unpack-kernel.ts';

const OPTIONS = { label: 'linux-image-test' };
const { lz4, zstd, gzip, xz } = KERNEL_COMPRESSIONS;

for (const [name, compress] of Object.entries(KERNEL_COMPRESSIONS)) {
  test(`unpacks a kernel compressed with ${name}, and trims it`, async () => {
    const elf = makeElf();
    const unpacked = await unpackKernel(makeBzImage(compress(elf)), OPTIONS);
    assert.ok(unpacked!.length < elf.length);
    assert.ok(Buffer.from(unpacked!).includes('Linux'));
    assert.deepEqual(unpacked, trimPvhKernel(elf));
  });

  test(`a kernel in ${name} that is damaged is an error`, async () => {
    const packed = compress(makeElf());
    const changed = (change: (copy: Buffer) => unknown): Buffer => {
      const copy = Buffer.from(packed);
      change(copy);
      return copy;
    };
    const damaged = [
      changed((copy) => copy.fill(0xff, 10, copy.length - 10)),
      changed((copy) => copy.writeUInt32LE(copy.readUInt32LE(copy.length - 4) + 1, copy.length - 4)),
      changed((copy) => copy.writeUInt32LE(copy.readUInt32LE(copy.length - 4) - 1, copy.length - 4)),
      changed((copy) => copy.writeUInt32LE(0, copy.length - 4)),
      changed((copy) => copy.writeUInt32LE(0xffffffff, copy.length - 4)),
      Buffer.concat([packed.subarray(0, 30), packed.subarray(-4)]),
      packed.subarray(0, 6),
    ];
    for (const [index, payload] of damaged.entries()) {
      await assert.rejects(
        unpackKernel(makeBzImage(payload), OPTIONS),
        (error) => error instanceof ImageError && /the kernel of linux-image-test cannot be unpacked .*: choose another kernel$/.test(error.message),
        `${index}`,
      );
    }
  });
}

test('LZ4 has blocks of 8 MiB; what is between and behind them counts', async () => {
  const elf = makeElf(9 << 20);
  randomBytes(1 << 20).copy(elf, 8 << 20);
  const packed = lz4(elf);
  assert.deepEqual(await unpackKernel(makeBzImage(packed), OPTIONS), trimPvhKernel(elf));
  const behind = Buffer.concat([packed.subarray(0, -4), Buffer.alloc(4), packed.subarray(-4)]);
  await assert.rejects(unpackKernel(makeBzImage(behind), OPTIONS), /longer than it says/);
  packed.writeUInt32LE(0xffffffff, 4);
  await assert.rejects(unpackKernel(makeBzImage(packed), OPTIONS), /cut off/);
});

test('what says less than it unpacks to takes no more memory than it says', async () => {
  for (const compress of [zstd, gzip]) {
    const packed = compress(makeElf(32 << 20));
    packed.writeUInt32LE(1 << 20, packed.length - 4);
    await assert.rejects(unpackKernel(makeBzImage(packed), OPTIONS), /larger than 1048576 bytes/);
  }
});

test('what has to boot as it is', async () => {
  const kernels = {
    'no kernel': Buffer.from('a kernel'),
    'not compressed as known here': makeBzImage(Buffer.from('an unknown compression')),
    'no payload': makeBzImage(Buffer.alloc(0)),
    'an i386 kernel': makeBzImage(lz4(makeElf()), { is64Bit: false }),
    'an ELF file for another processor': makeBzImage(lz4(makeElf(1024, { machine: 3 }))),
    'no PVH': makeBzImage(lz4(makeElf(1024, { noteType: 17 }))),
    'no ELF file': makeBzImage(gzip(Buffer.from('something else'))),
  };
  for (const [what, kernel] of Object.entries(kernels)) assert.equal(await unpackKernel(kernel, OPTIONS), undefined, what);
});

test('xz as no kernel has it is an error', async () => {
  const refused = async (change: (packed: Buffer) => unknown, message: RegExp): Promise<void> => {
    const packed = xz(makeElf());
    change(packed);
    await assert.rejects(unpackKernel(makeBzImage(packed), OPTIONS), (error) => error instanceof ImageError && message.test(error.message), String(message));
  };
  await refused((packed) => packed.writeUInt8(4, 7), /check is not a CRC32/);
  await refused((packed) => packed.writeUInt8(5, 14), /unknown filters \(5, 33\)/);
  await refused((packed) => packed.writeUInt8(3, 13), /xz index is damaged|unknown filters/);
  await refused((packed) => packed.writeUInt8(4, 15), /starts at an address/);
  await refused((packed) => packed.writeUInt8(0x20, 24), /cut off or damaged/);
  await refused((packed) => packed.writeUInt32LE(0, packed.length - 8), /check does not fit/);
});

test('a bzImage that is cut off is an error, and an abort is one', async () => {
  const bzImage = makeBzImage(zstd(makeElf()));
  await assert.rejects(unpackKernel(bzImage.subarray(0, -100), OPTIONS), ImageError);
  await assert.rejects(unpackKernel(bzImage, { ...OPTIONS, signal: AbortSignal.abort() }), { name: 'AbortError' });
});
