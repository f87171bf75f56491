import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { buildInterpreter, machineMemory } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { createSharedMachine, RAM_BYTES } from './bare-vcpu.ts';
import { COUNTER, type LockedCase, lockedCases, OPERAND_PAGE, VCPUS } from './locked-cases.ts';
import type { LockedWorkerData } from './locked-worker.ts';

const INVALID_OPCODE = 6;
const CODE = 0x4_0000;
const { bytes, ...image } = buildInterpreter();
const interpreter = { image, module: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>) };

for (const compiled of [false, true]) {
  test(`LOCKed instructions on two threads, ${compiled ? 'compiled' : 'interpreted'}`, { timeout: 120_000 }, async (t) => {
    const cases = lockedCases(compiled);
    const shared = createSharedMachine(VCPUS);
    const ram = new GuestMemory(shared.memory, machineMemory(VCPUS, RAM_BYTES).ramAddress, RAM_BYTES);
    cases.forEach(({ code }, index) => ram.write(CODE + index * 0x40, code));
    const turns = new SharedArrayBuffer(8);
    const prepare = (index: number) => {
      ram.slice(OPERAND_PAGE, 0x2000)!.fill(0);
      ram.writeU32(COUNTER, 0);
      const { initial, offset } = cases[index] ?? { initial: 0n, offset: 0 };
      ram.writeU64(OPERAND_PAGE + offset, initial);
    };
    prepare(0);
    const workers = Array.from({ length: VCPUS }, (_, vcpu) => new Worker(new URL('./locked-worker.ts', import.meta.url), {
      workerData: { shared, interpreter, vcpu, turns, compiled } satisfies LockedWorkerData,
    }));
    let waiting = VCPUS;
    let regionModules = 0;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failures: string[] = [];
    for (const worker of workers) {
      worker.on('error', reject);
      worker.on('message', ({ index, vector, rdi, ...counts }: { index: number; vector: number; rdi: bigint; regionModules: number }) => {
        regionModules = counts.regionModules;
        const expected = cases[index]!;
        if (vector !== INVALID_OPCODE) failures.push(`${expected.name}: exception ${vector}`);
        if (expected.carries !== undefined && rdi !== BigInt(expected.carries)) failures.push(`${expected.name}: ${rdi} carries, not ${expected.carries}`);
        if (--waiting > 0) return;
        waiting = VCPUS;
        failures.push(...compare(ram, expected));
        prepare(index + 1);
        const words = new Int32Array(turns);
        Atomics.add(words, 1, 1);
        Atomics.notify(words, 1);
        if (index + 1 === cases.length) resolve();
      });
    }
    await promise.finally(() => Promise.all(workers.map((worker) => worker.terminate())));
    t.diagnostic(`${cases.length} cases, ${regionModules} modules of compiled regions`);
    assert.equal(regionModules > cases.length / 8, compiled);
    assert.deepEqual(failures, []);
  });
}

/** The operand and nothing around it has changed. */
function compare(ram: GuestMemory, wanted: LockedCase): string[] {
  const { name, offset, sizeBytes, operand, counter } = wanted;
  const expected = new Uint8Array(0x2000);
  for (let byte = 0; byte < sizeBytes; byte++) expected[offset + byte] = Number((operand >> BigInt(byte * 8)) & 0xffn);
  const found = ram.slice(OPERAND_PAGE, 0x2000)!;
  const failures: string[] = [];
  if (Buffer.compare(Buffer.from(found), Buffer.from(expected)) !== 0) failures.push(`${name}: ${ram.readU64(OPERAND_PAGE + offset)!.toString(16)} instead of ${operand.toString(16)}`);
  if (ram.readU32(COUNTER) !== counter) failures.push(`${name}: counter ${ram.readU32(COUNTER)} instead of ${counter}`);
  return failures;
}
