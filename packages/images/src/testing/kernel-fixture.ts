import { crc32, gzipSync, zstdCompressSync } from 'node:zlib';
import { lzma2 } from '@napi-rs/lzma';
import { compressSync } from 'lz4-napi';

const LZ4_BLOCK_BYTES = 8 << 20;
const PROGRAM_HEADERS_AT = 64;
const SEGMENT_AT = 0x200;
const SETUP_BYTES = 1024;

/** An ELF file with one segment of `contentBytes`, `Linux` and then zeros, a note of PVH, and something that nobody loads. */
export function makeElf(contentBytes = 1024, { machine = 62, noteType = 18 } = {}): Buffer {
  const elf = Buffer.alloc(SEGMENT_AT + contentBytes + 100, 0xcc).fill(0, 0, SEGMENT_AT + contentBytes);
  elf.write('\x7fELF\x02\x01\x01', 'latin1');
  elf.writeUInt16LE(machine, 18);
  elf.writeBigUInt64LE(BigInt(PROGRAM_HEADERS_AT), 32);
  elf.writeUInt16LE(56, 54);
  elf.writeUInt16LE(2, 56);
  const noteAt = PROGRAM_HEADERS_AT + 2 * 56;
  [[1, SEGMENT_AT, contentBytes], [4, noteAt, 20]].forEach(([type, offset, sizeBytes], index) => {
    const at = PROGRAM_HEADERS_AT + index * 56;
    elf.writeUInt32LE(type!, at);
    for (const [field, value] of [[8, offset!], [24, 0x100000], [32, sizeBytes!], [40, sizeBytes!]] as const) elf.writeBigUInt64LE(BigInt(value), at + field);
  });
  for (const [index, word] of [4, 4, noteType].entries()) elf.writeUInt32LE(word, noteAt + index * 4);
  elf.write('Xen\0', noteAt + 12);
  elf.writeUInt32LE(0x100000, noteAt + 16);
  elf.write('Linux', SEGMENT_AT);
  return elf;
}

/** What a kernel's Makefile makes of its ELF file, by the compression's name there. */
export const KERNEL_COMPRESSIONS = {
  lz4: (elf: Buffer) => withSize(lz4Legacy(elf), elf.length),
  zstd: (elf: Buffer) => withSize(zstdCompressSync(elf), elf.length),
  gzip: (elf: Buffer) => gzipSync(elf),
  xz: (elf: Buffer) => withSize(xzOf(elf), elf.length),
} as const;

function withSize(bytes: Uint8Array, sizeBytes: number): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(sizeBytes);
  return Buffer.concat([bytes, size]);
}

function lz4Legacy(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = [Buffer.from([0x02, 0x21, 0x4c, 0x18])];
  for (let at = 0; at < bytes.length; at += LZ4_BLOCK_BYTES) {
    const block = compressSync(bytes.subarray(at, at + LZ4_BLOCK_BYTES));
    // Its first word is the size unpacked; the format has the packed one there.
    block.writeUInt32LE(block.length - 4);
    parts.push(block);
  }
  return Buffer.concat(parts);
}

/** One block that went through the filter for x86 code, which leaves bytes alone that are no calls. */
function xzOf(bytes: Buffer): Buffer {
  const head = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 1, 0, 0, 0, 0];
  const blockHeader = [2, 1, 0x04, 0, 0x21, 1, 0x1a, 0, 0, 0, 0, 0];
  const data = lzma2.compressSync(bytes);
  const check = Buffer.alloc(4);
  check.writeUInt32LE(crc32(bytes));
  return Buffer.concat([Buffer.from([...head, ...blockHeader]), data, Buffer.alloc(-data.length & 3), check]);
}

/** A bzImage whose compressed part is `payload`. */
export function makeBzImage(payload: Uint8Array, { is64Bit = true } = {}): Buffer {
  const file = Buffer.alloc(SETUP_BYTES + Math.ceil((0x400 + payload.length) / 16) * 16);
  file.writeUInt8(1, 0x1f1);
  file.writeUInt32LE((file.length - SETUP_BYTES) / 16, 0x1f4);
  file.writeUInt16LE(0xaa55, 0x1fe);
  file.writeUInt16LE(0x6aeb, 0x200);
  file.write('HdrS', 0x202);
  file.writeUInt16LE(0x020f, 0x206);
  file.writeUInt8(1, 0x211);
  file.writeUInt16LE(is64Bit ? 1 : 0, 0x236);
  file.writeUInt32LE(0x400, 0x248);
  file.writeUInt32LE(payload.length, 0x24c);
  file.set(payload, SETUP_BYTES + 0x400);
  return file;
}
