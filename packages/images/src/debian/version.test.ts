import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { compareVersions } from './version.ts';

/** From the oldest to the newest, by Debian Policy §5.6.12. */
const ORDER = ['0~~', '0~~a', '0~', '0', '0a', '0+b', '1.0~rc1-1', '1.0~rc1-1+b1', '1.0', '1.0-0.1', '1.0-1~bpo1', '1.0-1', '1.0-1+deb12u1', '1.0a-1', '1.0.1', '1.2', '1.10', '1:0.1', '2:0'];

test('orders versions as the policy says', () => {
  for (const [i, a] of ORDER.entries()) {
    for (const [j, b] of ORDER.entries()) assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} ${b}`);
  }
  for (const [a, b] of [['1.0', '0:1.0'], ['1.0', '1.00'], ['1.0-0', '1.0'], ['001', '1'], ['', '0']] as const) assert.equal(compareVersions(a, b), 0, `${a} ${b}`);
  assert.ok(compareVersions(`1.${'9'.repeat(30)}`, `1.1${'0'.repeat(30)}`) < 0);
});

test('agrees with dpkg', (t) => {
  const seed = Number(process.env['HANOK_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
  const word = (characters: string): string => Array.from({ length: 1 + random(5) }, () => characters[random(characters.length)]).join('');
  const version = (): string => `${random(4) === 0 ? `${random(3)}:` : ''}${random(3)}${word('01~.+ab-')}${random(2)}-${random(2)}${word('01~.+a')}`;
  const pairs = Array.from({ length: 300 }, () => [version(), version()] as const);
  const script = 'while read -r a b; do if dpkg --compare-versions "$a" lt "$b"; then echo -1; elif dpkg --compare-versions "$a" eq "$b"; then echo 0; else echo 1; fi; done';
  let output: string;
  try {
    output = execFileSync('sh', ['-c', `command -v dpkg >/dev/null || exit 9; ${script}`], { input: `${pairs.map((pair) => pair.join(' ')).join('\n')}\n`, encoding: 'utf8' });
  } catch {
    t.skip('this computer has no dpkg');
    return;
  }
  assert.deepEqual(pairs.map(([a, b]) => String(Math.sign(compareVersions(a, b)))), output.trim().split('\n'), `seed ${seed}`);
});
