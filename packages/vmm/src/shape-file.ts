import { readFileSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { type ShapeTable, shapeTableOf } from '@hanok/emulator/shared';
import { markUsed } from './old-files.ts';
import { replaceFile } from './replace-file.ts';

const HEADER_BYTES = 4;
/** A file is written anew when there is so much more to keep than in it. */
const GROWTH = 1.02;

/**
 * Fills the tables of a machine's vCPUs, if they are empty, with the instruction shapes that a file keeps, behind their CRC-32: the
 * file of the interpreter whose handlers they name. One that is not there, or damaged, is none.
 */
export function restoreShapes(path: string, memory: WebAssembly.Memory, vcpuCount: number): void {
  const saved = readShapes(path);
  if (!saved) return;
  for (let vcpu = 0; vcpu < vcpuCount; vcpu++) {
    const table = shapeTableOf(memory, vcpu);
    if (table.shapeCount === 0) table.restore(saved);
  }
}

function readShapes(path: string): Uint8Array | undefined {
  try {
    const file = readFileSync(path);
    const saved = file.subarray(HEADER_BYTES);
    if (file.readUInt32LE(0) !== crc32(saved)) return undefined;
    markUsed(path);
    return saved;
  } catch {
    return undefined;
  }
}

/** Keeps the shapes that a vCPU knows, if there are many new ones. */
export function keepShapes(path: string, table: ShapeTable): void {
  const saved = table.save();
  const keptBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (table.shapeCount === 0 || saved.length < keptBytes * GROWTH) return;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(crc32(saved));
  replaceFile(path, Buffer.concat([header, saved]));
}
