import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TreeEntry } from '../debian/deb-file.ts';
import { ImageError } from '../image-error.ts';
import { compressSync, makeModule } from '../testing/debian-fixture.ts';
import type { Compression } from '../testing/debian-fixture.ts';
import { moduleName, readModuleInfo } from './module-info.ts';
import { ModuleSet, moduleIndexes } from './module-set.ts';
import { withoutSignature } from './module-signature.ts';

function entry(name: string, depends: string, compression: Compression = ''): TreeEntry {
  const content = compressSync(compression, makeModule({ name: moduleName(name), depends, alias: `fs-${name}` }));
  const path = `lib/modules/6/kernel/${name}.ko${compression && `.${compression}`}`;
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, linkTarget: '', deviceMajor: 0, deviceMinor: 0, content };
}

const names = async (set: ModuleSet, ...wanted: string[]): Promise<string[]> => (await set.inLoadOrder(wanted)).map(({ name }) => name);

test('reads the module information of an ELF object', () => {
  assert.deepEqual(readModuleInfo(makeModule({ name: 'x', depends: 'a-b,c', alias: 'pci:*' }), 'x.ko'), { name: 'x', depends: ['a_b', 'c'], aliases: ['pci:*'] });
  assert.deepEqual(readModuleInfo(makeModule({ name: 'y', depends: 'a' }, 32), 'y.ko'), { name: 'y', depends: ['a'], aliases: [] });
  assert.deepEqual(readModuleInfo(makeModule({ license: 'GPL' }), 'dir/virtio-rng.ko.xz'), { name: 'virtio_rng', depends: [], aliases: [] });
});

test('hostile objects are an ImageError', () => {
  const good = makeModule({ name: 'x', depends: '' });
  assert.throws(() => readModuleInfo(Buffer.from('no elf'), 'x.ko'), /x\.ko is not a kernel module/);
  for (let offset = 0; offset < good.length; offset++) {
    const bad = Buffer.from(good);
    bad[offset] = 0xff;
    try {
      readModuleInfo(bad, 'x.ko');
      readModuleInfo(bad.subarray(0, offset), 'x.ko');
    } catch (error) {
      assert.ok(error instanceof ImageError, `byte ${offset}: ${String(error)}`);
    }
  }
});

test('orders modules after what they need and leaves out what is built in', async () => {
  const set = new ModuleSet(
    [entry('virtio-rng', 'virtio', 'xz'), entry('net', 'failover,virtio,core', 'zst'), entry('virtio', 'virtio_ring', 'gz'), entry('virtio_ring', ''), entry('failover', '')],
    'kernel/core.ko\nkernel/fs/ext4/ext4.ko\n',
  );
  assert.deepEqual(await names(set, 'net', 'virtio-rng', 'ext4', 'net'), ['failover', 'virtio_ring', 'virtio', 'net', 'virtio_rng']);
  const [, ring] = await set.inLoadOrder(['net']);
  assert.equal(ring!.path, 'lib/modules/6/kernel/virtio_ring.ko');
  await assert.rejects(set.inLoadOrder(['absent']), /no module absent/);
});

test('names a missing dependency and a circle', async () => {
  await assert.rejects(new ModuleSet([entry('a', 'b')], '').inLoadOrder(['a']), /no module b, which a needs/);
  await assert.rejects(new ModuleSet([entry('a', 'b'), entry('b', 'a')], '').inLoadOrder(['a']), /circle: a → b → a/);
});

test('writes the indexes of modprobe', async () => {
  const set = new ModuleSet([entry('top', 'mid'), entry('mid', 'base'), entry('base', '')], '');
  const { dep, alias } = moduleIndexes(await set.inLoadOrder(['top']), (path) => path.slice('lib/modules/6/'.length));
  assert.equal(dep, 'kernel/base.ko:\nkernel/mid.ko: kernel/base.ko\nkernel/top.ko: kernel/mid.ko kernel/base.ko\n');
  assert.equal(alias, 'alias fs-base base\nalias fs-mid mid\nalias fs-top top\n');
});

test('cuts off an appended signature and nothing else', () => {
  const module = makeModule({ name: 'x' });
  const trailer = Buffer.alloc(12);
  trailer.writeUInt32BE(300, 8);
  const signed = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, trailer, Buffer.from('~Module signature appended~\n')]);
  assert.deepEqual(Buffer.from(withoutSignature(signed(Buffer.concat([module, Buffer.alloc(300, 1)])))), module);
  assert.equal(withoutSignature(module), module);
  const lying = signed(Buffer.alloc(100));
  assert.equal(withoutSignature(lying), lying);
});
