import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { isGrown, machineMemory, RegionModuleBuilder, RequestQueue, UnsettledRegions } from '@hanok/emulator';
import { openParts } from './archive-parts.ts';
import { threadData } from './machine-threads.ts';
import { NO_REGION_FILE, openRegionFile } from './region-file.ts';
import { COMPILE_REQUESTS, COMPILE_STOP, type FromCompiler, type ToCompiler } from './remote-compiler.ts';
import { setRegionFlags, withoutBaseline } from './v8-flags.ts';
import type { CompilerWorkerData } from './vcpu-worker-data.ts';

/** Regions of one module at most: few, so that the first does not wait long for the last. */
const BATCH_REGIONS = 8;
/** The archive gets its regions when there is nothing to compile, or when so many modules' wait for it, or at the end. */
const SETTLEMENTS_MAX = 200;

const { memory, memoryBytes, vcpuCount, helperNames, connections, requests, regionFile, canDoWithoutBaseline } = await threadData<CompilerWorkerData>();
const ram = new Uint8Array(memory.buffer as ArrayBufferLike, machineMemory(vcpuCount, memoryBytes).ramAddress, memoryBytes);
const file = regionFile === undefined ? NO_REGION_FILE : openRegionFile(regionFile);
const { archive, flush } = file;
const builder = new RegionModuleBuilder({ ram, helperNames });
const control = new Int32Array(requests);
const queues = connections.map((port) => ({ port, queue: new RequestQueue(memory.buffer as ArrayBufferLike), unsettled: new UnsettledRegions(archive) }));
const settlements: (() => void)[] = [];

/** Gives the vCPUs what was compiled before. */
function openArchive(): void {
  const parts = regionFile === undefined ? [] : openParts(regionFile, file);
  const compiled = { tables: archive.tables, parts: parts.map(({ module, regionCount }) => ({ module, regionCount })) };
  for (const { port } of queues) port.postMessage({ archive: compiled } satisfies FromCompiler);
  parentPort!.postMessage(parts);
}

function receive(): void {
  for (const { port, queue, unsettled } of queues) {
    for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) {
      const message: ToCompiler = received.message;
      if ('kept' in message) settlements.push(() => unsettled.settle(message));
      else queue.add(message);
    }
  }
}

/** Compiles what there is, a module for each vCPU in turn; false where there was nothing. */
function compileAll(): boolean {
  let compiled = false;
  for (const { port, queue, unsettled } of queues) {
    const { requests, unwanted } = queue.take(BATCH_REGIONS);
    if (requests.length === 0 && unwanted.length === 0) continue;
    setRegionFlags();
    const build = () => builder.build(requests, unsettled);
    const { module, regions } = canDoWithoutBaseline && requests.some(isGrown) ? withoutBaseline(build) : build();
    port.postMessage({ module, regions: [...regions, ...unwanted.map((id) => ({ id, instructionCount: 0 }))] } satisfies FromCompiler);
    compiled = true;
  }
  return compiled;
}

openArchive();
while (Atomics.load(control, COMPILE_STOP) === 0) {
  const seen = Atomics.load(control, COMPILE_REQUESTS);
  receive();
  const compiled = compileAll();
  while (settlements.length > SETTLEMENTS_MAX) settlements.shift()!();
  if (compiled) continue;
  const settle = settlements.shift();
  if (settle) settle();
  else {
    flush();
    Atomics.wait(control, COMPILE_REQUESTS, seen);
  }
}
receive();
for (const settle of settlements) settle();
flush();
process.exit();
