import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('testing/main.ts', import.meta.url));
/** With machines of its own. */
const REAL_PROGRAM = fileURLToPath(new URL('../../../bin/hanok.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a program; `onOutput` sees all that it printed so far whenever it prints. */
async function run(file: string, args: readonly string[], onOutput: (child: ChildProcessWithoutNullStreams, text: string) => void): Promise<Ended> {
  const child = spawn(file, args, { env: { ...process.env, HANOK_DEBUG: '' } });
  const chunks: Buffer[] = [];
  let stderr = '';
  const look = () => onOutput(child, Buffer.concat(chunks).toString() + stderr);
  child.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk)).on('data', look);
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk)).on('data', look);
  child.stdin.on('error', () => {});
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.on('close', (...end) => resolve(end)));
  return { code, signal, stdout: Buffer.concat(chunks), stderr };
}

/** Calls `act` when `word` was printed, once. */
function after(word: string, act: (child: ChildProcessWithoutNullStreams) => void) {
  let done = false;
  return (child: ChildProcessWithoutNullStreams, text: string) => {
    if (done || !text.includes(word)) return;
    done = true;
    act(child);
  };
}

test('256 KiB go through a command unchanged, and the status is the process’s', async () => {
  const seed = Date.now() % 0x7fffffff;
  let state = seed;
  const bytes = Uint8Array.from({ length: 2 ** 18 }, () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16);
  const child = spawn(process.execPath, [PROGRAM, 'run', '--', 'cat']);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk));
  child.stdin.end(bytes);
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 7);
  assert.ok(Buffer.concat(chunks).equals(bytes), `seed ${seed}`);
});

test('SIGINT, SIGTERM and SIGHUP end a command with 128 + signal, without a word', async () => {
  for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
    const end = await run(process.execPath, [PROGRAM, 'run', '--', 'wait'], after('waiting', (child) => void child.kill(signal)));
    assert.deepEqual([end.code, end.stderr], [status, ''], signal);
  }
});

test('a reader that goes away ends the command as SIGPIPE would', async () => {
  const end = await run(process.execPath, [PROGRAM, 'run', '--', 'yes'], after('y', (child) => void child.stdout.destroy()));
  assert.deepEqual([end.code, end.stderr], [141, '']);
});

test('a file that is no kernel is an error of one line, and nothing stays behind', async () => {
  const end = await run(process.execPath, [REAL_PROGRAM, 'run', '--kernel', REAL_PROGRAM], () => {});
  assert.equal(end.code, 1);
  assert.match(end.stderr, /^hanok: kernel: this is no x86 Linux kernel; [^\n]*\n$/);
});

/** Runs the program on a terminal of its own; gives its status and the terminal's settings before and after. */
async function onTerminal(keys: (child: ChildProcessWithoutNullStreams, text: string) => void) {
  const folder = await mkdtemp(join(tmpdir(), 'hanok-tty-'));
  try {
    const command = `stty -a > ${folder}/before; '${process.execPath}' '${PROGRAM}' run; echo $? > ${folder}/status; stty -a > ${folder}/after`;
    const { stdout } = await run('script', ['-qec', command, join(folder, 'typescript')], keys);
    const [before, after, status] = await Promise.all(['before', 'after', 'status'].map((name) => readFile(join(folder, name), 'utf8')));
    assert.equal(after, before, 'the settings of the terminal');
    return { status: Number(status), screen: stdout.toString() };
  } finally {
    await rm(folder, { recursive: true });
  }
}

// script(1) of util-linux gives a program a terminal.
if (process.platform === 'linux') {
  test('a terminal is the guest’s key for key, and put back when the machine powers off', async () => {
    const { status, screen } = await onTerminal(after('booted', (child) => void child.stdin.write('\x03\x1a\x1d\x1d\r\x04')));
    assert.equal(status, 0);
    assert.ok(screen.includes('<031a1d0d04>'), screen);
  });

  test('a terminal is put back after Ctrl-] q', async () => {
    const { status } = await onTerminal(after('booted', (child) => void child.stdin.write('\x1dq')));
    assert.equal(status, 0);
  });

  test('a terminal is put back after a fault in the machine and after an uncaught exception', async () => {
    const fault = await onTerminal(after('booted', (child) => void child.stdin.write('x')));
    assert.equal(fault.status, 1);
    assert.ok(fault.screen.includes('hanok: x was typed'), fault.screen);
    const uncaught = await onTerminal(after('booted', (child) => void child.stdin.write('u')));
    assert.equal(uncaught.status, 1);
    assert.ok(uncaught.screen.includes('hanok: a fault in hanok itself: u was typed'), uncaught.screen);
  });
}
