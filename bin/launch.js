// Starts a TypeScript program of this project from the Node that is there, which may be as old as 20: installs the
// dependencies where they lack and hands over to the Node that the program needs. Plain JavaScript for that reason.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MAJOR_MIN = 26;
/** Only a start of Node can be told how many there are. */
const COMPILER_THREADS_FLAG = '--v8-pool-size';
/** With feedback for inlining V8 optimizes the interpreter's main function twice, in three times the time. */
const NO_INLINING_FLAG = '--no-wasm-inlining';
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/**
 * Runs the program at `entry` (a path from the project's root) with `args` and ends this process the way it ended.
 * @param {string} entry
 * @param {string[]} args
 * @param {(root: string) => Promise<string>} [prepared] gives a file that does the same and starts sooner
 */
export async function launch(entry, args, prepared) {
  try {
    installDependencies();
    const node = findNode();
    const file = (prepared && (await prepare(prepared))) ?? join(ROOT, entry);
    const isStarted = node === process.execPath && process.execArgv.some((flag) => flag.startsWith(COMPILER_THREADS_FLAG));
    if (isStarted) {
      process.argv.splice(1, process.argv.length, file, ...args);
      await import(pathToFileURL(file).href);
    } else {
      become(node, [`${COMPILER_THREADS_FLAG}=${compilerThreads()}`, NO_INLINING_FLAG, file, ...args]);
    }
  } catch (error) {
    process.stderr.write(`hanok: ${process.env.HANOK_DEBUG === '1' ? error.stack : error.message}\n`);
    process.exitCode = 1;
  }
}

/**
 * Where that file cannot be made, as in a folder that nobody may write, the program does without. So it does for those who
 * want to see its sources in what it reports.
 * @param {(root: string) => Promise<string>} prepared
 */
async function prepare(prepared) {
  if (process.env.HANOK_DEBUG === '1') return undefined;
  try {
    return await prepared(ROOT);
  } catch {
    return undefined;
  }
}

/** Installs what package-lock.json lists unless the last installation is newer than it. A package without a lock file was installed by its user. */
function installDependencies() {
  const lock = join(ROOT, 'package-lock.json');
  const installed = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(lock)) return;
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write('hanok: installing dependencies (the first time only) …\n');
  // npm tells the scripts that it runs where it is; outside of npm it is looked for on the path.
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const command = [...npm, 'ci', '--include=dev', '--include=optional', '--no-fund', '--no-audit', '--loglevel=error'];
  // What npm says goes to stderr, since stdout belongs to the program.
  const result = spawnSync(command[0], command.slice(1), { cwd: ROOT, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' && npm[0] === 'npm' });
  if (result.error) throw new Error(`npm could not be started (${result.error.message}); install npm, or run "npm ci" in ${ROOT} yourself`);
  if (result.status !== 0) throw new Error(`npm could not install the dependencies; run "npm ci" in ${ROOT} to see why`);
}

/** The Node of the optional dependency for this platform, or this one where it is new enough. */
function findNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const name = `node-${platform}-${process.arch}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const file = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (existsSync(file)) return file;
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
  }
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  throw new Error(
    `this needs Node ${NODE_MAJOR_MIN} or newer, this is Node ${process.versions.node}, and the package ${name} is not installed; ` +
      `run "npm ci --include=optional" in ${ROOT}, or start it with a Node ${NODE_MAJOR_MIN}`,
  );
}

/**
 * Threads that V8 optimizes code with: with more of them than processors left, they take the vCPU's time. Four are what
 * Node has by itself.
 */
function compilerThreads() {
  return Math.min(Math.max(availableParallelism() - 1, 1), 4);
}

/**
 * Runs `node` in this process's place. A Node from 22.15 on can do that literally, so that there is no second one that waits
 * in 45 MiB of memory.
 * @param {string} node
 * @param {string[]} args
 */
function become(node, args) {
  // Types stripped and code compiled once serve the next start: it is 0.3 s shorter.
  const env = { NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'compile'), ...process.env };
  if (process.execve && process.platform !== 'win32') process.execve(node, [node, ...args], env);
  else runChild(node, args, env);
}

/**
 * The same with another process: same streams, signals passed on, same end.
 * @param {string} node
 * @param {string[]} args
 * @param {Record<string, string | undefined>} env
 */
function runChild(node, args, env) {
  const child = spawn(node, args, { stdio: 'inherit', env });
  for (const signal of FORWARDED_SIGNALS) {
    if (signal in constants.signals) process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    process.stderr.write(`hanok: ${node} could not be started: ${error.message}; remove node_modules and try again\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
}
