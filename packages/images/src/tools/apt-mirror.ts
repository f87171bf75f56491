/*
 * Makes a directory that `buildTiny` takes as a mirror, with apt as the only downloader: from the package lists that
 * `apt-get update` left on this computer and from `apt-get download`. For computers whose only way out is apt, and to
 * carry a mirror to those without a network.
 *
 *   node apt-mirror.ts DIRECTORY [SUITE]
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PackagesIndex } from '../debian/packages-index.ts';
import { chooseTinyPackages } from '../tiny/build-tiny.ts';

const run = promisify(execFile);
const LIST_LIMIT_BYTES = 512 << 20;

async function makeMirror(directory: string, suite: string): Promise<void> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(CODENAME) $(COMPONENT) $(ARCHITECTURE) $(FILENAME)', 'Created-By: Packages']);
  const wanted = `${suite} main amd64 `;
  const list = stdout.split('\n').find((line) => line.startsWith(wanted))?.slice(wanted.length);
  if (!list) throw new Error(`apt on this computer has no list of ${suite}/main: add it to sources.list and run "apt-get update"`);
  const options = { encoding: 'buffer', maxBuffer: LIST_LIMIT_BYTES } as const;
  const packages = (await run('/usr/lib/apt/apt-helper', ['cat-file', list], options)).stdout;
  const put = async (path: string, content: Uint8Array): Promise<void> => {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  };
  await put(`dists/${suite}/InRelease`, await readFile(list.replace(/_main_binary-amd64_Packages.*$/, '_InRelease')));
  await put(`dists/${suite}/main/binary-amd64/Packages`, packages);
  const index = new PackagesIndex(packages);
  const temporary = await mkdtemp(join(tmpdir(), 'hanok-apt-'));
  try {
    for (const { name, version, fileName } of chooseTinyPackages(index)) {
      await run('apt-get', ['download', `${name}=${version}`], { cwd: temporary });
      const deb = (await readdir(temporary)).find((file) => file.startsWith(`${name}_`));
      if (!deb) throw new Error(`apt did not download ${name}`);
      await mkdir(dirname(join(directory, fileName)), { recursive: true });
      await copyFile(join(temporary, deb), join(directory, fileName));
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const [directory, suite = 'bookworm'] = process.argv.slice(2);
if (!directory) throw new Error('usage: node apt-mirror.ts DIRECTORY [SUITE]');
await makeMirror(directory, suite);
