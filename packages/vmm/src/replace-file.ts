import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';

/** Writes a file of a cache as a whole, or not at all where it cannot be written. */
export function replaceFile(path: string, content: Uint8Array): void {
  try {
    const temporary = `${path}-${randomBytes(6).toString('hex')}`;
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch {
    // What cannot be kept is made again, nothing else.
  }
}
