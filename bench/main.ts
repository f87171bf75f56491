import { benchBoot } from './boot.ts';
import { benchWorkloads } from './workloads.ts';

const BENCHMARKS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = { boot: benchBoot, workloads: benchWorkloads };

const [name, ...args] = process.argv.slice(2);
const bench = name === undefined ? undefined : BENCHMARKS[name];
if (bench) await bench(args);
else {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [ARGUMENTS]; see bench/README.md\n`);
  process.exitCode = 2;
}
