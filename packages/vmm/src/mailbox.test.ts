import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { VcpuBus } from '@hanok/machine';
import { mailboxBytes, serveMailboxes, wakeMailboxes } from './mailbox.ts';

const VCPUS = 3;
const ACCESSES = 300;

/** A vCPU's thread: writes a number of its own to a port and reads back what the device made of it. */
const BODY = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.module).then(({ MailboxBus }) => {
    const { buffer, vcpu, accesses } = workerData;
    const bus = new MailboxBus(buffer, vcpu);
    let wrong = 0;
    for (let count = 0; count < accesses; count++) {
      const value = vcpu * 0x10000 + count;
      bus.writePort(vcpu, value, 4);
      if (bus.readPort(vcpu, 4) !== value + 1) wrong++;
      bus.writeMmio(0xfee00000 + vcpu * 4, value, 2);
      if (bus.readMmio(0xfee00000 + vcpu * 4, 2) !== value + 2) wrong++;
    }
    parentPort.postMessage({ wrong, beyond: bus.readMmio(0x1_0000_0000, 4) });
  });
`;

test('accesses of several vCPUs are answered, each with its own value', async () => {
  const buffer = new SharedArrayBuffer(mailboxBytes(VCPUS));
  const stored = new Map<number, number>();
  const bus: VcpuBus = {
    readPort: (port) => stored.get(port)! + 1,
    writePort: (port, value) => void stored.set(port, value),
    readMmio: (gpa) => stored.get(gpa)! + 2,
    writeMmio: (gpa, value) => void stored.set(gpa, value),
  };
  let stopped = false;
  const served = serveMailboxes(buffer, VCPUS, bus, () => stopped);
  const module = new URL('./mailbox.ts', import.meta.url).href;
  const ends = await Promise.all(
    Array.from({ length: VCPUS }, (_, vcpu) => {
      const worker = new Worker(BODY, { eval: true, workerData: { module, buffer, vcpu, accesses: ACCESSES } });
      return new Promise<{ wrong: number; beyond: number }>((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  assert.deepEqual(ends, Array(VCPUS).fill({ wrong: 0, beyond: 0xffffffff }));
  stopped = true;
  wakeMailboxes(buffer);
  await served;
});
