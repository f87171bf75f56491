import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CompiledArchive, CompiledModule, CompileRequest, RegionCompiler, Settlement } from '@hanok/emulator';

/** A vCPU's connection to the thread that compiles. */
export interface CompilerConnection {
  readonly port: MessagePort;
  /** Words that thread looks at. */
  readonly requests: SharedArrayBuffer;
}

/** How many requests all vCPUs have made, where that thread sleeps; and nonzero when it is to end. */
export const COMPILE_REQUESTS = 0;
export const COMPILE_STOP = 1;
export const COMPILE_CONTROL_BYTES = 8;

/** Has the thread that compiles look at its words. */
export function wakeCompiler(requests: Int32Array): void {
  Atomics.add(requests, COMPILE_REQUESTS, 1);
  Atomics.notify(requests, COMPILE_REQUESTS);
}

/** What the vCPU sends, and what it is sent: first of all what the archive has. */
export type ToCompiler = CompileRequest | Settlement;
export type FromCompiler = CompiledModule | { readonly archive: CompiledArchive };

/** Has regions compiled by that thread. */
export class RemoteCompiler implements RegionCompiler {
  archive: CompiledArchive | undefined;
  readonly #port: MessagePort;
  readonly #requestCount: Int32Array;

  constructor({ port, requests }: CompilerConnection) {
    this.#port = port;
    this.#requestCount = new Int32Array(requests);
  }

  request(request: CompileRequest): void {
    this.#send(request);
  }

  settle(outcome: Settlement): void {
    this.#send(outcome);
  }

  #send(message: ToCompiler): void {
    this.#port.postMessage(message);
    wakeCompiler(this.#requestCount);
  }

  take(): CompiledModule | undefined {
    const message: FromCompiler | undefined = receiveMessageOnPort(this.#port)?.message;
    if (!message || 'module' in message) return message;
    this.archive = message.archive;
    return undefined;
  }
}
