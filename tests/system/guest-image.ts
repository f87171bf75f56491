import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const GUESTS = fileURLToPath(new URL('guests', import.meta.url));

/** Where a guest's image is loaded and starts, in real mode with CS 0. */
export const IMAGE_ADDRESS = 0x1000;
/** What fits below the harness's variables, and into 64 KiB of ROM beside its loader. */
export const IMAGE_BYTES_MAX = 0xe000;

/** Version of the installed assembler, or undefined. */
export function assemblerVersion(): string | undefined {
  const { status, stdout } = spawnSync('as', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

/** Names of the guests: one `.S` file each. */
export function guestNames(): string[] {
  return readdirSync(GUESTS).filter((file) => file.endsWith('.S')).map((file) => file.slice(0, -2)).sort();
}

function run(command: string, args: readonly string[], input?: string): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...(input === undefined ? {} : { input }) });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

/** Checks report the line they stand in: each line that begins with a macro's name is told its number. */
function numberLines(source: string): string {
  return source.split('\n').map((line, index) => (/^\s+[A-Z][A-Z_0-9]+\b/.test(line) ? `.set LINE, ${index + 1}; ${line}` : line)).join('\n');
}

/** The flat image of a guest. */
export function assembleGuest(name: string): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'hanok-guest-'));
  try {
    const [object, binary] = [join(directory, 'guest.o'), join(directory, 'guest.bin')];
    const source = join(directory, `${name}.S`);
    writeFileSync(source, numberLines(readFileSync(join(GUESTS, `${name}.S`), 'utf8')));
    run('as', ['--64', '-I', GUESTS, '-o', object, source]);
    run('ld', ['-m', 'elf_x86_64', '-Ttext', `0x${IMAGE_ADDRESS.toString(16)}`, '--oformat', 'binary', '-e', '0', '-o', binary, object]);
    const image = new Uint8Array(readFileSync(binary));
    if (image.length > IMAGE_BYTES_MAX) throw new Error(`guest ${name} has ${image.length} bytes; split it below ${IMAGE_BYTES_MAX}`);
    return image;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
