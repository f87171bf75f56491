import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs the checks, then every test. `--full` gives random tests and fuzzers their long counts, and the oracle a new seed. */
const root = fileURLToPath(new URL('..', import.meta.url));
const full = process.argv.includes('--full');
const newSeed = () => String(Date.now() % 2 ** 32);
const FULL: Readonly<Record<string, string>> = {
  HANOK_ORACLE_CASES: '1000',
  HANOK_PROGRAMS: '20000',
  HANOK_X87_CASES: '4000',
  HANOK_WALKS: '200000',
  HANOK_WALK_SEED: newSeed(),
  HANOK_FUZZ_OPERATIONS: '3000000',
  HANOK_BOOT_VCPUS: '1,2,4,8',
  HANOK_BOOT_OTHER_VCPUS: '1,4',
  HANOK_RESULTS_IMAGES: 'tiny,tiny:i386',
  HANOK_BOOT_DEBIAN: 'debian,debian:trixie',
  HANOK_BOOT_SOFTWARE: '1',
  HANOK_HASHED_MB: '100',
  HANOK_ORACLE_SEED: newSeed(),
  HANOK_DISASSEMBLER_SEED: newSeed(),
  HANOK_X87_SEED: newSeed(),
};
// V8 would take four threads for its optimizer in each process; on few processors they take the tests' own time.
const nodeOptions = `${process.env['NODE_OPTIONS'] ?? ''} --v8-pool-size=1`.trim();
const env = { ...process.env, ...(full ? FULL : {}), NODE_OPTIONS: nodeOptions };
const run = (args: readonly string[]) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env }).status ?? 1;
const checks = run(['tools/check.ts']);
const tests = run(['--test', '--test-concurrency=2', 'packages/**/*.test.ts', 'tests/**/*.test.ts']);
process.exitCode = checks || tests;
