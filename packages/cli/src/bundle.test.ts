import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';

const BUNDLE = new URL('../../../bin/bundle.js', import.meta.url).href;
const root = mkdtempSync(join(tmpdir(), 'hanok-bundle-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** A project of its own: a command that starts a thread, which says what a file beside its source says. */
const SOURCES = {
  'cli/src/main.ts': "import { Worker } from 'node:worker_threads';\nimport { program } from '../../vmm/src/program.ts';\nnew Worker(program).on('message', (text: string) => console.log('main heard', text));\n",
  'vmm/src/program.ts': "export const program: URL = new URL('./vcpu-worker.ts', import.meta.url);\n",
  'vmm/src/vcpu-worker.ts': "import { readFileSync } from 'node:fs';\nimport { parentPort } from 'node:worker_threads';\nparentPort!.postMessage(readFileSync(new URL('./words.txt', import.meta.url), 'utf8'));\n",
  'vmm/src/compiler-worker.ts': 'export {};\n',
  'vmm/src/profile/sampler-worker.ts': 'export {};\n',
  'vmm/src/words.txt': 'the first words',
};

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, 'packages', path)), { recursive: true });
  writeFileSync(join(root, 'packages', path), text);
}

const bundle = () => execFileSync(process.execPath, ['-e', `import(${JSON.stringify(BUNDLE)}).then(async ({ bundledProgram }) => console.log(await bundledProgram(${JSON.stringify(root)})))`], { encoding: 'utf8' }).trim();
const run = (program: string) => execFileSync(process.execPath, [program], { encoding: 'utf8' }).trim();

test('a bundle runs like its sources, is used again as long as they are the same, and is made anew for others', () => {
  for (const [path, text] of Object.entries(SOURCES)) write(path, text);
  const first = bundle();
  assert.match(first, /main\.js$/);
  assert.equal(run(first), 'main heard the first words');
  assert.equal(bundle(), first);
  write('cli/src/main.ts', SOURCES['cli/src/main.ts'].replace("'main heard'", "'another main heard'"));
  const second = bundle();
  assert.notEqual(second, first);
  assert.equal(run(second), 'another main heard the first words');
  assert.equal(run(first), 'main heard the first words', 'a machine that runs still has its own');
});

test('of many versions the bundles stay that were used last', () => {
  const programs = Array.from({ length: 10 }, (_, index) => {
    write('vmm/src/words.txt', 'x'.repeat(index + 1));
    return bundle();
  });
  const left = readdirSync(dirname(dirname(programs[0]!)));
  assert.equal(left.length, 8);
  assert.ok(left.includes(programs.at(-1)!.split(/[\\/]/).at(-2)!));
});
