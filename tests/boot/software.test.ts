import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { imageFor, runInImage } from './guest.ts';

/** Making the image and running its software takes minutes and the network, so it is done where that is asked for. */
const SKIP = !process.env['HANOK_BOOT_SOFTWARE'] && 'only with HANOK_BOOT_SOFTWARE=1';
const TIMEOUT_MS = 3_600_000;
const PACKAGES = ['gcc', 'git', 'libc6-dev', 'libpython3.11-testsuite', 'nodejs', 'openssl', 'perl', 'python3', 'sqlite3'];
const FOLDER = new URL('./software/', import.meta.url);
const END_OF_FILE = 'END-OF-FILE';
/** Begins the line in front of what a command prints. */
const MARK = '-----8<----- ';

/** Floating point that no optimization may fold, contract or move over a change of the rounding mode. */
const COMPILE = 'gcc -fwrapv -frounding-math -ffp-contract=off -o program';
const PYTHON_TESTS = [
  ...['array', 'binascii', 'bz2', 'cmath', 'complex', 'ctypes', 'decimal', 'dict', 'float', 'fork1', 'fractions', 'gc', 'hmac', 'int', 'lzma', 'math', 'mmap', 'pow'],
  ...['random', 'set', 'sort', 'strtod', 'struct', 'thread', 'zlib'],
].map((name) => `test_${name}`);

interface Software {
  readonly name: string;
  readonly command: string;
  /** What it prints; or the name of the file that says so, which is what the same program printed on a processor without AVX and FMA. */
  readonly expected: RegExp | string;
}

const SOFTWARE: readonly Software[] = [
  ...['-O0', '-O2', '-O3 -msse4.2 -mbmi2'].flatMap((flags) => ['integers', 'floats', 'signals'].map((name) => ({ name: `gcc ${flags} ${name}.c`, command: `${COMPILE} ${flags} ${name}.c -lm && ./program`, expected: `${name}.expected` }))),
  { name: 'node', command: 'node benchmark.cjs', expected: 'benchmark.expected' },
  { name: 'perl', command: 'perl script.pl', expected: 'script.expected' },
  { name: 'sqlite3', command: 'sqlite3 < database.sql', expected: 'database.expected' },
  { name: 'git', command: 'sh history.sh', expected: 'history.expected' },
  { name: 'openssl', command: 'sh digests.sh 2>/dev/null', expected: 'digests.expected' },
  { name: 'python3', command: `python3 -m test --timeout 1800 ${PYTHON_TESTS.join(' ')}`, expected: /^Tests result: SUCCESS$/m },
  { name: 'systemd afterwards', command: 'systemctl --failed --no-legend --plain; dmesg --kernel --level emerg,alert,crit,err', expected: /^$/ },
];

/** The script that a shell in the guest reads: the files of the folder, then every command behind a line with its name. */
async function scriptOf(names: readonly string[]): Promise<string> {
  const files = await Promise.all(names.map(async (name) => `cat > ${name} <<'${END_OF_FILE}'\n${await readFile(new URL(name, FOLDER), 'utf8')}${END_OF_FILE}\n`));
  const commands = SOFTWARE.map(({ name, command }) => `echo '${MARK}${name}'\n( ${command} ) 2>&1 < /dev/null\n`);
  return ['set -u\nexport HOME=/tmp/software LC_ALL=C.UTF-8\nmkdir $HOME && cd $HOME || exit 1\n', ...files, ...commands].join('');
}

/** What was printed behind the line of each name. */
function answersIn(output: string): Map<string, string> {
  const sections = output.split(MARK).slice(1);
  return new Map(sections.map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n') + 1)]));
}

test('the software of a Debian gives right results', { timeout: TIMEOUT_MS, skip: SKIP }, async (t) => {
  if (!(await imageFor(t, 'debian', PACKAGES))) return;
  const names = await readdir(FOLDER);
  const script = await scriptOf(names.filter((name) => !name.endsWith('.expected')));
  const { output, errors, status } = await runInImage(t, 'debian', ['--memory', '2G', '--packages', PACKAGES.join(',')], ['sh'], Buffer.from(script));
  assert.equal(status, 0, errors);
  const answers = answersIn(output);
  for (const { name, expected } of SOFTWARE)
    await t.test(name, async () => {
      const answer = answers.get(name);
      assert.ok(answer !== undefined, `${name} was not reached`);
      if (expected instanceof RegExp) assert.match(answer, expected);
      else assert.equal(answer, await readFile(new URL(expected, FOLDER), 'utf8'));
    });
});
