import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BootImage, buildImage, ImageError } from '@hanok/images';
import { createMachine } from '@hanok/vmm';

const CLI = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

/** An image, made where it is not in the cache; undefined, and the test skipped, where no mirror can be reached. */
export async function imageFor(t: TestContext, name = 'tiny', packages: readonly string[] = []): Promise<BootImage | undefined> {
  try {
    return await buildImage(name, { createMachine, packages });
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

/** Starts a command in an image as a user does; its streams are pipes. It ends with the test. */
function startInImage(t: TestContext, image: string, flags: readonly string[], command: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [CLI, 'run', ...flags, image, '--', ...command], { stdio: 'pipe' });
  child.stdin.on('error', () => {}); // A guest that ends early does not read all of it.
  t.after(() => child.kill());
  return child;
}

/** Runs a command in an image to its end: its streams and its exit status. */
export async function runInImage(t: TestContext, image: string, flags: readonly string[], command: readonly string[], input: Uint8Array = new Uint8Array(0)): Promise<Ran> {
  const child = startInImage(t, image, flags, command);
  child.stdin.end(input);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { output, errors, status: child.exitCode };
}

/** What a kernel prints when something is wrong with its processors, clocks or memory. */
const COMPLAINTS = /warning:|oops|bug:|\bstall|unstable|lockup|skew|call trace|firmware bug|unchecked msr|failed to|timed out/i;

export const complaints = (messages: readonly string[]) => messages.filter((line) => COMPLAINTS.test(line) && !/module verification failed/.test(line));
