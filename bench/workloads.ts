import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildTiny, commandArchive, readCpioFile, writeCpio } from '@hanok/images';
import { type GuestFiles, HANOK_RUNNER, QEMU_RUNNER, runGuest, type TimedLine } from './guest.ts';
import { slowdownChart } from './chart.ts';
import { chartGroups, type EngineResults, parseResults, printReport } from './report.ts';

const MEMORY_MIB = 512;
const TIMEOUT_MS = 900_000;
const SOURCES = fileURLToPath(new URL('./workloads', import.meta.url));
/** A run of all workloads draws it anew. */
const CHART = fileURLToPath(new URL('../docs/speed.svg', import.meta.url));
/** The guest's clock may differ by this part from the host's over the whole run. */
const CLOCK_DEVIATION_MAX = 0.02;

/** `npm run bench -- workloads [ROUNDS] [NAME…]`: the same static program natively, in Hanok and in QEMU. */
export async function benchWorkloads(args: readonly string[]): Promise<void> {
  const [rounds = '4', ...names] = args;
  const folder = await mkdtemp(join(tmpdir(), 'hanok-bench-'));
  try {
    const program = await compile(folder);
    const image = await buildTiny({ onNotice: (text) => process.stderr.write(`${text}\n`) });
    const tiny = await readFile(image.initrd);
    const initrd = join(folder, 'initrd');
    const workloads = writeCpio([{ path: 'workloads', type: 'file', mode: 0o755, content: await readFile(program) }]);
    await writeFile(initrd, Buffer.concat([tiny, workloads, commandArchive(`exec /workloads ${rounds} ${names.join(' ')}\n`)]));
    const files: GuestFiles = { kernel: image.kernel, initrd, commandLine: 'console=ttyS0 quiet', memoryMiB: MEMORY_MIB };
    const busybox = join(folder, 'busybox');
    await writeFile(busybox, readCpioFile(tiny, 'bin/busybox'), { mode: 0o755 });
    const results: EngineResults[] = [{ name: 'native', workloads: runNatively(program, busybox, rounds, names) }];
    for (const runner of [QEMU_RUNNER, HANOK_RUNNER]) {
      const lines = await runGuest(runner, files, (text) => text.startsWith('workloads end') || text.startsWith('failed'), TIMEOUT_MS);
      checkClock(runner.name, lines);
      results.push({ name: runner.name, workloads: parseResults(runner.name, lines.map(({ text }) => text)) });
    }
    printReport(results);
    if (names.length === 0) await writeFile(CHART, slowdownChart('Times native speed (1 vCPU, geometric means; less is better)', chartGroups(results)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compile(folder: string): Promise<string> {
  const program = join(folder, 'workloads');
  const sources = (await readdir(SOURCES)).filter((name) => name.endsWith('.c')).map((name) => join(SOURCES, name));
  execFileSync('gcc', ['-O2', '-static', '-o', program, ...sources, '-lm'], { stdio: 'inherit' });
  return program;
}

function runNatively(program: string, busybox: string, rounds: string, names: readonly string[]) {
  const text = execFileSync(program, [rounds, ...names], { env: { ...process.env, BUSYBOX: busybox }, encoding: 'utf8' });
  return parseResults('native', text.split('\n'));
}

/** Compares the time between the first and the last line as the guest and as the host see it. */
function checkClock(name: string, lines: readonly TimedLine[]): void {
  const at = (kind: string) => lines.find(({ text }) => text.includes(`workloads ${kind} `));
  const [start, end] = [at('start'), at('end')];
  if (!start || !end) throw new Error(`${name}: ${lines.at(-1)?.text}`);
  const guestMs = (nanoseconds(end.text) - nanoseconds(start.text)) / 1e6;
  const hostMs = end.atMs - start.atMs;
  process.stdout.write(`${name}: ${(guestMs / 1000).toFixed(1)} s in the guest, ${(hostMs / 1000).toFixed(1)} s outside\n`);
  if (Math.abs(guestMs / hostMs - 1) > CLOCK_DEVIATION_MAX && Math.abs(guestMs - hostMs) > 500) throw new Error(`${name}: the guest's clock is wrong`);
}

/** Firmware may have left control sequences before the first line. */
const nanoseconds = (text: string) => Number(/\d+\s*$/.exec(text)?.[0]);
