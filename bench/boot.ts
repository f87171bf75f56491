import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTiny, commandArchive } from '@hanok/images';
import { type GuestFiles, type GuestRunner, HANOK_RUNNER, QEMU_RUNNER, runGuest } from './guest.ts';
import { formatTable, median } from './statistics.ts';

const MEMORY_MIB = 256;
const ROUNDS = 5;
const TIMEOUT_MS = 120_000;
/** The guest's own program prints it as its first act, where the prompt would be. */
const MARKER = 'hanok-bench: the system is up';
const isUp = (text: string) => text.includes(MARKER);
const IDLE_MS = 3000;

/** `npm run bench -- boot`: from the start of the process to the first program of the user, against QEMU's code generator. */
export async function benchBoot(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hanok-bench-'));
  try {
    const files = await bootFiles(folder);
    const times = new Map<GuestRunner, number[]>([[HANOK_RUNNER, []], [QEMU_RUNNER, []]]);
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [runner, measured] of times) {
        const lines = await runGuest(runner, files, isUp, TIMEOUT_MS);
        // The first round brings the files into the host's page cache.
        if (round > 0) measured.push(lines.at(-1)!.atMs);
      }
    }
    const memory = new Map<GuestRunner, number>();
    for (const runner of times.keys()) memory.set(runner, await idleMemoryMiB(runner, files));
    const reference = median(times.get(QEMU_RUNNER)!);
    const rows = [...times].map(([runner, ms]) => {
      const middle = median(ms);
      return [runner.name, `${(middle / 1000).toFixed(2)} s`, `${(Math.min(...ms) / 1000).toFixed(2)}-${(Math.max(...ms) / 1000).toFixed(2)}`, (middle / reference).toFixed(2), `${memory.get(runner)} MiB`];
    });
    process.stdout.write(`tiny, ${MEMORY_MIB} MiB, 1 vCPU, process start to the first command, median of ${ROUNDS}\n`);
    process.stdout.write(formatTable([['', 'median', 'range', 'x qemu', 'RSS idle'], ...rows]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function bootFiles(folder: string): Promise<GuestFiles> {
  const image = await buildTiny({ onNotice: (text) => process.stderr.write(`${text}\n`) });
  const initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat([await readFile(image.initrd), commandArchive(`echo '${MARKER}'\nexec sleep 1000\n`)]));
  return { kernel: image.kernel, initrd, commandLine: 'console=ttyS0 quiet', memoryMiB: MEMORY_MIB };
}

/** Resident memory of all processes that run an idle guest. */
async function idleMemoryMiB(runner: GuestRunner, files: GuestFiles): Promise<number> {
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
