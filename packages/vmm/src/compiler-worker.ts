import { receiveMessageOnPort } from 'node:worker_threads';
import { isGrown, machineMemory, NO_ARCHIVE, RegionModuleBuilder, RequestQueue, UnsettledRegions } from '@hanok/emulator';
import { threadData } from './machine-threads.ts';
import { openRegionFile } from './region-file.ts';
import type { FromCompiler, ToCompiler } from './remote-compiler.ts';
import { setRegionFlags, withoutBaseline } from './v8-flags.ts';
import type { CompilerWorkerData } from './vcpu-worker-data.ts';

/** Regions of one module at most: few, so that the first does not wait long for the last. */
const BATCH_REGIONS = 8;
/** The archive gets its regions when there is nothing to compile, or when so many modules' wait for it. */
const SETTLEMENTS_MAX = 200;

const { memory, memoryBytes, vcpuCount, helperNames, connections, requests, regionFile, canDoWithoutBaseline } = await threadData<CompilerWorkerData>();
setRegionFlags();
const ram = new Uint8Array(memory.buffer as ArrayBufferLike, machineMemory(vcpuCount, memoryBytes).ramAddress, memoryBytes);
const archive = regionFile === undefined ? NO_ARCHIVE : openRegionFile(regionFile);
const builder = new RegionModuleBuilder({ ram, helperNames, archive });
const requestCount = new Int32Array(requests);

const queues = connections.map((port) => ({ port, queue: new RequestQueue(memory.buffer as ArrayBufferLike), unsettled: new UnsettledRegions(archive) }));
for (const { port } of queues) port.postMessage({ archive: archive.tables } satisfies FromCompiler);

const settlements: (() => void)[] = [];

/** Compiles what there is, a module for each vCPU in turn; false where there was nothing. */
function compileAll(): boolean {
  let compiled = false;
  for (const { port, queue, unsettled } of queues) {
    for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) {
      const message: ToCompiler = received.message;
      if ('kept' in message) settlements.push(() => unsettled.settle(message));
      else queue.add(message);
    }
    const { requests, unwanted } = queue.take(BATCH_REGIONS);
    if (requests.length === 0 && unwanted.length === 0) continue;
    const build = () => builder.build(requests, unsettled);
    const { module, regions } = canDoWithoutBaseline && requests.some(isGrown) ? withoutBaseline(build) : build();
    port.postMessage({ module, regions: [...regions, ...unwanted.map((id) => ({ id, instructionCount: 0 }))] } satisfies FromCompiler);
    compiled = true;
  }
  return compiled;
}

for (;;) {
  const seen = Atomics.load(requestCount, 0);
  const compiled = compileAll();
  if (compiled && settlements.length < SETTLEMENTS_MAX) continue;
  const settle = settlements.shift();
  if (settle) settle();
  else if (!compiled) Atomics.wait(requestCount, 0, seen);
}
