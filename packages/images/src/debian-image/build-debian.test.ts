import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open, readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { BlockBackend, ConsoleBackend } from '@hanok/machine';
import { sha256Hex } from '../cache.ts';
import { readCpioFile } from '../cpio.ts';
import type { Progress } from '../downloader.ts';
import { listImages } from '../images.ts';
import { makeDebianMirror, makePackage } from '../testing/debian-fixture.ts';
import { KERNEL_COMPRESSIONS, makeBzImage, makeElf } from '../testing/kernel-fixture.ts';
import { setUpMirror } from '../testing/mirror-setup.ts';
import { buildDebian } from './build-debian.ts';
import type { BuildDebianOptions } from './build-debian.ts';
import type { MachineMaker } from './configure-machine.ts';

interface Guest {
  readonly initrd: Uint8Array;
  readonly disk: BlockBackend;
  readonly stopped: Promise<void>;
  say(port: string, bytes: string | Uint8Array): void;
}

/** Makes machines whose guest is a function; its return powers the machine off. */
const machineOf = (guest: (guest: Guest) => Promise<void>): MachineMaker => async (config) => {
  const ended = Promise.withResolvers<{ reason: string }>();
  const stopped = Promise.withResolvers<void>();
  const ports = new Map<string, ConsoleBackend>([['serial', config.serial], ...config.ports.map(({ name, backend }) => [name, backend] as const)]);
  const say = (port: string, bytes: string | Uint8Array): void => void ports.get(port)!.write(Buffer.from(bytes as Uint8Array));
  return {
    start: () => void guest({ initrd: config.initrd, disk: config.disks[0]!, stopped: stopped.promise, say }).then(() => ended.resolve({ reason: 'power-off' })),
    stop: async () => {
      stopped.resolve();
      ended.resolve({ reason: 'stopped' });
    },
    ended: ended.promise,
  };
};

const INITRD = gzipSync('the initramfs of the guest');

/** A guest that configures as told and sends its initramfs. */
const goodGuest = machineOf(async ({ say, disk }) => {
  say('serial', 'Setting up mount\n');
  for (const name of ['base-files', 'mount', 'mount']) say('hanok.events', `status: ${name}: installed\nprocessing: configure: ${name}\n`);
  say('hanok.events', `step making the initramfs\ninitrd ${INITRD.length} ${sha256Hex(INITRD)}\nfini`);
  await disk.write(disk.sizeBytes - 512, Buffer.alloc(512, 1));
  say('hanok.initrd', INITRD);
  say('hanok.events', 'shed\n');
});

async function setUp(t: TestContext, createMachine: MachineMaker = goodGuest, kernel?: Uint8Array) {
  const more = [await makePackage('gcc', [{ name: './usr/bin/gcc', content: 'gcc' }], { depends: 'cpp | cpp-alternative' }), await makePackage('cpp', [])];
  const { options: common, server, cacheDirectory } = await setUpMirror(t, async (signer) => await makeDebianMirror(signer, more, kernel));
  const progress: Progress[] = [];
  const options: BuildDebianOptions = {
    ...common,
    createMachine,
    suggest: (word, candidates) => ` (${word} of ${candidates.length})`,
    onProgress: (state) => progress.push(state),
  };
  const left = async (): Promise<string[]> => (await readdir(join(cacheDirectory, 'images')).catch(() => [])).filter((name) => !name.startsWith('tiny'));
  return { server, options, progress, left, cacheDirectory };
}

/** Whether a text stands in what a small system uses of its disk. */
async function diskHolds(path: string, text: string): Promise<boolean> {
  const handle = await open(path);
  const { buffer } = await handle.read(Buffer.alloc(128 << 20), 0, 128 << 20, 0);
  await handle.close();
  return buffer.includes(text);
}

test('makes a disk that the guest configured, and a kernel and initramfs of its own', async (t) => {
  let configureInitrd: Uint8Array = new Uint8Array(0);
  const { options, progress, cacheDirectory } = await setUp(t, async (config) => {
    configureInitrd = config.initrd;
    return await goodGuest(config);
  });
  const image = await buildDebian(options);
  assert.equal(await readFile(image.kernel, 'utf8'), 'a kernel');
  assert.equal(await readFile(image.initrd, 'utf8'), 'the initramfs of the guest');
  assert.match(image.commandLine, /root=\/dev\/vda/);
  assert.equal(Buffer.from(readCpioFile(configureInitrd, 'preinst.list')).toString(), 'mount\n');
  assert.match(Buffer.from(readCpioFile(configureInitrd, 'init')).toString(), /hanok\.events/);
  const last = (label: RegExp) => progress.findLast((state) => label.test(state.label));
  assert.deepEqual([last(/configuring/)?.detail, last(/unpacking/)?.detail], ['2/12', '12/12']);
  const downloaded = last(/downloading 13 packages/)!;
  assert.equal(downloaded.done, downloaded.total);
  const listed = (await listImages({ cacheDirectory })).find(({ name }) => name === 'debian');
  assert.ok(listed!.cached && listed!.sizeBytes < 64 * 2 ** 20, `${listed!.sizeBytes}`);
  let ask: (request: string) => string;
  try {
    ask = (request) => execFileSync('debugfs', ['-R', request, image.disk], { encoding: 'utf8', stdio: 'pipe', env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } });
    ask('ls');
  } catch {
    t.skip('this computer has no e2fsprogs');
    return;
  }
  assert.match(ask('stat bin'), /Fast link dest: "usr\/bin"/);
  assert.match(ask('stat usr/bin/mount'), /Mode: +04755[\s\S]*User: +0 +Group: +0/);
  assert.match(ask('stat usr/lib/libmount'), /Mode: +0640[\s\S]*User: +0 +Group: +8/);
  assert.match(ask('stat tmp'), /Mode: +01777/);
  assert.equal(ask('cat var/lib/dpkg/info/mount.list'), '/bin/mount\n');
  assert.match(ask('stat var/lib/dpkg/info/mount.preinst'), /Mode: +0755/);
  assert.match(ask('cat var/lib/apt/extended_states'), /^Package: libmount\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: linux-image-6\.9-test\n/);
  assert.equal(ask('cat etc/apt/sources.list'), ['bookworm', 'bookworm-updates'].map((suite) => `deb ${options.mirror} ${suite} main\n`).join(''));
});

test('holds the kernel unpacked, as the machine that configures boots it', async (t) => {
  let booted: Uint8Array = new Uint8Array(0);
  const { options } = await setUp(
    t,
    async (config) => {
      booted = config.kernel;
      return await goodGuest(config);
    },
    makeBzImage(KERNEL_COMPRESSIONS.zstd(makeElf())),
  );
  const { kernel } = await buildDebian(options);
  assert.equal(basename(kernel), 'vmlinux');
  assert.match(Buffer.from(booted).toString('latin1'), /^\x7fELF[\s\S]*Linux/);
  assert.deepEqual(await readFile(kernel), Buffer.from(booted));
});

test('asks for nothing when it is there, offline too; each list of packages is an image of its own', async (t) => {
  const { options, server, left } = await setUp(t);
  const first = await buildDebian(options);
  const withGcc = await buildDebian({ ...options, packages: ['gcc'] });
  assert.notEqual(withGcc.disk, first.disk);
  assert.deepEqual([await diskHolds(first.disk, 'Package: cpp\n'), await diskHolds(withGcc.disk, 'Package: cpp\n')], [false, true]);
  await server.close();
  const dead: MachineMaker = async () => assert.fail('no machine is needed');
  assert.deepEqual(await buildDebian({ ...options, createMachine: dead, environment: {} }), first);
  assert.deepEqual(await buildDebian({ ...options, createMachine: dead, packages: ['gcc', 'gcc'] }), withGcc);
  assert.equal((await left()).length, 4);
});

test('a package that is not there is named, with what is near', async (t) => {
  const { options, left } = await setUp(t);
  await assert.rejects(buildDebian({ ...options, packages: ['gccc'] }), /no package gccc in this suite \(gccc of 15\)/);
  assert.deepEqual(await left(), []);
});

test('a configuration that fails says why and leaves nothing', async (t) => {
  const cases: [MachineMaker, RegExp][] = [
    [machineOf(async ({ say }) => {
      say('serial', 'one\n\x1b[31mdpkg: error\x1b[0m\r\n');
      say('hanok.events', 'failed configuring the packages\nfinished\n');
    }), /could not be configured: configuring the packages; its last messages: one \| dpkg: error$/],
    [machineOf(async () => {}), /the machine ended early \(power-off\); its last messages: none/],
    [machineOf(async ({ say }) => say('hanok.events', 'finished\n')), /initramfs did not arrive whole \(0 of unknown bytes\)/],
    [machineOf(async ({ say }) => {
      say('hanok.initrd', 'another');
      say('hanok.events', `initrd 7 ${'0'.repeat(64)}\nfinished\n`);
    }), /did not arrive whole \(7 of 7 bytes\)/],
  ];
  for (const [createMachine, message] of cases) {
    const { options, left } = await setUp(t, createMachine);
    await assert.rejects(buildDebian(options), message);
    assert.deepEqual(await left(), []);
  }
});

test('an abort ends the machine and leaves nothing, and what a killed build left is removed', async (t) => {
  const controller = new AbortController();
  let wasStopped = false;
  const { options, left, cacheDirectory } = await setUp(
    t,
    machineOf(async ({ stopped }) => {
      controller.abort();
      await stopped;
      wasStopped = true;
    }),
  );
  await assert.rejects(buildDebian({ ...options, signal: controller.signal }), { name: 'AbortError' });
  assert.ok(wasStopped);
  assert.deepEqual(await left(), []);
  // No process has that number.
  await writeFile(join(cacheDirectory, 'images', 'debian-bookworm-0.4194305-abcdef.tmp'), '');
  await buildDebian({ ...options, createMachine: goodGuest });
  assert.ok((await left()).every((name) => !name.endsWith('.tmp')));
});
