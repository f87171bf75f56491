import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CompiledModule, CompileRequest, RegionCompiler } from '@hanok/emulator';

/** A vCPU's end of its connection to the thread that compiles. */
export class RemoteCompiler implements RegionCompiler {
  readonly #port: MessagePort;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  request(request: CompileRequest): void {
    this.#port.postMessage(request);
  }

  take(): CompiledModule | undefined {
    return receiveMessageOnPort(this.#port)?.message;
  }
}
