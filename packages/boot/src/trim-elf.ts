import { BootError } from './boot-error.ts';
import { elfSegments, HEADER_SIZE_BYTES, isElf, PROGRAM_HEADER_SIZE_BYTES, PT_LOAD, PT_NOTE } from './elf.ts';
import type { ElfSegment } from './elf.ts';
import { pvhEntry } from './pvh.ts';

/** Copies into shared memory are slow from other places. */
const ALIGNMENT_BYTES = 16;
const align = (offset: number): number => Math.ceil(offset / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

/**
 * An x86-64 ELF kernel with no more in it than what PVH loads: program headers, notes, and what is loaded up to the zeros at
 * its end, which a loader makes itself. Undefined for a file that does not boot through PVH.
 */
export function trimPvhKernel(file: Uint8Array): Uint8Array | undefined {
  const segments = pvhSegments(file);
  if (!segments) return undefined;
  const kept = [...segments.entries()].filter(([, { type }]) => type === PT_LOAD || type === PT_NOTE);
  const tableEnd = align(HEADER_SIZE_BYTES + kept.length * PROGRAM_HEADER_SIZE_BYTES);
  // Segments that lie over each other in the file could be many times its size.
  if (kept.reduce((size, [, { bytes }]) => size + align(bytes.length), tableEnd) > file.length) return file;

  const parts = kept.map(([, { type, bytes }]) => (type === PT_LOAD ? withoutTrailingZeros(bytes) : bytes));
  const trimmed = new Uint8Array(parts.reduce((size, part) => size + align(part.length), tableEnd));
  const source = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const data = new DataView(trimmed.buffer);
  trimmed.set(file.subarray(0, HEADER_SIZE_BYTES));
  data.setBigUint64(32, BigInt(HEADER_SIZE_BYTES), true); // e_phoff
  data.setBigUint64(40, 0n, true); // e_shoff
  data.setUint16(54, PROGRAM_HEADER_SIZE_BYTES, true); // e_phentsize
  data.setUint16(56, kept.length, true); // e_phnum
  trimmed.fill(0, 58, HEADER_SIZE_BYTES); // e_shentsize, e_shnum, e_shstrndx
  let end = tableEnd;
  kept.forEach(([index, { type }], place) => {
    const from = Number(source.getBigUint64(32, true)) + index * source.getUint16(54, true);
    const at = HEADER_SIZE_BYTES + place * PROGRAM_HEADER_SIZE_BYTES;
    const part = parts[place]!;
    trimmed.set(file.subarray(from, from + PROGRAM_HEADER_SIZE_BYTES), at);
    data.setBigUint64(at + 8, BigInt(end), true); // p_offset
    data.setBigUint64(at + 32, BigInt(part.length), true); // p_filesz
    if (type === PT_LOAD) data.setBigUint64(at + 48, 1n, true); // p_align: no longer whole pages of the file
    trimmed.set(part, end);
    end += align(part.length);
  });
  return trimmed;
}

function pvhSegments(file: Uint8Array): ElfSegment[] | undefined {
  if (!isElf(file)) return undefined;
  try {
    const segments = elfSegments(file);
    return pvhEntry(segments) === undefined ? undefined : segments;
  } catch (error) {
    if (error instanceof BootError) return undefined;
    throw error;
  }
}

function withoutTrailingZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}
