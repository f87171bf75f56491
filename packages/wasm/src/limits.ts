import type { ByteBuffer } from './byte-buffer.ts';
import { VALUE_TYPE_CODE } from './value-types.ts';

/** Size of a linear memory in pages of 64 KiB. A shared memory needs `maxPages`. */
export interface MemoryLimits {
  minPages: number;
  maxPages?: number;
  shared?: boolean;
}

/** Size of a table in entries. */
export interface TableLimits {
  min: number;
  max?: number;
}

/** Writes the type of a memory (core specification, section 5.3.10; threads proposal for `shared`). */
export function writeMemoryLimits(body: ByteBuffer, { minPages, maxPages, shared = false }: MemoryLimits): void {
  if (shared && maxPages === undefined) throw new Error('a shared memory needs a maximum size; pass maxPages');
  writeLimits(body, shared ? 2 : 0, minPages, maxPages);
}

/** Writes the type of a table of function references (core specification, section 5.3.11). */
export function writeTableLimits(body: ByteBuffer, { min, max }: TableLimits): void {
  writeLimits(body.u8(VALUE_TYPE_CODE.funcref), 0, min, max);
}

function writeLimits(body: ByteBuffer, flags: number, min: number, max: number | undefined): void {
  if (max === undefined) body.u8(flags).u32(min);
  else body.u8(flags | 1).u32(min).u32(max);
}
