import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { sourcesStamp } from './interpreter-file.ts';

/** Of a kernel: enough to tell it from others. */
const KERNEL_BYTES = 65_536;

/** Where regions are kept for machines with this kernel, and this version of what compiles them. */
export function regionFilePath(folder: string, kernel: Uint8Array): string {
  const beginning = createHash('sha256').update(kernel.subarray(0, KERNEL_BYTES)).digest('hex');
  const name = createHash('sha256').update(JSON.stringify([kernel.length, beginning, sourcesStamp()])).digest('hex');
  return join(folder, 'regions', name);
}
