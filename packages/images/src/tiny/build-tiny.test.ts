import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { listImages } from '../images.ts';
import { makeTinyMirror } from '../testing/debian-fixture.ts';
import { KERNEL_COMPRESSIONS, makeBzImage, makeElf } from '../testing/kernel-fixture.ts';
import { setUpMirror } from '../testing/mirror-setup.ts';
import { temporaryDirectory } from '../testing/temporary-directory.ts';
import { buildTiny } from './build-tiny.ts';
import type { BuildTinyOptions } from './build-tiny.ts';

import { commandArchive } from './command-archive.ts';

const IN_RELEASE = 'dists/bookworm/InRelease';

async function setUp(t: TestContext, architecture: 'amd64' | 'i386' = 'amd64', kernel?: Uint8Array) {
  const { options: common, server, cacheDirectory } = await setUpMirror(t, async (signer) => await makeTinyMirror(signer, architecture, kernel));
  const notices: string[] = [];
  const options: BuildTinyOptions = { ...common, onNotice: (notice) => notices.push(notice) };
  return { server, cacheDirectory, options, notices };
}

test('makes an image from a mirror', async (t) => {
  const { options, cacheDirectory, notices } = await setUp(t);
  assert.deepEqual((await listImages({ cacheDirectory })).map(({ name, cached, sizeBytes }) => [name, cached, sizeBytes])[0], ['tiny', false, 0]);
  const image = await buildTiny(options);
  assert.deepEqual([basename(image.kernel), await readFile(image.kernel, 'utf8')], ['vmlinuz', 'a kernel']);
  const initrd = await readFile(image.initrd, 'latin1');
  for (const part of ['#!/bin/sh\n# PID 1', 'no program', 'kernel/drivers/virtio-rng.ko', 'alias virtio:virtio_net virtio_net', '/bin/busybox']) {
    assert.ok(initrd.includes(part), part);
  }
  assert.ok(!initrd.includes('unwanted'));
  const drivers = '/lib/modules/6.9-test/kernel/drivers';
  const order = [
    `- ${drivers}/virtio_ring.ko\n- ${drivers}/virtio.ko\n- ${drivers}/virtio_pci.ko`,
    `0x0001 ${drivers}/virtio_net.ko\n0x0002 ${drivers}/virtio_blk.ko\n0x0003 ${drivers}/virtio_console.ko\n0x0004 ${drivers}/virtio-rng.ko\n`,
  ];
  assert.ok(initrd.includes(order.join('\n')));
  assert.match(image.commandLine, /^console=ttyS0 /);
  assert.deepEqual(notices, []);
  const [listed] = await listImages({ cacheDirectory });
  assert.ok(listed!.cached && listed!.sizeBytes > initrd.length);
});

test('makes the image of another processor', async (t) => {
  const { options, cacheDirectory } = await setUp(t, 'i386');
  const image = await buildTiny({ ...options, architecture: 'i386' });
  assert.equal(await readFile(image.kernel, 'utf8'), 'a kernel');
  assert.ok((await readFile(image.initrd, 'latin1')).includes('kernel/drivers/virtio-rng.ko'));
  const cached = (await listImages({ cacheDirectory })).filter((listed) => listed.cached).map(({ name }) => name);
  assert.deepEqual(cached, ['tiny:i386']);
  await assert.rejects(buildTiny({ ...options, architecture: 'i386', kernelPackage: 'linux-image-686-pae' }), /no package linux-image-686-pae/);
  await assert.rejects(buildTiny(options), /has no main\/binary-amd64\/Packages/);
});

test('holds the kernel unpacked where that boots', async (t) => {
  const { options, server } = await setUp(t, 'amd64', makeBzImage(KERNEL_COMPRESSIONS.lz4(makeElf())));
  const { kernel } = await buildTiny(options);
  assert.equal(basename(kernel), 'vmlinux');
  assert.match(await readFile(kernel, 'latin1'), /^\x7fELF[\s\S]*Linux/);
  await server.close();
  assert.equal((await buildTiny(options)).kernel, kernel);
});

test('a kernel that is damaged makes no image', async (t) => {
  const { options, cacheDirectory } = await setUp(t, 'amd64', makeBzImage(KERNEL_COMPRESSIONS.lz4(makeElf()).fill(0xff, 10, 40)));
  await assert.rejects(buildTiny(options), /the kernel of linux-image-6\.9-test cannot be unpacked/);
  assert.ok((await listImages({ cacheDirectory })).every(({ cached }) => !cached));
});

test('asks for nothing again while the index is fresh', async (t) => {
  const { options, server } = await setUp(t);
  const first = await buildTiny(options);
  const count = server.requests.length;
  assert.deepEqual(await buildTiny(options), first);
  assert.equal(server.requests.length, count);
  await buildTiny({ ...options, refresh: true });
  assert.equal(server.requests.length, count + 1);
});

test('works offline with what is cached, and says so when it asked', async (t) => {
  const { options, server, notices } = await setUp(t);
  const first = await buildTiny(options);
  await server.close();
  assert.deepEqual(await buildTiny({ ...options, refresh: true }), first);
  assert.match(notices.join(), /cannot reach 127\.0\.0\.1.*going on with the package index of/s);
  await assert.rejects(buildTiny({ ...options, cacheDirectory: await temporaryDirectory(t) }), /cannot reach 127\.0\.0\.1/);
});

test('repairs a damaged image and a damaged package', async (t) => {
  const { options, server, cacheDirectory, notices } = await setUp(t);
  const image = await buildTiny(options);
  const initrd = await readFile(image.initrd);
  await writeFile(image.initrd, initrd.subarray(1));
  for (const path of await readdir(join(cacheDirectory, 'blobs'), { recursive: true, withFileTypes: true })) {
    if (path.isFile()) await writeFile(join(path.parentPath, path.name), 'damaged');
  }
  const count = server.requests.length;
  assert.deepEqual(await readFile((await buildTiny(options)).initrd), initrd);
  assert.equal(server.requests.length, count + 2);
  assert.match(notices.join('\n'), /cached image tiny was damaged[\s\S]*cached copy of linux-image-6.9-test 1 was damaged/);
});

test('refuses an index that does not match, another suite, and a forged release', async (t) => {
  const { options, server } = await setUp(t);
  const release = server.files.get(IN_RELEASE)!;
  await assert.rejects(buildTiny({ ...options, suite: 'trixie' }), /no mirror has Debian's trixie/);
  server.files.set('dists/trixie/InRelease', release);
  await assert.rejects(buildTiny({ ...options, suite: 'trixie' }), /is of bookworm, not of trixie/);
  await assert.rejects(buildTiny({ ...options, suite: '../x' }), /not the name of a Debian suite/);
  const index = server.files.get('dists/bookworm/main/binary-amd64/Packages.xz')!;
  server.files.set('dists/bookworm/main/binary-amd64/Packages.xz', Buffer.from(index).fill(0, 100, 101));
  await assert.rejects(buildTiny(options), /not what the index names/);
  server.files.set(IN_RELEASE, Buffer.from(Buffer.from(release).toString().replace('stable', 'staple')));
  await assert.rejects(buildTiny(options), /signature of .* is not valid/);
});

test('takes the first mirror of apt that has the suite, and warns without a keyring', async (t) => {
  const { options, server, notices } = await setUp(t);
  const files = [...server.files];
  for (const [path, content] of files) server.files.set(`debian/${path}`, content);
  for (const [path] of files) server.files.delete(path);
  const run = async (command: string): Promise<string | undefined> => (command === 'apt-get' ? `${server.url.href}security/\n${server.url.href}debian/\n` : undefined);
  await buildTiny({ ...options, mirror: undefined, run, keyrings: [] });
  assert.match(notices.join(), /without a signature check/);
});

test('a directory can be the mirror', async (t) => {
  const { options, server } = await setUp(t);
  const directory = await temporaryDirectory(t);
  for (const [path, content] of server.files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  assert.equal(await readFile((await buildTiny({ ...options, mirror: directory })).kernel, 'utf8'), 'a kernel');
  await rm(join(directory, 'dists'), { recursive: true });
  await assert.rejects(buildTiny({ ...options, mirror: directory, cacheDirectory: await temporaryDirectory(t) }), /no mirror has/);
});

test('several builds at once give the same image', async (t) => {
  const { options } = await setUp(t);
  const images = await Promise.all([buildTiny(options), buildTiny(options), buildTiny(options)]);
  assert.deepEqual(images[1], images[0]);
  assert.deepEqual(images[2], images[0]);
});

test('an abort leaves no image', async (t) => {
  const { options, cacheDirectory } = await setUp(t);
  await assert.rejects(buildTiny({ ...options, signal: AbortSignal.abort() }), { name: 'AbortError' });
  const controller = new AbortController();
  await assert.rejects(buildTiny({ ...options, signal: controller.signal, onProgress: ({ label }) => void (label.startsWith('linux') && controller.abort()) }), { name: 'AbortError' });
  assert.ok((await listImages({ cacheDirectory })).every(({ cached }) => !cached));
});

test('the command archive holds the script', () => {
  const archive = Buffer.from(commandArchive('echo "$1"\n')).toString('latin1');
  assert.ok(archive.includes('run-command\0') && archive.includes('echo "$1"\n'));
});
