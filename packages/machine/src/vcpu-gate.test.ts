import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { VcpuGate } from './vcpu-gate.ts';

const VCPUS = 3;
const ROUNDS = 2000;

/** A vCPU's thread: inside the gate it changes a counter without atomics; alone, it does so as well. */
const BODY = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.module).then(({ VcpuGate }) => {
    const { gate: buffer, counters, vcpu, vcpus, rounds } = workerData;
    const words = new Int32Array(counters);
    const flags = words.subarray(1);
    const gate = new VcpuGate(buffer, vcpus, vcpu, (other) => Atomics.store(flags, other, 1));
    for (let round = 0; round < rounds; round++) {
      gate.enter();
      gate.close();
      words[0] += 1;
      gate.open();
      // Guest code that looks at its attention flag.
      for (let count = 0; count < 50 && Atomics.exchange(flags, vcpu, 0) === 0; count++);
      gate.leave();
    }
    parentPort.postMessage('done');
  });
`;

test('one vCPU at a time is alone behind the gate', async () => {
  const gate = new SharedArrayBuffer(VcpuGate.sizeBytes(VCPUS));
  const counters = new SharedArrayBuffer(4 * (1 + VCPUS));
  const module = new URL('./vcpu-gate.ts', import.meta.url).href;
  const threads = Array.from({ length: VCPUS }, (_, vcpu) => {
    const worker = new Worker(BODY, { eval: true, workerData: { module, gate, counters, vcpu, vcpus: VCPUS, rounds: ROUNDS } });
    return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  });
  await Promise.all(threads);
  assert.equal(new Int32Array(counters)[0], VCPUS * ROUNDS);
});

test('closing the gate kicks only those inside, and opening it leaves the closer where it was', () => {
  const buffer = new SharedArrayBuffer(VcpuGate.sizeBytes(3));
  const kicked: number[] = [];
  const others = [0, 1].map((vcpu) => new VcpuGate(buffer, 3, vcpu, () => {}));
  const gate = new VcpuGate(buffer, 3, 2, (vcpu) => {
    kicked.push(vcpu);
    others[vcpu]!.leave();
  });
  others[1]!.enter();
  gate.close();
  assert.deepEqual(kicked, [1]);
  gate.open();
  // Outside before, outside after: closing from elsewhere kicks nobody.
  const third = new VcpuGate(buffer, 3, 0, () => assert.fail('nobody is inside'));
  third.close();
  third.open();
});
