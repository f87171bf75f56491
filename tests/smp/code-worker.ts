import { parentPort, workerData } from 'node:worker_threads';
import type { InterpreterTables } from '@hanok/emulator';
import { createBareVcpu, runBare, type SharedMachine } from './bare-vcpu.ts';

export interface CodeWorkerData {
  readonly shared: SharedMachine;
  readonly interpreter: { image: InterpreterTables; module: WebAssembly.Module };
  readonly vcpu: number;
  readonly hotCount: number;
  readonly address: number;
  readonly gpr: readonly bigint[];
}

const { shared, interpreter, vcpu, hotCount, address, gpr } = workerData as CodeWorkerData;
const { vector, gpr: after } = runBare(createBareVcpu(shared, vcpu, interpreter, { hotCount, doublingsMax: 0, batchRegions: 1, batchSlices: 1 }), address, gpr);
parentPort!.postMessage({ vector, rdi: after[7] });
