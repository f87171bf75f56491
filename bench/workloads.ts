import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootable, compileWorkloads, type WorkloadBuild } from './builds.ts';
import { slowdownChart } from './chart.ts';
import { type GuestRunner, HANOK_RUNNER, hanokAfresh, QEMU_RUNNER, runGuest, type TimedLine } from './guest.ts';
import { chartGroups, type EngineResults, joinTurns, parseResults, printReport } from './report.ts';
import { missingForV86, V86_RUNNER } from './v86.ts';

const TIMEOUT_MS = 900_000;
/** A run of all workloads draws it anew. */
const CHART = fileURLToPath(new URL('../docs/speed.svg', import.meta.url));
/** The guest's clock may differ by this part from the host's over the whole run. */
const CLOCK_DEVIATION_MAX = 0.02;

/** The engines run one after another so many times: these machines have better and worse minutes. */
const TURNS = 2;
/** What Hanok keeps of a guest's code for later machines comes from so many runs before. */
const RUNS_BEFORE = 2;

/** `npm run bench -- workloads [ROUNDS] [NAME…]`: the same static program natively, in QEMU, in v86 (its i386 build) and in Hanok, which has nothing of earlier runs (`hanok-afresh`) or what they left. */
export async function benchWorkloads(given: readonly string[]): Promise<void> {
  const [rounds = '4', ...names] = given;
  if (!/^[1-9]\d*$/.test(rounds)) throw new Error(`"${rounds}" is no number of rounds; give one before the names`);
  const args = [`${Math.max(2, Math.ceil(Number(rounds) / TURNS))}`, ...names];
  const folder = await mkdtemp(join(tmpdir(), 'hanok-bench-'));
  try {
    const build = await bootable(folder, 'amd64', compileWorkloads(folder, 'amd64'), args);
    const i386 = await buildI386(folder, args);
    const afresh = hanokAfresh(join(folder, 'empty-cache'));
    const hanok: GuestRunner = { ...HANOK_RUNNER, environment: { HANOK_CACHE: join(folder, 'cache') } };
    for (let run = 0; run < RUNS_BEFORE; run++) await runIn(hanok, build);
    const turns: EngineResults[][] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const ofI386 = i386 ? [runNatively('native-i386', i386, args), await runIn(V86_RUNNER, i386)] : [];
      turns.push([runNatively('native', build, args), ...ofI386, await runIn(QEMU_RUNNER, build), await runIn(afresh, build), await runIn(hanok, build)]);
    }
    const results = joinTurns(turns);
    printReport(results);
    if (names.length === 0) await writeFile(CHART, slowdownChart('Times native speed (1 vCPU, geometric means; less is better)', chartGroups(results)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runNatively(name: string, { program, busybox }: WorkloadBuild, args: readonly string[]): EngineResults {
  const text = execFileSync(program, args, { env: { ...process.env, BUSYBOX: busybox }, encoding: 'utf8' });
  return { name, isNative: true, workloads: parseResults(name, text.split('\n')) };
}

async function runIn(runner: GuestRunner, { files }: WorkloadBuild): Promise<EngineResults> {
  const lines = await runGuest(runner, files, (text) => text.startsWith('workloads end') || text.startsWith('failed'), TIMEOUT_MS);
  checkClock(runner.name, lines);
  return { name: runner.name, workloads: parseResults(runner.name, lines.map(({ text }) => text)) };
}

/** The same sources for a 32-bit processor, which v86 is; undefined, with a notice, where something for it is missing. */
async function buildI386(folder: string, args: readonly string[]): Promise<WorkloadBuild | undefined> {
  const missing = missingForV86() ?? (canCompileI386(folder) ? undefined : 'a compiler for i386: install gcc-multilib');
  if (missing === undefined) return bootable(folder, 'i386', compileWorkloads(folder, 'i386'), args);
  process.stderr.write(`without v86: this computer lacks ${missing}\n`);
  return undefined;
}

function canCompileI386(folder: string): boolean {
  try {
    compileWorkloads(folder, 'i386');
    return true;
  } catch {
    return false;
  }
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
