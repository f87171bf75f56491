import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressLine } from './progress.ts';
import { fakeIo } from './testing/fake-io.ts';

test('on a terminal one line changes in place and is gone at the end', () => {
  const fake = fakeIo({ terminal: true });
  const line = new ProgressLine(fake.io.stdout);
  line.update({ label: 'linux', done: 1, total: 4 });
  line.update({ label: 'linux', done: 1, total: 4 });
  assert.equal(fake.stdout(), '\rhanok: linux [######..................] 25%\x1b[K');
  line.update({ label: 'linux', done: 2, total: 4, detail: '2/4' });
  assert.ok(fake.stdout().endsWith('\rhanok: linux 2/4 [############............] 50%\x1b[K'));
  line.notice('the mirror is slow');
  line.update({ label: 'x'.repeat(200), done: 9, total: 4 });
  line[Symbol.dispose]();
  const last = fake.stdout().split('\r').at(-2) ?? '';
  assert.equal(last.replace('\x1b[K', '').length, 79);
  assert.match(last, /… \[#{24}\] 100%/);
  assert.ok(fake.stdout().endsWith('\r\x1b[K'));
  assert.ok(fake.stdout().includes('\r\x1b[Khanok: the mirror is slow\n'));
});

test('elsewhere each step is one plain line', () => {
  const fake = fakeIo();
  const line = new ProgressLine(fake.io.stderr);
  for (let done = 0; done < 100; done++) {
    line.update({ label: 'linux', done, total: 100, detail: `${done}/100` });
    line.update({ label: 'busybox', done, total: 0 });
  }
  line[Symbol.dispose]();
  assert.equal(fake.stderr(), 'hanok: linux\nhanok: busybox\n');
});
