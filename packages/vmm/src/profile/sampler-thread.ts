import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { SamplerResult } from './sampler.ts';
import type { SamplerWorkerData } from './sampler-worker.ts';

/** A thread that looks about a thousand times a second at what the vCPUs do. They do not notice. */
export class SamplerThread {
  readonly #worker: Worker;
  readonly #word = new Int32Array(new SharedArrayBuffer(4));
  readonly #result: Promise<SamplerResult>;

  constructor(memory: WebAssembly.Memory, vcpuCount: number) {
    const data: SamplerWorkerData = { memory, vcpuCount, control: this.#word.buffer };
    this.#worker = new Worker(new URL('./sampler-worker.ts', import.meta.url), { workerData: data, execArgv: [] });
    this.#result = once(this.#worker, 'message').then(([result]) => result as SamplerResult);
    // Who stops it hears of its failure.
    this.#result.catch(() => {});
  }

  async stop(): Promise<SamplerResult> {
    Atomics.store(this.#word, 0, 1);
    Atomics.notify(this.#word, 0);
    return await this.#result;
  }
}
