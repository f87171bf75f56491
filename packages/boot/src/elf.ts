import { BootError, hex } from './boot-error.ts';

/** A program header, its numbers checked to be exact (below 2^53) and its bytes to be in the file. */
export interface ElfSegment {
  readonly type: number;
  readonly physicalAddress: number;
  readonly memorySizeBytes: number;
  readonly bytes: Uint8Array;
}

export const PT_LOAD = 1;
export const PT_NOTE = 4;

const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const EM_X86_64 = 62;
const MACHINE_NAMES: Readonly<Record<number, string>> = {
  3: 'i386',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC 64',
  22: 'S/390',
  40: 'ARM',
  183: 'arm64',
  243: 'RISC-V',
  258: 'LoongArch',
};
export const HEADER_SIZE_BYTES = 64;
export const PROGRAM_HEADER_SIZE_BYTES = 56;
/** A Linux kernel has 5; this bounds the work for a forged file. */
const SEGMENT_COUNT_MAX = 128;
const NOTE_SEGMENT_SIZE_MAX_BYTES = 0x10000;

export const isElf = (file: Uint8Array): boolean => file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;

/** The program headers of an x86-64 executable. */
export function elfSegments(file: Uint8Array): ElfSegment[] {
  const data = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < HEADER_SIZE_BYTES)
    throw new BootError(`kernel: the ELF file is truncated: it has only ${file.length} bytes; copy it again`);
  const machine = data.getUint16(18, file[5] === ELFDATA2LSB);
  if (machine !== EM_X86_64 || file[4] !== ELFCLASS64 || file[5] !== ELFDATA2LSB) {
    throw new BootError(`kernel: this ELF file is for ${MACHINE_NAMES[machine] ?? `machine ${machine}`}, not x86-64; use an amd64 kernel`);
  }
  const tableOffset = data.getBigUint64(32, true);
  const entrySizeBytes = data.getUint16(54, true);
  const count = data.getUint16(56, true);
  if (entrySizeBytes < PROGRAM_HEADER_SIZE_BYTES || count === 0 || count > SEGMENT_COUNT_MAX) {
    throw new BootError(
      `kernel: the ELF header lists ${count} segments of ${entrySizeBytes} bytes, which no kernel has; the file is damaged`,
    );
  }
  if (tableOffset + BigInt(count * entrySizeBytes) > BigInt(file.length)) {
    throw new BootError('kernel: the ELF file is truncated: it ends before its program headers; copy it again');
  }
  return Array.from({ length: count }, (_, index) => readSegment(file, data, Number(tableOffset) + index * entrySizeBytes, index));
}

function readSegment(file: Uint8Array, data: DataView, at: number, index: number): ElfSegment {
  const type = data.getUint32(at, true);
  if (type !== PT_LOAD && type !== PT_NOTE) return { type, physicalAddress: 0, memorySizeBytes: 0, bytes: file.subarray(0, 0) };
  const [offset, physicalAddress, fileSize, memorySize] = [8, 24, 32, 40].map((field) => data.getBigUint64(at + field, true)) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  if (offset + fileSize > BigInt(file.length)) {
    throw new BootError(
      `kernel: the ELF file is truncated: segment ${index} ends at ${hex(offset + fileSize)}, it at ${hex(file.length)}; copy it again`,
    );
  }
  const limit = BigInt(Number.MAX_SAFE_INTEGER) / 2n;
  if (physicalAddress > limit || memorySize > limit || (type === PT_LOAD && memorySize < fileSize)) {
    throw new BootError(`kernel: segment ${index} has impossible addresses or sizes; the file is damaged`);
  }
  return {
    type,
    physicalAddress: Number(physicalAddress),
    memorySizeBytes: Number(memorySize),
    bytes: file.subarray(Number(offset), Number(offset + fileSize)),
  };
}

/** The descriptor of the first note with that owner and type, or undefined. */
export function findElfNote(segments: readonly ElfSegment[], owner: string, type: number): Uint8Array | undefined {
  for (const segment of segments) {
    if (segment.type !== PT_NOTE) continue;
    const bytes = segment.bytes.subarray(0, NOTE_SEGMENT_SIZE_MAX_BYTES);
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 12 <= bytes.length; ) {
      const [nameSizeBytes, descriptorSizeBytes] = [data.getUint32(at, true), data.getUint32(at + 4, true)];
      const descriptorAt = at + 12 + Math.ceil(nameSizeBytes / 4) * 4;
      if (descriptorAt + descriptorSizeBytes > bytes.length) break;
      const name = nameSizeBytes === owner.length + 1 ? String.fromCharCode(...bytes.subarray(at + 12, at + 12 + owner.length)) : '';
      if (name === owner && data.getUint32(at + 8, true) === type) return bytes.subarray(descriptorAt, descriptorAt + descriptorSizeBytes);
      at = descriptorAt + Math.ceil(descriptorSizeBytes / 4) * 4;
    }
  }
  return undefined;
}
