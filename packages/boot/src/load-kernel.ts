import type { VcpuState } from '@hanok/machine';
import { BootError } from './boot-error.ts';
import { isBzImage, loadBzImage } from './bzimage.ts';
import { isElf } from './elf.ts';
import type { KernelImage } from './low-memory.ts';
import { loadPvh } from './pvh.ts';

/** What files that are not kernels begin with, for an error that helps. */
const NOT_KERNELS: readonly { readonly offset: number; readonly bytes: readonly number[]; readonly what: string }[] = [
  { offset: 0x38, bytes: [0x41, 0x52, 0x4d, 0x64], what: 'an arm64 Image; use an amd64 kernel' },
  { offset: 0x30, bytes: [0x52, 0x49, 0x53, 0x43, 0x56], what: 'a RISC-V Image; use an amd64 kernel' },
  { offset: 0, bytes: [0x1f, 0x8b], what: 'compressed with gzip; unpack it first' },
  { offset: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a], what: 'compressed with xz; unpack it first' },
  { offset: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], what: 'compressed with zstd; unpack it first' },
  { offset: 0, bytes: [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e], what: 'a Debian package; use boot/vmlinuz-… from inside it' },
  { offset: 0, bytes: [0x30, 0x37, 0x30, 0x37, 0x30], what: 'a cpio archive; that is an initrd, not a kernel' },
  { offset: 0x8001, bytes: [0x43, 0x44, 0x30, 0x30, 0x31], what: 'an ISO image; use the kernel file inside it' },
  { offset: 0, bytes: [0x4d, 0x5a], what: 'an EFI program without a Linux x86 setup header; use a bzImage' },
  { offset: 0x1fe, bytes: [0x55, 0xaa], what: 'a disk image or boot sector; attach it as a disk' },
];

/**
 * Loads a kernel by what the file is: a bzImage through the 64-bit Linux boot protocol (an i386 one through the 32-bit protocol), an ELF file through PVH. Gives
 * the state in which the boot processor starts. Throws a BootError, and nothing else, for whatever the files contain.
 */
export function loadKernel(image: KernelImage): Partial<VcpuState> {
  const { kernel } = image;
  if (isBzImage(kernel)) return loadBzImage(image);
  if (isElf(kernel)) return loadPvh(image);
  if (kernel.length === 0) throw new BootError('kernel: the file is empty; copy it again');
  const found = NOT_KERNELS.find(({ offset, bytes }) => bytes.every((byte, index) => kernel[offset + index] === byte));
  throw new BootError(
    `kernel: this is ${found?.what ?? 'no x86 Linux kernel; use a bzImage (vmlinuz) or an ELF file with a PVH entry'}`,
  );
}
