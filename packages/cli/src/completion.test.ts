import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runCli } from './cli.ts';
import { COMMANDS } from './commands.ts';
import { completionScript, SHELLS } from './completion.ts';
import { fakeIo } from './testing/fake-io.ts';
import { fakeServices } from './testing/fake-machine.ts';

const services = fakeServices(async () => ({ reason: 'power-off' }));

async function ask(...args: string[]) {
  const fake = fakeIo();
  const status = await runCli(args, fake.io, services);
  return { status, stdout: fake.stdout(), stderr: fake.stderr() };
}

test('bash completes commands, flags, images and values, and leaves the guest’s command alone', async () => {
  const script = await completionScript('bash', COMMANDS, services);
  const complete = (...words: string[]) => {
    const list = ['hanok', ...words].map((word) => `'${word}'`).join(' ');
    const probe = `${script}\ncompopt() { echo "compopt $*"; }\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length}; _hanok; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', probe]).toString().trim().split('\n');
  };
  assert.deepEqual(complete('r'), ['run']);
  assert.deepEqual(complete(''), ['run', 'images', 'completion', 'help', '--help', '--version']);
  assert.deepEqual(complete('run', 't'), ['tiny']);
  assert.deepEqual(complete('run', '--me'), ['--memory']);
  assert.deepEqual(complete('run', '--trace', ''), ['exits']);
  assert.deepEqual(complete('run', '--disk', ''), ['compopt -o default']);
  assert.deepEqual(complete('run', '--', '--me'), ['']);
  assert.deepEqual(complete('completion', ''), ['bash', 'zsh', 'fish', '--help']);
  assert.deepEqual(complete('help', 'im'), ['images']);
});

test('each script names every command and flag, and is one the shell can read where that shell is', async () => {
  for (const shell of SHELLS) {
    const { status, stdout: script } = await ask('completion', shell);
    assert.equal(status, 0);
    for (const { name, flags } of COMMANDS) {
      assert.ok(script.includes(name), `${shell}: ${name}`);
      for (const flag of Object.keys(flags)) assert.ok(script.includes(flag), `${shell}: ${flag}`);
    }
    const check = spawnSync(shell, ['-n'], { input: script });
    if (!check.error) assert.equal(check.stderr.toString(), '', shell);
  }
});

test('an unknown shell is an error of the command line', async () => {
  const { status, stderr } = await ask('completion', 'fsh');
  assert.equal(status, 2);
  assert.match(stderr, /no completion for fsh/);
});

test('help comes from the same table: every command and flag is on its page', async () => {
  const whole = await ask('--help');
  assert.equal(whole.status, 0);
  assert.deepEqual(await ask('help'), whole);
  for (const { name, flags } of COMMANDS) {
    assert.match(whole.stdout, new RegExp(`^  ${name} `, 'm'));
    const page = await ask('help', name);
    assert.deepEqual(await ask(name, '--help'), page);
    for (const flag of Object.keys(flags)) assert.ok(page.stdout.includes(`--${flag}`), flag);
    for (const line of page.stdout.split('\n')) assert.ok(line.length <= 100, line);
  }
});

test('version, images and unknown commands', async () => {
  assert.match((await ask('--version')).stdout, /^hanok \d+\.\d+\.\d+\n$/);
  assert.equal((await ask('images')).stdout, 'tiny  a small Linux (made, 12 MiB)\n');
  const unknown = await ask('rnu');
  assert.equal(unknown.status, 2);
  assert.equal(unknown.stderr, 'hanok: there is no command "rnu" (did you mean run?); "hanok --help" lists the commands\n');
  assert.match((await ask('--versoin')).stderr, /did you mean --version\?/);
});
