import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MachineEnd } from '@hanok/vmm';
import { runCli } from './cli.ts';
import { Interrupted } from './errors.ts';
import type { Services } from './services.ts';
import { fakeIo } from './testing/fake-io.ts';
import { type FakeGuest, fakeServices } from './testing/fake-machine.ts';

const POWER_OFF: MachineEnd = { reason: 'power-off' };

/** Runs one command line against a guest and gives all that came out. */
async function runWith(args: readonly string[], guest: (guest: FakeGuest) => Promise<MachineEnd>, overrides: Partial<Services> = {}) {
  const fake = fakeIo();
  fake.stdin.end();
  const status = await runCli(['run', ...args], fake.io, fakeServices(guest, overrides));
  return { status, stdout: fake.stdout(), stderr: fake.stderr() };
}

test('a command has streams of its own, binary safe, and its exit status is ours', async () => {
  const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const fake = fakeIo();
  fake.stdin.end(everyByte);
  let script = '';
  const guest = async (guest: FakeGuest) => {
    script = Buffer.from(guest.config.initrd ?? []).toString();
    await guest.send('serial', 'Linux version 6.1\n');
    await guest.send('hanok.console', 'Run /init\n');
    for await (const bytes of guest.receive('hanok.stdin')) await guest.send('hanok.stdout', bytes);
    await guest.send('hanok.stderr', 'warned\n');
    await guest.send('hanok.status', '7\n');
    return POWER_OFF;
  };
  const status = await runCli(['run', '--', 'sh', '-c', "uname -a; echo 'x'"], fake.io, fakeServices(guest));
  assert.equal(status, 7);
  assert.deepEqual(fake.stdoutBytes(), Buffer.from(everyByte));
  assert.equal(fake.stderr(), 'warned\n');
  assert.ok(script.endsWith("exec 'sh' '-c' 'uname -a; echo '\\''x'\\'''\n"), script.slice(-80));
});

test('a machine that ends without a status is an error that says so', async () => {
  const { status, stderr } = await runWith(['--', 'poweroff'], async () => POWER_OFF);
  assert.equal(status, 1);
  assert.match(stderr, /^hanok: the machine powered off without giving the command's exit status; .*\n$/);
});

test("a guest's panic is told with the end of its console", async () => {
  const { status, stderr } = await runWith(['--', 'true'], async (guest) => {
    await guest.send('hanok.console', 'all is well\r\n\x1b[31mKernel panic - not syncing: no init\x1b[0m\r\n');
    return { reason: 'reset' };
  });
  assert.equal(status, 1);
  assert.match(stderr, /^hanok: guest: all is well\nhanok: guest: Kernel panic - not syncing: no init\n/);
  assert.match(stderr, /hanok: the guest's kernel panicked before the command ended: Kernel panic - not syncing: no init; --log FILE .*\n$/);
});

test('a crash is an error even where the command had ended', async () => {
  const { status, stderr } = await runWith(['--', 'true'], async (guest) => {
    await guest.send('hanok.status', '0\n');
    return { reason: 'crashed', detail: 'the vCPU thread ended' };
  });
  assert.equal(status, 1);
  assert.match(stderr, /^hanok: the machine crashed before the command ended: the vCPU thread ended; /);
});

test('being told to end stops the machine and gives 128 + signal', async () => {
  const fake = fakeIo();
  const guest = async () => {
    fake.interrupt(new Interrupted('SIGINT', 2));
    return new Promise<MachineEnd>(() => {});
  };
  assert.equal(await runCli(['run', '--', 'sleep', '9'], fake.io, fakeServices(guest)), 130);
  assert.equal(fake.stderr(), '');
});

test('being told to end while an image is made ends that', async () => {
  const fake = fakeIo();
  const buildImage: Services['buildImage'] = (_name, { signal }) =>
    new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
      fake.interrupt(new Interrupted('SIGTERM', 15));
    });
  assert.equal(await runCli(['run'], fake.io, fakeServices(async () => POWER_OFF, { buildImage })), 143);
  assert.equal(fake.stderr(), '');
});

test('when nobody reads the output any more, the machine is stopped', async () => {
  const fake = fakeIo();
  const guest = async (guest: FakeGuest): Promise<MachineEnd> => {
    fake.io.stdout.destroy(new Error('write EPIPE'));
    for (;;) await guest.send('hanok.stdout', 'y\n');
  };
  assert.equal(await runCli(['run', '--', 'yes'], fake.io, fakeServices(guest)), 141);
  assert.equal(fake.stderr(), '');
});

test('--profile prints a table and writes a file for speedscope', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hanok-cli-'));
  try {
    const path = join(folder, 'profile.json');
    const { stderr } = await runWith(['--profile', path], async ({ config }) => (assert.equal(config.profile, true), POWER_OFF));
    assert.match(stderr, /66\.7% +2\.000 s +compiled code\n/);
    assert.match(stderr, /kernel start_kernel\+0x123\n/);
    assert.equal(JSON.parse(await readFile(path, 'utf8')).profiles[0].name, 'vCPU 0');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('--trace exits prints the table after the run, whatever its end', async () => {
  const ok = await runWith(['--trace', 'exits'], async () => POWER_OFF);
  assert.equal(ok.status, 0);
  assert.match(ok.stderr, /^exit .*\nport-io +500 +250\.0\n/);
  const failed = await runWith(['--trace', 'exits', '--', 'true'], async () => POWER_OFF);
  assert.match(failed.stderr, /port-io +500.*hanok: the machine powered off/s);
});

test('memory, kernel command line and disks reach the machine in order, and disks are closed', async () => {
  const calls: string[] = [];
  const disk = async (name: string) => {
    calls.push(`open ${name}`);
    return { sizeBytes: 0, readOnly: false, read: async () => {}, write: async () => {}, flush: async () => {}, discard: async () => {}, close: async () => void calls.push(`close ${name}`) };
  };
  const args = ['--memory', '100000000', '--append', 'quiet', '--overlay-disk', 'b', '--disk', 'a', '--read-only-disk', 'c'];
  const { status } = await runWith(
    args,
    async ({ config }) => {
      calls.push(`${config.memoryBytes / 2 ** 20} MiB, ${config.commandLine}, ${config.disks.length} disks`);
      const random = new Uint8Array(new SharedArrayBuffer(70_000));
      config.entropy.fill(random);
      assert.ok(random.subarray(65536).some((byte) => byte !== 0));
      return POWER_OFF;
    },
    {
      openRawDisk: (path, { readOnly }) => disk(`${path}${readOnly ? ' read-only' : ''}`),
      openOverlayDisk: (path) => disk(`over ${path}`),
    },
  );
  assert.equal(status, 0);
  assert.deepEqual(calls, [
    'open over b',
    'open a',
    'open c read-only',
    '96 MiB, console=ttyS0 quiet, 3 disks',
    'close c read-only',
    'close a',
    'close over b',
  ]);
});

test('an image with a disk has it first, as an overlay, and its own memory where none is named', async () => {
  const seen: string[] = [];
  const disk = async (name: string) => {
    seen.push(name);
    return { sizeBytes: 0, readOnly: false, read: async () => {}, write: async () => {}, flush: async () => {}, discard: async () => {}, close: async () => {} };
  };
  const overrides: Partial<Services> = {
    buildImage: async (name, { packages, refresh }) => {
      seen.push(`${name} ${packages?.join('+')} ${refresh}`);
      return { kernel: import.meta.filename, initrd: import.meta.filename, commandLine: 'root=/dev/vda', disk: '/base', memoryBytes: 512 * 2 ** 20 };
    },
    openRawDisk: disk,
    openOverlayDisk: (path) => disk(`over ${path}`),
  };
  const guest = async ({ config }: FakeGuest): Promise<MachineEnd> => {
    seen.push(`${config.memoryBytes / 2 ** 20} MiB`);
    return POWER_OFF;
  };
  assert.equal((await runWith(['--disk', 'mine', '--packages', 'gcc, git,', '--refresh', 'tiny'], guest, overrides)).status, 0);
  assert.deepEqual(seen.splice(0), ['tiny gcc+git true', 'over /base', 'mine', '512 MiB']);
  assert.equal((await runWith(['--memory', '2G'], guest, overrides)).status, 0);
  assert.deepEqual(seen, ['tiny undefined undefined', 'over /base', '2048 MiB']);
});

test('a kernel of the user boots with its own command line, its console where that says', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hanok-'));
  t.after(() => rm(folder, { recursive: true }));
  const [kernel, initrd] = [join(folder, 'vmlinuz'), join(folder, 'initrd')];
  await writeFile(kernel, 'the kernel');
  await writeFile(initrd, 'the initrd');
  const boot = async (...args: string[]) => {
    let seen = '';
    const result = await runWith(['--kernel', kernel, ...args], async ({ config, send }) => {
      seen = `${Buffer.from(config.kernel)}|${config.initrd ? Buffer.from(config.initrd) : ''}|${config.commandLine}`;
      await send('serial', 'from serial');
      if (config.ports.length > 0) await send('hanok.console', 'from hvc0');
      return POWER_OFF;
    });
    return { ...result, seen };
  };
  const plain = await boot();
  assert.deepEqual([plain.status, plain.seen, plain.stdout], [0, 'the kernel||console=ttyS0', 'from serial']);
  const full = await boot('--initrd', initrd, '--append', 'console=ttyS0 console=hvc0 ro');
  assert.deepEqual([full.seen, full.stdout], ['the kernel|the initrd|console=ttyS0 console=hvc0 ro', 'from hvc0']);
});

test('--log keeps what the devices report and the console that is not shown', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hanok-'));
  t.after(() => rm(folder, { recursive: true }));
  const logPath = join(folder, 'log');
  await runWith(['--log', logPath, '--', 'true'], async ({ config, send }) => {
    config.onLog?.('virtio-blk: reset');
    await send('hanok.console', 'Linux version\n');
    await send('hanok.status', '0');
    return POWER_OFF;
  });
  assert.equal(await readFile(logPath, 'utf8'), 'virtio-blk: reset\nLinux version\n');
});

test('what cannot be done is named with the mend; 2 for the command line, 1 for the rest', async () => {
  const cases: [string[], number, RegExp][] = [
    [['--memory', '1M'], 2, /^hanok: --memory 1 MiB is too little for a guest; give at least 64M\n$/],
    [['--memory', '4G'], 2, /--memory 4 GiB is more than a machine can have; give at most 3G/],
    [['tinny'], 2, /there is no image "tinny" \(did you mean tiny\?\); "hanok images" lists them/],
    [['--initrd', 'x'], 2, /--initrd goes with a kernel; add --kernel FILE/],
    [['tiny', '--kernel', 'x'], 2, /leave out tiny or --kernel/],
    [['--kernel', 'x', '--', 'ls'], 2, /leave out --kernel or the command/],
    [['--kernel', 'x', '--packages', 'gcc'], 2, /--packages and --refresh go with an image/],
    [['--packages', 'gcc,Not_One'], 2, /--packages: "Not_One" cannot be the name of a package/],
    [['--kernel', '/no/such/file'], 1, /^hanok: cannot read --kernel \/no\/such\/file: ENOENT; name a file that you may read\n$/],
    [['--kernel', '/'], 1, /cannot read --kernel \/: it is not a file/],
    [['--profile', '/no/such/folder/profile'], 1, /cannot write --profile \/no\/such\/folder\/profile \(ENOENT\)/],
    [['--log', '/no/such/folder/log'], 1, /cannot write --log \/no\/such\/folder\/log \(ENOENT\)/],
  ];
  for (const [args, expected, message] of cases) {
    const { status, stderr } = await runWith(args, async () => POWER_OFF);
    assert.match(stderr, message);
    assert.equal(status, expected, args.join(' '));
  }
});

test('errors are one line, faults are told apart, and HANOK_DEBUG=1 shows the stack', async () => {
  const failing = (error: Error) => fakeServices(async () => POWER_OFF, { buildImage: async () => Promise.reject(error) });
  const plain = fakeIo();
  assert.equal(await runCli(['run'], plain.io, failing(new Error('no\n  mirror; name one'))), 1);
  assert.equal(plain.stderr(), 'hanok: no mirror; name one\n');
  const fault = fakeIo();
  await runCli(['run'], fault.io, failing(new TypeError('x is undefined')));
  assert.equal(fault.stderr(), 'hanok: a fault in hanok itself: x is undefined; HANOK_DEBUG=1 shows where\n');
  const debug = fakeIo({ env: { HANOK_DEBUG: '1' } });
  await runCli(['run'], debug.io, failing(new Error('no mirror')));
  assert.match(debug.stderr(), /^hanok: Error: no mirror\n +at /);
});

test('without a name, a command line is one of run', async () => {
  for (const args of [[], ['--memory', '64M'], ['--', 'true']]) {
    const fake = fakeIo();
    fake.stdin.end();
    let resets: string | undefined;
    const guest = async ({ config, send }: FakeGuest): Promise<MachineEnd> => {
      resets = config.onReset;
      if (args.includes('--')) await send('hanok.status', '0');
      return POWER_OFF;
    };
    assert.equal(await runCli(args, fake.io, fakeServices(guest)), 0, args.join(' '));
    assert.equal(resets, 'end');
  }
});

test('a person’s machine starts again after a reset', async () => {
  const fake = fakeIo({ terminal: true });
  let resets: string | undefined;
  const guest = async ({ config }: FakeGuest): Promise<MachineEnd> => {
    resets = config.onReset;
    return POWER_OFF;
  };
  assert.equal(await runCli([], fake.io, fakeServices(guest)), 0);
  assert.equal(resets, 'restart');
});
