import { GuestMemory } from '@hanok/machine';
import { memoryMap } from './memory-map.ts';

/** Kernels of a kilobyte or two, with real headers, for the loaders' tests. */

export const KERNEL_ADDRESS = 0x100000;

/** A bzImage that loads at 1 MiB; its payload is `payloadSizeBytes` of 0x90. */
export function smallBzImage(payloadSizeBytes = 1024): Uint8Array {
  const file = new Uint8Array(1024 + payloadSizeBytes).fill(0x90, 1024);
  const data = new DataView(file.buffer);
  data.setUint8(0x1f1, 1);
  data.setUint32(0x1f4, payloadSizeBytes / 16, true);
  data.setUint16(0x1fe, 0xaa55, true);
  data.setUint16(0x200, 0x6aeb, true);
  data.setUint32(0x202, 0x53726448, true);
  data.setUint16(0x206, 0x020f, true);
  data.setUint8(0x211, 1);
  data.setUint32(0x22c, 0x7fffffff, true);
  data.setUint32(0x230, 0x200000, true);
  data.setUint16(0x236, 0x7f, true);
  data.setUint32(0x238, 2047, true);
  data.setBigUint64(0x258, BigInt(KERNEL_ADDRESS), true);
  data.setUint32(0x260, 0x10000, true);
  return file;
}

/** An ELF kernel with a PVH note: one segment of 512 bytes at 1 MiB, 4096 in memory, entered at +0x10. */
export function smallElf(): Uint8Array {
  const file = new Uint8Array(1024).fill(0x90, 512);
  const data = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  data.setUint16(16, 2, true);
  data.setUint16(18, 62, true);
  data.setUint32(20, 1, true);
  data.setBigUint64(32, 64n, true);
  data.setUint16(52, 64, true);
  data.setUint16(54, 56, true);
  data.setUint16(56, 2, true);
  const segment = (index: number, type: number, offset: number, address: number, fileSize: number, memorySize: number): void => {
    const at = 64 + index * 56;
    data.setUint32(at, type, true);
    for (const [field, value] of [
      [8, offset],
      [16, address],
      [24, address],
      [32, fileSize],
      [40, memorySize],
    ] as const)
      data.setBigUint64(at + field, BigInt(value), true);
  };
  segment(0, 1, 512, KERNEL_ADDRESS, 512, 4096);
  segment(1, 4, 256, 0, 60, 60);
  const note = (at: number, owner: string, type: number, value: number): void => {
    data.setUint32(at, owner.length + 1, true);
    data.setUint32(at + 4, 8, true);
    data.setUint32(at + 8, type, true);
    for (let index = 0; index < owner.length; index++) file[at + 12 + index] = owner.charCodeAt(index);
    data.setBigUint64(at + 12 + Math.ceil((owner.length + 1) / 4) * 4, BigInt(value), true);
  };
  note(256, 'Linux', 18, 1);
  note(284, 'Xen', 18, KERNEL_ADDRESS + 0x10);
  return file;
}

const GUARD_SIZE_BYTES = 0x100000;
const GUARD_BYTE = 0xa5;

/** RAM in the middle of a larger memory whose other bytes must never change. */
export function guardedRam(sizeBytes = 0x200000): { memory: GuestMemory; guardIntact: () => boolean } {
  const pages = (sizeBytes + 2 * GUARD_SIZE_BYTES) / 65536;
  const whole = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const bytes = new Uint8Array(whole.buffer);
  const [before, after] = [bytes.subarray(0, GUARD_SIZE_BYTES), bytes.subarray(GUARD_SIZE_BYTES + sizeBytes)];
  before.fill(GUARD_BYTE);
  after.fill(GUARD_BYTE);
  const memory = new GuestMemory(whole, GUARD_SIZE_BYTES, sizeBytes);
  return { memory, guardIntact: () => [before, after].every((guard) => guard.every((byte) => byte === GUARD_BYTE)) };
}

export const imageOf = (memory: GuestMemory, kernel: Uint8Array) => ({
  memory,
  kernel,
  commandLine: 'console=ttyS0',
  rsdp: 0xe0000,
  memoryMap: memoryMap(memory.sizeBytes),
});
