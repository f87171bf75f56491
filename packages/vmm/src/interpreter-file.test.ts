import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { InterpreterImage } from '@hanok/emulator';
import { InterpreterFile } from './interpreter-file.ts';

const IMAGE: InterpreterImage = {
  helperNames: ['one', 'two'], hotCount: 3, handlers: [Uint16Array.of(1, 2, 0xffff), Uint16Array.of(4, 5, 6)], bytes: Uint8Array.of(0, 97, 115, 109),
};

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
const files = (folder: string) => readdirSync(join(folder, 'interpreter')).map((name) => join(folder, 'interpreter', name));

test('what was written is read again, for the same variant only', (t) => {
  const folder = temporaryFolder(t);
  assert.equal(new InterpreterFile(folder, false).read(), undefined);
  new InterpreterFile(folder, false).write(IMAGE);
  assert.deepEqual(new InterpreterFile(folder, false).read(), IMAGE);
  assert.equal(new InterpreterFile(folder, true).read(), undefined);
  assert.equal(files(folder).length, 1, 'nothing temporary is left');
});

test('a damaged file is none', (t) => {
  const folder = temporaryFolder(t);
  const file = new InterpreterFile(folder, false);
  file.write(IMAGE);
  const [path] = files(folder);
  const whole = readFileSync(path!);
  for (let at = 0; at < whole.length; at++) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1;
    writeFileSync(path!, damaged);
    assert.equal(file.read(), undefined, `byte ${at}`);
    writeFileSync(path!, whole.subarray(0, at));
    assert.equal(file.read(), undefined, `${at} bytes`);
  }
});

test('a folder that cannot be written costs nothing', (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'a-file');
  writeFileSync(path, '');
  const file = new InterpreterFile(path, false);
  file.write(IMAGE);
  assert.equal(file.read(), undefined);
});

test('files that are a week old go', (t) => {
  const folder = temporaryFolder(t);
  new InterpreterFile(folder, true).write(IMAGE);
  const [young, old] = [files(folder)[0]!, join(folder, 'interpreter', 'of another version')];
  writeFileSync(old, '');
  utimesSync(old, 0, 0);
  new InterpreterFile(folder, false).write(IMAGE);
  assert.equal(files(folder).length, 2);
  assert.ok(files(folder).includes(young) && !files(folder).includes(old));
});
