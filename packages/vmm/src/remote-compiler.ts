import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CompiledModule, CompileRequest, RegionCompiler } from '@hanok/emulator';

/** A vCPU's connection to the thread that compiles. */
export interface CompilerConnection {
  readonly port: MessagePort;
  /** How many requests all vCPUs have made: where that thread sleeps. */
  readonly requests: SharedArrayBuffer;
}

/** Has regions compiled by that thread. */
export class RemoteCompiler implements RegionCompiler {
  readonly #port: MessagePort;
  readonly #requestCount: Int32Array;

  constructor({ port, requests }: CompilerConnection) {
    this.#port = port;
    this.#requestCount = new Int32Array(requests);
  }

  request(request: CompileRequest): void {
    this.#port.postMessage(request);
    Atomics.add(this.#requestCount, 0, 1);
    Atomics.notify(this.#requestCount, 0);
  }

  take(): CompiledModule | undefined {
    return receiveMessageOnPort(this.#port)?.message;
  }
}
