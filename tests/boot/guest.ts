import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildTiny, ImageError, type TinyImage } from '@hanok/images';

const CLI = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

/** The image `tiny`, made where it is not in the cache; undefined, and the test skipped, where no mirror can be reached. */
export async function tinyImage(t: TestContext): Promise<TinyImage | undefined> {
  try {
    return await buildTiny();
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    t.skip(error.message);
    return undefined;
  }
}

interface Ran {
  readonly output: string;
  readonly errors: string;
  readonly status: number | null;
}

/** Runs a command in `tiny`, as a user does: its streams and its exit status. */
export async function runInGuest(flags: readonly string[], command: readonly string[], input?: Uint8Array): Promise<Ran> {
  return await runInImage('tiny', flags, command, input);
}

export async function runInImage(image: string, flags: readonly string[], command: readonly string[], input: Uint8Array = new Uint8Array(0)): Promise<Ran> {
  const child = spawn(process.execPath, [CLI, 'run', ...flags, image, '--', ...command], { stdio: 'pipe' });
  child.stdin.on('error', () => {}); // A guest that ends early does not read all of it.
  child.stdin.end(input);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { output, errors, status: child.exitCode };
}
