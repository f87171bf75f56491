import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from '../testing/temporary-directory.ts';
import { Ext4Writer } from './ext4-writer.ts';
import type { DirectoryNode, TreeNode } from './tree.ts';

const MIB = 2 ** 20;
const attributes = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 1_700_000_000 };
const directory = (entries: Record<string, TreeNode>, mode = 0o755): DirectoryNode => ({ type: 'directory', ...attributes, mode, entries: new Map(Object.entries(entries)) });
const symlink = (target: string): TreeNode => ({ type: 'symlink', ...attributes, mode: 0o777, target });

/** A file system with the files that `build` gives, and what debugfs says when asked; e2fsprogs is the oracle. */
async function make(t: TestContext, build: (writer: Ext4Writer) => Promise<DirectoryNode>) {
  const path = join(await temporaryDirectory(t), 'disk');
  const writer = await Ext4Writer.create(path, { sizeBytes: 512 * MIB, uuid: new Uint8Array(16).fill(7), label: 'test', timeSeconds: 1_700_000_000 });
  await writer.finish(await build(writer));
  await writer.close();
  const check = spawnSync('e2fsck', ['-fn', path], { encoding: 'utf8', env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } });
  if (check.error) {
    t.skip('this computer has no e2fsprogs');
    return undefined;
  }
  assert.equal(check.status, 0, check.stdout + check.stderr);
  const ask = (request: string): string => execFileSync('debugfs', ['-R', request, path], { encoding: 'utf8', stdio: 'pipe', maxBuffer: 64 * MIB, env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } });
  return { path, ask };
}

test('keeps owners, modes, links, devices and contents', async (t) => {
  const large = Buffer.alloc(130 * MIB + 5, 'large file ');
  const made = await make(t, async (writer) => {
    const su: TreeNode = { type: 'file', ...attributes, mode: 0o4755, content: await writer.store(Buffer.from('su')) };
    return directory({
      su,
      'su-again': su,
      mail: { type: 'file', ...attributes, mode: 0o2640, uid: 70_000, gid: 100_008, content: await writer.store(new Uint8Array(0)) },
      large: { type: 'file', ...attributes, content: await writer.store(large) },
      tmp: directory({}, 0o1777),
      fast: symlink('../usr/bin'),
      slow: symlink('x/'.repeat(100)),
      border: symlink('y'.repeat(60)),
      dev: directory({
        null: { type: 'character-device', ...attributes, mode: 0o666, deviceMajor: 1, deviceMinor: 3 },
        far: { type: 'block-device', ...attributes, deviceMajor: 259, deviceMinor: 70_000 },
        pipe: { type: 'fifo', ...attributes, deviceMajor: 0, deviceMinor: 0 },
      }),
    });
  });
  if (!made) return;
  assert.match(made.ask('stat su'), /Type: regular +Mode: +04755[\s\S]*User: +0 +Group: +0[\s\S]*Links: 2/);
  assert.match(made.ask('show_super_stats -h'), /Journal backup: +inode blocks/);
  assert.match(made.ask('stat su'), /mtime: 0x6553f100/);
  assert.match(made.ask('stat mail'), /Mode: +02640[\s\S]*User: 70000 +Group: 100008[\s\S]*Size: 0/);
  assert.match(made.ask('stat tmp'), /Type: directory +Mode: +01777[\s\S]*Links: 2/);
  assert.match(made.ask('stat /'), /Inode: 2 [\s\S]*Links: 5/);
  assert.match(made.ask('stat fast'), /Fast link dest: "\.\.\/usr\/bin"/);
  assert.match(made.ask('stat slow'), /Type: symlink[\s\S]*Size: 200[\s\S]*EXTENTS/);
  assert.match(made.ask('stat border'), /Size: 60[\s\S]*EXTENTS/);
  assert.match(made.ask('stat dev/null'), /character special[\s\S]*Device major\/minor number: 01:03/);
  assert.match(made.ask('stat dev/far'), /block special[\s\S]*New-style\) Device major\/minor number: 259:70000/);
  assert.match(made.ask('stat dev/pipe'), /FIFO/);
  const target = join(await temporaryDirectory(t), 'out');
  await mkdir(target);
  made.ask(`dump large ${join(target, 'large')}`);
  assert.ok(large.equals(await readFile(join(target, 'large'))));
});

test('holds directories of many blocks, and only what is used takes space', async (t) => {
  const names = Array.from({ length: 9000 }, (_, index) => `${'n'.repeat(index % 200)}${index}`);
  const good = await make(t, async () => directory({ many: directory(Object.fromEntries(names.map((name) => [name, symlink(name)]))) }));
  if (!good) return;
  assert.equal(good.ask('ls -p many').split('\n').filter((line) => line.startsWith('/')).length, names.length + 2);
  assert.ok((await stat(good.path)).blocks * 512 < 32 * MIB);
});

test('refuses what does not fit, and names that are none', async (t) => {
  const path = join(await temporaryDirectory(t), 'disk');
  const writer = await Ext4Writer.create(path, { sizeBytes: 256 * MIB, uuid: new Uint8Array(16), label: '', timeSeconds: 0 });
  await assert.rejects(writer.store(new Uint8Array(230 * MIB)), /do not fit/);
  await assert.rejects(writer.store(new Uint8Array(513 * MIB)), /too large/);
  await assert.rejects(writer.finish(directory({ 'a/b': symlink('x') })), /cannot be a file's name/);
  await writer.close();
  await assert.rejects(Ext4Writer.create(join(path, 'below'), { sizeBytes: 256 * MIB, uuid: new Uint8Array(16), label: '', timeSeconds: 0 }), /a file is where a directory should be/);
});
