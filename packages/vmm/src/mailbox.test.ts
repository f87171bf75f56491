import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { VcpuBus } from '@hanok/machine';
import { MailboxBus, mailboxBytes, serveMailboxes, wakeMailboxes } from './mailbox.ts';

const VCPUS = 3;
const ACCESSES = 300;
const HANDOVERS = 300;
const POSTED_PORT = 8;
const REGISTER = 0xfee00000;

/** A vCPU's thread: writes a number of its own to a port and reads back what the device made of it. */
const BODY = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.module).then(({ MailboxBus }) => {
    const { buffer, vcpu, accesses } = workerData;
    const bus = new MailboxBus(buffer, vcpu, (port) => port >= ${POSTED_PORT});
    let wrong = 0;
    for (let count = 0; count < accesses; count++) {
      const value = vcpu * 0x10000 + count;
      const port = vcpu + (count & 1) * ${POSTED_PORT};
      bus.writePort(port, value, 4);
      if (bus.readPort(port, 4) !== value + 1) wrong++;
      bus.writeMmio(${REGISTER} + vcpu * 4, value, 2);
      if (bus.readMmio(${REGISTER} + vcpu * 4, 2) !== value + 2) wrong++;
    }
    parentPort.postMessage({ wrong, beyond: bus.readMmio(0x1_0000_0000, 4) });
  });
`;

/** Two vCPUs' threads in turn: each reads what the other wrote before it handed over, and writes the next number. */
const HANDOVER_BODY = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.module).then(({ MailboxBus }) => {
    const { buffer, vcpu, turn, handovers } = workerData;
    const bus = new MailboxBus(buffer, vcpu, () => false);
    const next = new Int32Array(turn);
    let wrong = 0;
    for (let count = vcpu; count < handovers; count += 2) {
      while (Atomics.load(next, 0) !== count) Atomics.wait(next, 0, count - 1);
      if (bus.readMmio(${REGISTER}, 4) !== count) wrong++;
      bus.writeMmio(${REGISTER}, count + 1, 4);
      Atomics.store(next, 0, count + 1);
      Atomics.notify(next, 0);
    }
    parentPort.postMessage({ wrong });
  });
`;

/** Answers what so many threads of `body` ask, and gives what each sends at its end. */
async function serve(body: string, count: number, bus: VcpuBus, data: object): Promise<unknown[]> {
  const buffer = new SharedArrayBuffer(mailboxBytes(count));
  let stopped = false;
  const served = serveMailboxes(buffer, count, bus, () => stopped);
  const module = new URL('./mailbox.ts', import.meta.url).href;
  const ends = await Promise.all(
    Array.from({ length: count }, (_, vcpu) => {
      const worker = new Worker(body, { eval: true, workerData: { module, buffer, vcpu, ...data } });
      return new Promise<unknown>((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  stopped = true;
  wakeMailboxes(buffer);
  await served;
  return ends;
}

const noBus: VcpuBus = { readPort: () => 0, writePort() {}, readMmio: () => 0, writeMmio() {} };

test('accesses of several vCPUs are answered, each with its own value', async () => {
  const stored = new Map<number, number>();
  const bus: VcpuBus = {
    readPort: (port) => stored.get(port)! + 1,
    writePort: (port, value) => void stored.set(port, value),
    readMmio: (gpa) => stored.get(gpa)! + 2,
    writeMmio: (gpa, value) => void stored.set(gpa, value),
  };
  assert.deepEqual(await serve(BODY, VCPUS, bus, { accesses: ACCESSES }), Array(VCPUS).fill({ wrong: 0, beyond: 0xffffffff }));
});

test('a posted write is done before what another vCPU asks once it was told of it', async () => {
  let register = 0;
  const bus = { ...noBus, readMmio: () => register, writeMmio: (_gpa: number, value: number) => void (register = value) };
  assert.deepEqual(await serve(HANDOVER_BODY, 2, bus, { turn: new SharedArrayBuffer(4), handovers: HANDOVERS }), [{ wrong: 0 }, { wrong: 0 }]);
});

test('vCPUs go on behind posted writes, which are done in the order they were made', async () => {
  const buffer = new SharedArrayBuffer(mailboxBytes(2));
  // Nobody answers yet: a write that is not posted would wait for ever.
  new MailboxBus(buffer, 1, (port) => port === POSTED_PORT).writePort(POSTED_PORT, 5, 1);
  new MailboxBus(buffer, 0, () => false).writeMmio(REGISTER, 6, 4);
  const seen: number[] = [];
  const bus = { ...noBus, writeMmio: (_gpa: number, value: number) => void seen.push(value), writePort: (_port: number, value: number) => void seen.push(value) };
  await serveMailboxes(buffer, 2, bus, () => seen.length === 2);
  assert.deepEqual(seen, [5, 6]);
});
