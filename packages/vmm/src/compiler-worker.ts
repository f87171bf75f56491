import { setFlagsFromString } from 'node:v8';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { type CompileRequest, RegionModuleBuilder, machineMemory } from '@hanok/emulator';
import { threadData } from './machine-threads.ts';
import type { CompilerWorkerData } from './vcpu-worker-data.ts';

/** Regions of one module at most: few, so that the first does not wait long for the last. */
const BATCH_REGIONS = 16;

/**
 * Work that V8's baseline code does before it is optimized. V8's own default, 13 million, suits few functions that run long;
 * with a tenth of this its optimizer takes a processor for itself while the guest boots.
 */
const TIERING_BUDGET = Number(process.env["TB"] ?? 5_000_000);
setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
// The vCPU would otherwise run V8's baseline compiler when it first enters a region.
setFlagsFromString('--no-wasm-lazy-compilation');

const { memory, memoryBytes, vcpuCount, memoryMaxPages, helperNames, connections, requests } = await threadData<CompilerWorkerData>();
const ram = new Uint8Array(memory.buffer as ArrayBufferLike, machineMemory(vcpuCount, memoryBytes).ramAddress, memoryBytes);
const builder = new RegionModuleBuilder({ ram, memoryMaxPages, helperNames });
const requestCount = new Int32Array(requests);

function takeRequests(port: MessagePort): CompileRequest[] {
  const taken: CompileRequest[] = [];
  while (taken.length < BATCH_REGIONS) {
    const received = receiveMessageOnPort(port);
    if (!received) break;
    taken.push(received.message);
  }
  return taken;
}

/** Compiles what there is, a module for each vCPU in turn; false where there was nothing. */
function compileAll(): boolean {
  let compiled = false;
  for (const port of connections) {
    const taken = takeRequests(port);
    if (taken.length === 0) continue;
    port.postMessage(builder.build(taken));
    compiled = true;
  }
  return compiled;
}

for (;;) {
  const seen = Atomics.load(requestCount, 0);
  if (!compileAll()) Atomics.wait(requestCount, 0, seen);
}
