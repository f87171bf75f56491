import { writeCpio } from '../cpio.ts';

/**
 * A second initramfs archive, to append to the first (Linux unpacks one after the other): it makes the image `tiny` run
 * `script` with sh instead of a shell for a person, and power off.
 */
export function commandArchive(script: string): Uint8Array {
  return writeCpio([{ path: 'run-command', type: 'file', mode: 0o755, content: script }]);
}
