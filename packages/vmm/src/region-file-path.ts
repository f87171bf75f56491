import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { MachineConfig } from './config.ts';
import { sourcesStamp } from './interpreter-file.ts';

/** Of a file: enough to tell it from others. */
const BEGINNING_BYTES = 65_536;

/** Where regions are kept for machines with this kernel and this beginning of an initrd, and this version of what compiles them. */
export function regionFilePath(folder: string, { kernel, initrd }: Pick<MachineConfig, 'kernel' | 'initrd'>): string {
  const beginnings = [kernel, initrd ?? new Uint8Array()].map((file) => createHash('sha256').update(file.subarray(0, BEGINNING_BYTES)).digest('hex'));
  const name = createHash('sha256').update(JSON.stringify([kernel.length, beginnings, sourcesStamp()])).digest('hex');
  return join(folder, 'regions', name);
}
