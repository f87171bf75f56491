import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TreeNode } from '../ext4/tree.ts';
import { FileTree } from './file-tree.ts';

const attributes = { mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0 };
const directory = (mode = 0o755): TreeNode => ({ type: 'directory', ...attributes, mode, entries: new Map() });
const symlink = (target: string): TreeNode => ({ type: 'symlink', ...attributes, target });
const file = (sizeBytes = 0): TreeNode => ({ type: 'file', ...attributes, content: { firstBlock: 0, sizeBytes } });

/** A system with merged /usr, as the image begins. */
function merged(): FileTree {
  const tree = new FileTree();
  tree.add('usr/bin', directory());
  tree.add('bin', symlink('usr/bin'));
  return tree;
}

test('what packages have in merged directories is in /usr', () => {
  const tree = merged();
  tree.add('bin', directory());
  tree.add('bin/sh', file(1));
  assert.equal(tree.find('bin')!.type, 'symlink');
  assert.deepEqual(tree.find('usr/bin/sh'), file(1));
  assert.deepEqual(tree.find('bin/sh'), file(1));
});

test('follows symlinks of all kinds below the root, and ends on circles', () => {
  const tree = merged();
  tree.add('var/run', symlink('/run'));
  tree.add('run/lock', directory(0o1777));
  tree.add('var/run/lock/x', file());
  tree.add('a/b', symlink('../../../../usr/./bin'));
  tree.add('a/b/y', file(2));
  assert.ok(tree.find('run/lock/x'));
  assert.deepEqual(tree.find('usr/bin/y'), file(2));
  tree.add('loop', symlink('pool'));
  tree.add('pool', symlink('loop'));
  assert.throws(() => tree.add('loop/z', file()), /no directory/);
  tree.add('dangling', symlink('nowhere'));
  assert.throws(() => tree.add('dangling/z', file()), /no directory/);
  assert.throws(() => tree.add('usr/bin/y/z', file()), /no directory/);
});

test('directories stay as they were first, of files the last wins', () => {
  const tree = new FileTree();
  tree.add('', directory(0o700));
  tree.add('tmp', directory(0o1777));
  tree.add('tmp/x', file(1));
  tree.add('tmp', directory(0o755));
  tree.add('tmp/x', file(2));
  assert.equal(tree.root.mode, 0o700);
  assert.equal(tree.find('tmp')!.mode, 0o1777);
  assert.deepEqual(tree.find('tmp/x'), file(2));
  assert.throws(() => tree.add('tmp', file()), /two packages disagree on \/tmp/);
  // A package's directory takes the place of another's file or dangling link.
  tree.add('tmp/x', directory());
  assert.equal(tree.find('tmp/x')!.type, 'directory');
});
