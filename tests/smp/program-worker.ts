import { parentPort, workerData } from 'node:worker_threads';
import type { InterpreterTables } from '@hanok/emulator';
import { createBareVcpu, runBare, type SharedMachine } from './bare-vcpu.ts';

export interface ProgramWorkerData {
  readonly shared: SharedMachine;
  readonly interpreter: { image: InterpreterTables; module: WebAssembly.Module };
  readonly vcpu: number;
  /** How often a block runs before it is compiled. */
  readonly hotCount: number;
  readonly address: number;
  readonly gpr: readonly bigint[];
  /** A word that counts the threads that are ready; all begin together. */
  readonly start: SharedArrayBuffer;
}

const { shared, interpreter, vcpu, hotCount, address, gpr, start } = workerData as ProgramWorkerData;
const bare = createBareVcpu(shared, vcpu, interpreter, { hotCount, doublingsMax: 0, batchRegions: 1, batchSlices: 1 });
const ready = new Int32Array(start);
Atomics.add(ready, 0, 1);
while (Atomics.load(ready, 0) < shared.vcpuCount) Atomics.wait(ready, 0, Atomics.load(ready, 0), 1);
parentPort!.postMessage(runBare(bare, address, gpr));
