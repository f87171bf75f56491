import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { MachineEnd } from '@hanok/vmm';
import { runCli } from './cli.ts';
import { Interrupted } from './errors.ts';
import { findConsoles } from './terminal-front.ts';
import { type FakeIo, fakeIo } from './testing/fake-io.ts';
import { type FakeGuest, fakeServices } from './testing/fake-machine.ts';

async function atTerminal(guest: (guest: FakeGuest, fake: FakeIo) => Promise<MachineEnd>): Promise<FakeIo & { status: number }> {
  const fake = fakeIo({ terminal: true });
  const status = await runCli(['run'], fake.io, fakeServices((machine) => guest(machine, fake)));
  return { ...fake, status };
}

const never = () => new Promise<MachineEnd>(() => {});

test('the guest gets the keys, the screen and its size; the terminal is put back', async () => {
  let typed = '';
  const end = await atTerminal(async (guest, fake) => {
    await guest.send('hanok.console', '# ');
    fake.resize(132, 50);
    fake.stdin.write('\x03ls\x1d\x1d\r');
    for await (const bytes of guest.receive('hanok.console')) {
      typed += Buffer.from(bytes).toString();
      if (typed.endsWith('\r')) break;
    }
    assert.deepEqual(guest.sizes('hanok.console'), ['80x24', '132x50']);
    return { reason: 'power-off' };
  });
  assert.equal(end.status, 0);
  assert.equal(typed, '\x03ls\x1d\r');
  assert.deepEqual(end.rawModes, [true, false]);
  assert.ok(end.stdout().startsWith('# '));
  assert.match(end.stderr(), /^hanok: .*Ctrl-\] then q powers it off/);
});

test('Ctrl-] q ends a machine that takes no input', async () => {
  const end = await atTerminal(async (_guest, fake) => {
    fake.stdin.write('x'.repeat(1000));
    await setImmediate();
    fake.stdin.write('\x1dq');
    return never();
  });
  assert.equal(end.status, 0);
  assert.deepEqual(end.rawModes, [true, false]);
});

test('Ctrl-] p presses the power button, Ctrl-] ? tells the keys', async () => {
  const end = await atTerminal(async (guest, fake) => {
    fake.stdin.write('\x1d?\x1dp');
    await guest.powerButton;
    return { reason: 'power-off' };
  });
  assert.equal(end.status, 0);
  assert.match(end.stderr(), /press its power button/);
});

test('Ctrl-] q while the machine is still being made is not lost', async () => {
  const fake = fakeIo({ terminal: true });
  const services = fakeServices(never);
  const createMachine: typeof services.createMachine = async (config) => {
    fake.stdin.write('\x1dq');
    await setImmediate();
    return services.createMachine(config);
  };
  assert.equal(await runCli(['run'], fake.io, { ...services, createMachine }), 0);
  assert.deepEqual(fake.rawModes, [true, false]);
});

test('the terminal is put back after a signal, a crash and a fault', async () => {
  const signalled = await atTerminal(async (_guest, fake) => {
    fake.interrupt(new Interrupted('SIGHUP', 1));
    return never();
  });
  const crashed = await atTerminal(async () => ({ reason: 'crashed', detail: 'triple fault' }));
  const faulty = await atTerminal(async () => Promise.reject(new TypeError('oops')));
  assert.deepEqual([signalled.status, crashed.status, faulty.status], [129, 1, 1]);
  assert.match(crashed.stderr(), /hanok: the machine crashed: triple fault; /);
  for (const { rawModes, stdout } of [signalled, crashed, faulty]) {
    assert.deepEqual(rawModes, [true, false]);
    assert.ok(stdout().endsWith('\x1b[?7h'));
  }
});

test('piped input is followed by Ctrl-D, and there is no raw mode', async () => {
  const fake = fakeIo();
  fake.stdin.end('poweroff\n');
  let got = '';
  const guest = async (guest: FakeGuest): Promise<MachineEnd> => {
    await setImmediate();
    await guest.send('hanok.console', '# ');
    for await (const bytes of guest.receive('hanok.console')) {
      got += Buffer.from(bytes).toString();
      if (got.endsWith('\x04')) break;
    }
    return { reason: 'power-off' };
  };
  assert.equal(await runCli(['run', 'tiny'], fake.io, fakeServices(guest)), 0);
  assert.equal(got, 'poweroff\n\x04');
  assert.equal(fake.stderr(), '');
});

test('an image has its shell on the virtio console, and what the kernel says on the serial port is shown too', async () => {
  const fake = fakeIo();
  const guest = async ({ config, send }: FakeGuest): Promise<MachineEnd> => {
    await send('serial', 'a warning\n');
    await send('hanok.console', '# ');
    assert.equal(config.ports[0]?.isConsole, true);
    return { reason: 'power-off' };
  };
  assert.equal(await runCli(['run'], fake.io, fakeServices(guest)), 0);
  assert.equal(fake.stdout(), 'a warning\n# ');
});

test('the last console= of the kernel command line has the user, and nothing is shown twice', () => {
  const serial = { user: 'serial', showSerial: false };
  assert.deepEqual(findConsoles('console=ttyS0 console=hvc0', false), { user: 'virtio', showSerial: false });
  assert.deepEqual(findConsoles('console=hvc0 console=ttyS0,115200 quiet', false), serial);
  assert.deepEqual(findConsoles('quiet', false), serial);
  assert.deepEqual(findConsoles('console=ttyS0', true), { user: 'virtio', showSerial: true });
  assert.deepEqual(findConsoles('console=ttyS0 console=hvc0', true), { user: 'virtio', showSerial: false });
});

test('a guest learns which terminal it has, where that is a name', async () => {
  for (const [name, expected] of [['xterm-256color', 'console=ttyS0 TERM=xterm-256color quiet'], ['x init=/bin/sh', 'console=ttyS0 quiet']] as const) {
    const fake = fakeIo({ terminal: true, env: { TERM: name } });
    let commandLine = '';
    const guest = async ({ config }: FakeGuest): Promise<MachineEnd> => {
      commandLine = config.commandLine;
      return { reason: 'power-off' };
    };
    await runCli(['run', '--append', 'quiet'], fake.io, fakeServices(guest));
    assert.equal(commandLine, expected);
  }
});
