import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { checkSources } from './tidy.ts';

/** Type-checks everything, the portable packages once more without Node's types, then lints and runs the project's own rules. */
const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
let failures = 0;
for (const project of ['tsconfig.json', 'tsconfig.portable.json']) {
  const { status } = spawnSync(process.execPath, [compiler, '-p', project], { cwd: root, stdio: 'inherit' });
  if (status !== 0) failures++;
}
const linter = fileURLToPath(new URL('../node_modules/@biomejs/biome/bin/biome', import.meta.url));
if (spawnSync(process.execPath, [linter, 'lint', '--error-on-warnings', root], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0) failures++;
for (const complaint of checkSources(root)) {
  process.stdout.write(`${complaint}\n`);
  failures++;
}
process.exitCode = failures === 0 ? 0 : 1;
