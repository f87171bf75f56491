import { setFlagsFromString } from 'node:v8';
import { type MessagePort, workerData } from 'node:worker_threads';
import { type CompileRequest, RegionModuleBuilder, vcpuBlockAddress } from '@hanok/emulator';
import type { CompilerWorkerData } from './vcpu-worker-data.ts';

/** Regions of one module at most: small, so that the first does not wait long for the last. */
const BATCH_REGIONS = 16;

/**
 * Work that V8's baseline code does before it is optimized; V8's own default suits few functions that run long. A guest
 * has thousands of regions, each of which is worth optimizing after milliseconds in all.
 */
const TIERING_BUDGET = 500_000;
setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
// The vCPU would otherwise run V8's baseline compiler when it first enters a region.
setFlagsFromString('--no-wasm-lazy-compilation');

const { memory, memoryBytes, vcpuCount, memoryMaxPages, helperNames, ports } = workerData as CompilerWorkerData;
const ram = new Uint8Array(memory.buffer as ArrayBufferLike, vcpuBlockAddress(vcpuCount), memoryBytes);
const builder = new RegionModuleBuilder({ ram, memoryMaxPages, helperNames });
const waiting = new Map<MessagePort, CompileRequest[]>();

/** Compiles what has come meanwhile, a module for each vCPU in turn. */
function compile(): void {
  for (const [port, requests] of waiting) {
    port.postMessage(builder.build(requests.splice(0, BATCH_REGIONS)));
    if (requests.length === 0) waiting.delete(port);
  }
  if (waiting.size > 0) setImmediate(compile);
}

for (const port of ports) {
  port.on('message', (request: CompileRequest) => {
    if (waiting.size === 0) setImmediate(compile);
    const requests = waiting.get(port);
    if (requests) requests.push(request);
    else waiting.set(port, [request]);
  });
}
