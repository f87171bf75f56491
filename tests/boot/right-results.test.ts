import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readCpioFile } from '@hanok/images';
import { imageFor, runInImage } from './guest.ts';

/** Megabytes that go through the guest's console and its sha256sum. */
const HASHED_MB = Number(process.env['HANOK_HASHED_MB'] ?? '10');
/** Whose busybox does its work in a machine and here. */
const IMAGES = (process.env['HANOK_RESULTS_IMAGES'] ?? 'tiny').split(',');
const SEED = Number(process.env['HANOK_RESULTS_SEED'] ?? '1');

/** Pseudo-random bytes, the same for the same seed (xorshift32). */
function randomBytes(lengthBytes: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  let x = seed;
  for (let index = 0; index < words.length; index++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[index] = x;
  }
  return Buffer.from(words.buffer).subarray(0, lengthBytes);
}

/** Lines of numbers and words, for tools that want text. */
function randomText(lineCount: number, seed: number): string {
  const bytes = randomBytes(lineCount * 8, seed);
  const words = ['yard', 'roof', 'room', 'stone', 'paper', 'door', 'garden', 'kitchen'];
  return Array.from({ length: lineCount }, (_, line) => `${bytes.readUInt32LE(line * 8) % 100000} ${words[bytes[line * 8 + 4]! & 7]} ${words[bytes[line * 8 + 5]! & 7]}\n`).join('');
}

test(`sha256sum of ${HASHED_MB} MB, HANOK_RESULTS_SEED=${SEED}`, { timeout: 600_000 }, async (t) => {
  if (!(await imageFor(t))) return;
  const bytes = randomBytes(HASHED_MB * 1_000_000, SEED);
  const { output, errors, status } = await runInImage(t, 'tiny', ['--memory', '512M'], ['sha256sum'], bytes);
  assert.equal(status, 0, errors);
  assert.equal(output, `${createHash('sha256').update(bytes).digest('hex')}  -\n`);
});

/** Reads /tmp's `text` in the guest, a folder's on the host; `$BB` is busybox. */
const TOOLS: Readonly<Record<string, string>> = {
  sort: '$BB sort text | $BB md5sum; $BB sort -n -k1 -r text | $BB head -n 5; $BB sort -u -k2 text',
  awk: "$BB awk '{ n[$2] += $1; s += $1 / 7 * 1.5 } END { for (w in n) print w, n[w] | \"'$BB' sort\"; printf \"%.9f %d %x\\n\", s, NR, 48879 }' text",
  bzip2: '$BB bzip2 -c text > text.bz2; $BB md5sum < text.bz2; $BB bunzip2 -c text.bz2 | $BB md5sum',
  gzip: '$BB gzip -c < text > text.gz; $BB md5sum < text.gz; $BB gunzip -c text.gz | $BB md5sum',
  dc: "echo '2 300 ^ p 20 k 2 v p 355 113 / p 7 3 - 5 * 4 / p' | $BB dc",
  sed: "$BB sed -n -e 's/\\(st\\)one/<\\1>/gp' text | $BB tail -n 3",
  od: '$BB od -A x -t x4 -N 64 text',
};

for (const image of IMAGES) {
  test(`the tools of ${image} agree with the same program on the host, HANOK_RESULTS_SEED=${SEED}`, { timeout: 600_000 }, async (t) => await compareTools(t, image));
}

async function compareTools(t: TestContext, name: string): Promise<void> {
  const image = await imageFor(t, name);
  if (!image) return;
  const folder = await mkdtemp(join(tmpdir(), 'hanok-results-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const busybox = join(folder, 'busybox');
  await writeFile(busybox, readCpioFile(await readFile(image.initrd), 'bin/busybox'), { mode: 0o755 });
  const input = randomText(20_000, SEED);
  const script = `cat > text\n${Object.entries(TOOLS).map(([name, line]) => `echo "== ${name}"\n${line}`).join('\n')}\n`;
  const onHost = execFileSync(busybox, ['sh', '-c', `BB=${busybox}\n${script}`], { cwd: folder, input, encoding: 'utf8', env: { LC_ALL: 'C' } });
  const inGuest = await runInImage(t, name, ['--cpus', '2'], ['sh', '-c', `BB=/bin/busybox\ncd /tmp\n${script}`], Buffer.from(input));
  assert.equal(inGuest.status, 0, inGuest.errors);
  assert.equal(inGuest.errors, '');
  for (const name of Object.keys(TOOLS)) assert.match(onHost, new RegExp(`== ${name}\n.`), `${name} printed nothing on the host`);
  assert.equal(inGuest.output, onHost);
}

test('the exit status of a command is the guest\'s', { timeout: 300_000 }, async (t) => {
  if (!(await imageFor(t))) return;
  const { output, errors, status } = await runInImage(t, 'tiny', [], ['sh', '-c', 'uname -s; echo aside >&2; exit 7']);
  assert.deepEqual({ output, errors, status }, { output: 'Linux\n', errors: 'aside\n', status: 7 });
});
