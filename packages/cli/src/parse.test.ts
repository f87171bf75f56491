import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineCommand } from './command.ts';
import { findCommand } from './commands.ts';
import { UsageError } from './errors.ts';
import { parseCall } from './parse.ts';

const run = findCommand('run');

function parse(...args: string[]) {
  const call = parseCall(run, args);
  assert.notEqual(call, 'help');
  return call as Exclude<typeof call, 'help'>;
}

test('flags, operand and what follows -- are told apart', () => {
  const call = parse('--memory', '512M', 'tiny', '--trace=exits', '--', 'sh', '-c', 'exit 7', '--memory', '--', 'x');
  assert.equal(call.flags['memory'], 2 ** 29);
  assert.equal(call.flags['trace'], 'exits');
  assert.deepEqual(call.operands, ['tiny']);
  assert.deepEqual(call.tail, ['sh', '-c', 'exit 7', '--memory', '--', 'x']);
});

test('flags that repeat are lists, and their order across flags is kept', () => {
  const call = parse('--disk', 'a', '--overlay-disk', 'b', '--disk=c');
  assert.deepEqual(call.flags['disk'], ['a', 'c']);
  assert.deepEqual(call.flags['read-only-disk'], []);
  assert.deepEqual(
    call.given.map(({ name, value }) => `${name} ${value}`),
    ['disk a', 'overlay-disk b', 'disk c'],
  );
});

test('a value may begin with a dash where = joins it', () => {
  assert.equal(parse('--append=-v').flags['append'], '-v');
});

test('--help wins, but not after --', () => {
  assert.equal(parseCall(run, ['tiny', '-h']), 'help');
  assert.equal(parseCall(run, ['--help', '--memory', '1G']), 'help');
  assert.deepEqual(parse('--', 'ls', '--help').tail, ['ls', '--help']);
});

test('what is not understood is named, with the mend', () => {
  const cases: [string[], RegExp][] = [
    [['--memry', '1G'], /unknown flag --memry \(did you mean --memory\?\)/],
    [['--constructor'], /unknown flag --constructor/],
    [['--__proto__=1'], /unknown flag --__proto__/],
    [['-x'], /unknown flag -x/],
    [['--memory'], /--memory needs a value; write --memory SIZE/],
    [['--memory', '--', 'ls'], /--memory needs a value/],
    [['--memory='], /--memory needs a value/],
    [['--memory', '1G', '--memory', '2G'], /--memory is given 2 times/],
    [['--trace', 'exit'], /--trace exit is unknown \(did you mean exits\?\); choose one of: exits/],
    [['tiny', 'sh'], /"sh" is one operand too many for hanok run; put -- before a COMMAND/],
    [['tiny', '--'], /COMMAND is missing after --/],
  ];
  for (const [args, message] of cases) assert.throws(() => parseCall(run, args), (error) => error instanceof UsageError && message.test(error.message), args.join(' '));
  assert.throws(() => parseCall(findCommand('completion'), []), /SHELL is missing/);
  assert.throws(() => parseCall(findCommand('images'), ['--', 'x']), /takes nothing after --/);
});

test('a flag without a value is true, and takes none', () => {
  const command = defineCommand({
    name: 'probe',
    summary: '',
    operands: [],
    flags: { quiet: { type: 'boolean', help: '' } },
    run: async () => 0,
  });
  const call = parseCall(command, ['--quiet', '--quiet']);
  assert.ok(call !== 'help');
  assert.deepEqual(call.flags, { quiet: true });
  assert.throws(() => parseCall(command, ['--quiet=no']), /--quiet takes no value; write it without "=no"/);
});
