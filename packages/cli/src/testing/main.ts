// The program as a process, with a guest that lives here: it says what it got on its console, or what it was told to run.
import { runCli } from '../cli.ts';
import { runProcess } from '../run-process.ts';
import { type FakeGuest, fakeServices } from './fake-machine.ts';

async function guest(machine: FakeGuest) {
  if (!machine.config.ports.some(({ name }) => name === 'hanok.status')) {
    await machine.send('hanok.console', 'booted\r\n');
    for await (const bytes of machine.receive('hanok.console')) {
      await machine.send('hanok.console', `<${Buffer.from(bytes).toString('hex')}>`);
      if (bytes.includes(0x78)) throw new Error('x was typed');
      if (bytes.includes(0x75)) {
        setImmediate(() => {
          throw new TypeError('u was typed');
        });
      }
      if (bytes.includes(0x04)) break;
    }
    return { reason: 'power-off' } as const;
  }
  const script = Buffer.from(machine.config.initrd ?? []).toString();
  if (script.includes("exec 'yes'")) for (;;) await machine.send('hanok.stdout', 'y\n'.repeat(4096));
  if (script.includes("exec 'wait'")) {
    await machine.send('hanok.stdout', 'waiting\n');
    await new Promise(() => {});
  }
  await machine.send('hanok.console', 'Linux\n');
  for await (const bytes of machine.receive('hanok.stdin')) await machine.send('hanok.stdout', bytes);
  await machine.send('hanok.stderr', 'done\n');
  await machine.send('hanok.status', '7\n');
  return { reason: 'power-off' } as const;
}

await runProcess((io) => runCli(process.argv.slice(2), io, fakeServices(guest)));
