import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { ArchiveIndex, type ArchiveTables, type CompiledModule, type CompileRequest, type RegionCompiler, type Settlement } from '@hanok/emulator';

/** A vCPU's connection to the thread that compiles. */
export interface CompilerConnection {
  readonly port: MessagePort;
  /** How many requests all vCPUs have made: where that thread sleeps. */
  readonly requests: SharedArrayBuffer;
}

/** What the vCPU sends, and what it is sent: first of all what the archive has. */
export type ToCompiler = CompileRequest | Settlement;
export type FromCompiler = CompiledModule | { readonly archive: ArchiveTables };

/** Has regions compiled by that thread. */
export class RemoteCompiler implements RegionCompiler {
  index: ArchiveIndex | undefined;
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
    Atomics.add(this.#requestCount, 0, 1);
    Atomics.notify(this.#requestCount, 0);
  }

  take(): CompiledModule | undefined {
    const message: FromCompiler | undefined = receiveMessageOnPort(this.#port)?.message;
    if (!message || 'module' in message) return message;
    this.index = new ArchiveIndex(message.archive);
    return undefined;
  }
}
