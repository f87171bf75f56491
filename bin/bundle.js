// The command line and its threads as a few files of JavaScript, kept in node_modules/.cache: three threads take a tenth
// of a second less to load those than 600 modules of TypeScript.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Programs of threads; the first is the command line's. */
const PROGRAMS = ['packages/cli/src/main.ts', 'packages/vmm/src/vcpu-worker.ts', 'packages/vmm/src/compiler-worker.ts', 'packages/vmm/src/profile/sampler-worker.ts'];
/** Bundles that stay, those that were used last: a machine that runs may still load parts of an older one. */
const KEPT_MAX = 8;
/** How modules name the files beside them. */
const NEIGHBOR = /new URL\('(\.[^']*)', import\.meta\.url\)/g;

/**
 * The command line's program in the bundle of the sources as they are; it is made where there is none yet.
 * @param {string} root the project's folder
 * @returns {Promise<string>} its path. Throws where it cannot be made or written.
 */
export async function bundledProgram(root) {
  const folder = join(root, 'node_modules', '.cache', 'bundle');
  const bundle = join(folder, stampOf(join(root, 'packages')));
  const program = join(bundle, `${nameOf(PROGRAMS[0])}.js`);
  if (existsSync(program)) utimesSync(bundle, new Date(), new Date());
  else await makeBundle(root, bundle);
  return program;
}

/** @param {string} program */
const nameOf = (program) => basename(program, '.ts');

/**
 * Names, sizes and times of all files in a folder but those that `npm` puts there: other sources have another stamp.
 * @param {string} folder
 */
function stampOf(folder) {
  const hash = createHash('sha256').update(folder);
  /** @param {string} path */
  const add = (path) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inside = join(path, entry.name);
      if (entry.isDirectory() && entry.name !== 'node_modules') add(inside);
      if (!entry.isFile() || entry.name.endsWith('.test.ts')) continue;
      const { size, mtimeMs } = statSync(inside);
      hash.update(`${relative(folder, inside)} ${size} ${mtimeMs}\n`);
    }
  };
  add(folder);
  return hash.update(String(statSync(fileURLToPath(import.meta.url)).mtimeMs)).digest('hex').slice(0, 32);
}

/**
 * @param {string} root
 * @param {string} bundle
 */
async function makeBundle(root, bundle) {
  const { build } = await import('rolldown');
  const unfinished = `${bundle}.${process.pid}`;
  try {
    await build({
      cwd: root,
      input: Object.fromEntries(PROGRAMS.map((program) => [nameOf(program), program])),
      external: (name) => !/^(\.|\/|[A-Z]:|@hanok\/)/i.test(name),
      platform: 'node',
      logLevel: 'silent',
      plugins: [{ name: 'neighbors', transform: (code, id) => code.replace(NEIGHBOR, (_, name) => neighbor(root, id, name)) }],
      output: { dir: unfinished, format: 'esm', chunkFileNames: '[name]-[hash].js' },
    });
    rmSync(bundle, { recursive: true, force: true });
    renameSync(unfinished, bundle);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  dropOld(dirname(bundle));
}

/**
 * What stands in the bundle for a file that a module names: a thread's program is in the bundle too, others stay where they are.
 * @param {string} root
 * @param {string} module
 * @param {string} name
 */
function neighbor(root, module, name) {
  const path = join(dirname(module), name);
  const program = PROGRAMS.find((one) => join(root, one) === path);
  return program ? `new URL('./${nameOf(program)}.js', import.meta.url)` : `new URL(${JSON.stringify(pathToFileURL(path).href)})`;
}

/** @param {string} folder */
function dropOld(folder) {
  const usedMs = (/** @type {string} */ name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const names = readdirSync(folder).sort((a, b) => usedMs(b) - usedMs(a));
  for (const name of names.slice(KEPT_MAX)) rmSync(join(folder, name), { recursive: true, force: true });
}
