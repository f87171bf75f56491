import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs the checks, then every test. `--full` gives random tests and fuzzers their long counts, and the oracle a new seed. */
const root = fileURLToPath(new URL('..', import.meta.url));
const full = process.argv.includes('--full');
const run = (args: readonly string[]) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env }).status ?? 1;
const env = full ? { ...process.env, HANOK_ORACLE_CASES: '1000', HANOK_PROGRAMS: '20000', HANOK_X87_CASES: '4000', HANOK_FUZZ_OPERATIONS: '3000000', HANOK_BOOT_VCPUS: '1,2,4,8', HANOK_BOOT_OTHER_VCPUS: '1,4', HANOK_RESULTS_IMAGES: 'tiny,tiny:i386', HANOK_BOOT_DEBIAN: 'debian,debian:trixie', HANOK_BOOT_SOFTWARE: '1', HANOK_HASHED_MB: '100', HANOK_ORACLE_SEED: String(Date.now() % 2 ** 32), HANOK_DISASSEMBLER_SEED: String(Date.now() % 2 ** 32), HANOK_X87_SEED: String(Date.now() % 2 ** 32) } : process.env;

const checks = run(['tools/check.ts']);
const tests = run(['--test', '--test-concurrency=2', 'packages/**/*.test.ts', 'tests/**/*.test.ts']);
process.exitCode = checks || tests;
