import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildImage, commandArchive } from '@hanok/images';
import { createMachine } from '@hanok/vmm';
import { type GuestFiles, type GuestRunner, hanokAfresh, HANOK_RUNNER, QEMU_RUNNER, runGuest } from './guest.ts';
import { formatTable, median } from './statistics.ts';

const TIMEOUT_MS = 600_000;
const IDLE_MS = 3000;
/** What Hanok keeps of a kernel for later boots is nearly complete after so many and the first round. */
const BOOTS_BEFORE = 3;

/** How an image is compared. */
interface BootKind {
  readonly rounds: number;
  /** What counts as its end. */
  readonly end: string;
  /** What the guest prints there. */
  readonly marker: RegExp;
  files(folder: string): Promise<GuestFiles>;
}

/** The guest's own program prints it as its first act, where the prompt would be. */
const MARKER = 'hanok-bench: the system is up';

const KINDS: Readonly<Record<string, BootKind>> = {
  tiny: { rounds: 5, end: 'the first command', marker: new RegExp(MARKER), files: tinyFiles },
  debian: { rounds: 3, end: 'multi-user', marker: /Reached target .*Multi-User System/, files: debianFiles },
};

const buildOptions = { onNotice: (text: string) => process.stderr.write(`${text}\n`), createMachine };

/** `npm run bench -- boot [IMAGE]`: from the start of the process to where the system is up, against QEMU's code generator. */
export async function benchBoot([name = 'tiny']: readonly string[]): Promise<void> {
  const kind = KINDS[name];
  if (!kind) throw new Error(`no image ${name} to compare; there are ${Object.keys(KINDS).join(', ')}`);
  const folder = await mkdtemp(join(tmpdir(), 'hanok-bench-'));
  try {
    await compare(name, kind, await kind.files(folder), join(folder, 'cache'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(name: string, { rounds, end, marker }: BootKind, files: GuestFiles, emptyCache: string): Promise<void> {
  const isUp = (text: string) => marker.test(text);
  const times = new Map<GuestRunner, number[]>([HANOK_RUNNER, hanokAfresh(emptyCache), QEMU_RUNNER].map((runner) => [runner, []]));
  for (let boot = 0; boot < BOOTS_BEFORE; boot++) await runGuest(HANOK_RUNNER, files, isUp, TIMEOUT_MS);
  for (let round = 0; round <= rounds; round++) {
    for (const [runner, measured] of times) {
      const lines = await runGuest(runner, files, isUp, TIMEOUT_MS);
      // The first round brings the files into the host's page cache.
      if (round > 0) measured.push(lines.at(-1)!.atMs);
    }
  }
  const memory = new Map<GuestRunner, number>();
  for (const runner of times.keys()) memory.set(runner, await idleMemoryMiB(runner, files, isUp));
  const reference = median(times.get(QEMU_RUNNER)!);
  const rows = [...times].map(([runner, ms]) => {
    const middle = median(ms);
    return [runner.name, `${(middle / 1000).toFixed(2)} s`, `${(Math.min(...ms) / 1000).toFixed(2)}-${(Math.max(...ms) / 1000).toFixed(2)}`, (middle / reference).toFixed(2), `${memory.get(runner)} MiB`];
  });
  process.stdout.write(`${name}, ${files.memoryMiB} MiB, 1 vCPU, process start to ${end}, median of ${rounds}\n`);
  process.stdout.write(formatTable([['', 'median', 'range', 'x qemu', 'RSS idle'], ...rows]));
}

async function tinyFiles(folder: string): Promise<GuestFiles> {
  const image = await buildImage('tiny', buildOptions);
  const initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat([await readFile(image.initrd), commandArchive(`echo '${MARKER}'\nexec sleep 1000\n`)]));
  return { kernel: image.kernel, initrd, commandLine: image.commandLine, memoryMiB: 256 };
}

/** The kernel parameters are those of `hanok run debian`, for QEMU too. */
async function debianFiles(): Promise<GuestFiles> {
  const { kernel, initrd, commandLine, disk } = await buildImage('debian', buildOptions);
  return { kernel, initrd, commandLine, disk, memoryMiB: 1024 };
}

/** Resident memory of all processes that run an idle guest. */
async function idleMemoryMiB(runner: GuestRunner, files: GuestFiles, isUp: (text: string) => boolean): Promise<number> {
  let bytes = 0;
  await runGuest(runner, files, isUp, TIMEOUT_MS, async (pid) => {
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    bytes = await residentBytes(pid);
  });
  return Math.round(bytes / 2 ** 20);
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const own = Number(/VmRSS:\s*(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean);
  const theirs = await Promise.all(children.map((child) => residentBytes(Number(child))));
  return theirs.reduce((sum, bytes) => sum + bytes, own);
}
