import { parentPort, workerData } from 'node:worker_threads';
import type { InterpreterTables } from '@hanok/emulator';
import { createBareVcpu, runBare, type SharedMachine } from './bare-vcpu.ts';
import { lockedCases, OPERAND_PAGE, VCPUS } from './locked-cases.ts';

export interface LockedWorkerData {
  readonly shared: SharedMachine;
  readonly interpreter: { image: InterpreterTables; module: WebAssembly.Module };
  readonly vcpu: number;
  /** Words: how many threads have come to the start, how many cases are over. */
  readonly turns: SharedArrayBuffer;
  readonly compiled: boolean;
}

export const codeAddress = (index: number) => 0x4_0000 + index * 0x40;
const ARRIVED = 0;
const DONE = 1;

const { shared, interpreter, vcpu: number, turns, compiled } = workerData as LockedWorkerData;
const words = new Int32Array(turns);
const never = { hotCount: 1 << 30, doublingsMax: 0, batchRegions: 1, batchSlices: 1 };
const vcpu = createBareVcpu(shared, number, interpreter, compiled ? { hotCount: 50, doublingsMax: 0, batchRegions: 1, batchSlices: 1 } : never);

let regionModules = 0;
const { Module } = WebAssembly;
WebAssembly.Module = class extends Module {
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super(bytes);
    regionModules++;
  }
};

lockedCases(compiled).forEach(({ rounds, registers, offset }, index) => {
  const given = { rcx: BigInt(rounds), rbx: BigInt(OPERAND_PAGE + offset), ...registers(number) };
  const order = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
  const gpr = Array.from({ length: 16 }, (_, register) => (given as Record<string, bigint>)[order[register] ?? ''] ?? 0n);
  // Both begin together: the main thread has set the operand, and the other vCPU's thread is here.
  Atomics.add(words, ARRIVED, 1);
  while (Atomics.load(words, ARRIVED) < (index + 1) * VCPUS) if (Atomics.load(words, DONE) < index) Atomics.wait(words, DONE, Atomics.load(words, DONE), 1);
  const end = runBare(vcpu, codeAddress(index), gpr);
  parentPort!.postMessage({ index, vector: end.vector, rdi: end.gpr[7], regionModules });
  while (Atomics.load(words, DONE) <= index) Atomics.wait(words, DONE, index, 100);
});
