import { receiveMessageOnPort } from 'node:worker_threads';
import { type CompiledModule, machineMemory, RegionModuleBuilder, RequestQueue } from '@hanok/emulator';
import { threadData } from './machine-threads.ts';
import { setRegionFlags } from './v8-flags.ts';
import type { CompilerWorkerData } from './vcpu-worker-data.ts';

/** Regions of one module at most: few, so that the first does not wait long for the last. */
const BATCH_REGIONS = 8;

const { memory, memoryBytes, vcpuCount, helperNames, connections, requests } = await threadData<CompilerWorkerData>();
setRegionFlags();
const ram = new Uint8Array(memory.buffer as ArrayBufferLike, machineMemory(vcpuCount, memoryBytes).ramAddress, memoryBytes);
const builder = new RegionModuleBuilder({ ram, helperNames });
const requestCount = new Int32Array(requests);

const queues = connections.map((port) => ({ port, queue: new RequestQueue(memory.buffer as ArrayBufferLike) }));

/** Compiles what there is, a module for each vCPU in turn; false where there was nothing. */
function compileAll(): boolean {
  let compiled = false;
  for (const { port, queue } of queues) {
    for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) queue.add(received.message);
    const { requests, unwanted } = queue.take(BATCH_REGIONS);
    if (requests.length === 0 && unwanted.length === 0) continue;
    const { module, regions } = builder.build(requests);
    port.postMessage({ module, regions: [...regions, ...unwanted.map((id) => ({ id, instructionCount: 0 }))] } satisfies CompiledModule);
    compiled = true;
  }
  return compiled;
}

for (;;) {
  const seen = Atomics.load(requestCount, 0);
  if (!compileAll()) Atomics.wait(requestCount, 0, seen);
}
