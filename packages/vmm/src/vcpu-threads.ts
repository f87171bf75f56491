import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { MessageChannel, type Worker } from 'node:worker_threads';
import { machineMemory, postedInterruptsOf, shapeTableOf } from '@hanok/emulator/shared';
import { CodePages, type GuestMemory, type PostedInterrupts, VcpuGate, type VcpuBus, type VcpuState } from '@hanok/machine';
import { InterruptRouter } from './interrupt-router.ts';
import type { KeptPart } from './archive-parts.ts';
import { startThread } from './machine-threads.ts';
import { mailboxBytes, serveMailboxes, wakeMailboxes } from './mailbox.ts';
import { COMPILE_CONTROL_BYTES, COMPILE_STOP, wakeCompiler } from './remote-compiler.ts';
import { keepShapes, restoreShapes } from './shape-file.ts';
import { canDoWithoutBaseline } from './v8-flags.ts';
import { type BuiltInterpreter, type CompilerWorkerData, CONTROL_STOP, type SharedParts, type VcpuWorkerData, type VcpuWorkerMessage } from './vcpu-worker-data.ts';

export interface VcpuThreadsOptions extends Pick<SharedParts, 'vcpuCount' | 'exits' | 'instructions' | 'compiled' | 'cacheFolder' | 'startNs' | 'cpuModel' | 'paravirt'> {
  readonly memory: GuestMemory;
  readonly bus: VcpuBus;
  readonly regionFile: string | undefined;
  readonly shapeFile: string | undefined;
  /** From an earlier run of the same machine. */
  readonly interpreter: BuiltInterpreter | undefined;
  onInterpreter(interpreter: BuiltInterpreter): void;
  onLog(line: string): void;
  /** Some vCPU shut down: a triple fault. */
  onShutdown(): void;
  onCrash(error: Error): void;
}

const COMPILER_STOP_MS = 200;

/** The threads of a machine's vCPUs from a power-on or reset to the next, and what they share with Dom0. */
export class VcpuThreads {
  readonly router: InterruptRouter;
  readonly codePages: CodePages;
  readonly #options: VcpuThreadsOptions;
  readonly #shared: SharedParts;
  readonly #posted: readonly PostedInterrupts[];
  readonly #workers: Worker[] = [];
  /** Between each vCPU and the thread that compiles. */
  readonly #channels: readonly MessageChannel[];
  readonly #compileRequests = new SharedArrayBuffer(COMPILE_CONTROL_BYTES);
  #interpreter: BuiltInterpreter | undefined;
  #stopped = false;
  #compiler: Worker | undefined;
  #compilerEnd: Promise<unknown> | undefined;
  #archiveParts: readonly KeptPart[] = [];

  constructor(options: VcpuThreadsOptions) {
    const { vcpuCount, memory, exits, instructions, compiled, cacheFolder, startNs, cpuModel, paravirt } = options;
    this.#options = options;
    this.#interpreter = options.interpreter;
    this.#shared = {
      memory: memory.memory,
      memoryBytes: memory.sizeBytes,
      vcpuCount,
      mailboxes: new SharedArrayBuffer(mailboxBytes(vcpuCount)),
      gate: new SharedArrayBuffer(VcpuGate.sizeBytes(vcpuCount)),
      apicDirectory: new SharedArrayBuffer(InterruptRouter.sizeBytes(vcpuCount)),
      control: new SharedArrayBuffer(4),
      exits,
      instructions,
      compiled,
      cacheFolder,
      startNs,
      cpuModel,
      paravirt,
    };
    this.#channels = Array.from({ length: vcpuCount }, () => new MessageChannel());
    this.#posted = Array.from({ length: vcpuCount }, (_, vcpu) => postedInterruptsOf(memory.memory, vcpu));
    for (const posted of this.#posted) posted.clear();
    this.router = new InterruptRouter(this.#shared.apicDirectory, this.#posted);
    this.codePages = new CodePages(memory.memory.buffer as ArrayBufferLike, machineMemory(vcpuCount, memory.sizeBytes).codePagesAddress, memory.sizeBytes, vcpuCount, (vcpu) => this.#posted[vcpu]!.wake());
    this.codePages.clear();
  }

  /** Starts the first vCPU in that state; the others wait for its start-up IPI. */
  start(initial: Partial<VcpuState>): void {
    const { vcpuCount, bus, shapeFile } = this.#options;
    if (shapeFile !== undefined) restoreShapes(shapeFile, this.#shared.memory, vcpuCount);
    this.#startVcpu(0, initial);
    if (this.#interpreter) this.#startOthers(this.#interpreter);
    serveMailboxes(this.#shared.mailboxes, vcpuCount, bus, () => this.#stopped).catch((error: Error) => this.#options.onCrash(error));
  }

  #startVcpu(index: number, initial: Partial<VcpuState> | undefined): void {
    const port = this.#channels[index]!.port1;
    const data: VcpuWorkerData = { shared: this.#shared, index, interpreter: this.#interpreter, compiler: { port, requests: this.#compileRequests }, initial };
    this.#keep(startThread('vcpu', data, [port])).on('message', (message: VcpuWorkerMessage) => this.#hear(message));
  }

  /** Keeps what the first vCPU learned of decoding, since that is what boots. */
  keepShapes(): void {
    const { shapeFile } = this.#options;
    if (shapeFile !== undefined) keepShapes(shapeFile, shapeTableOf(this.#shared.memory, 0));
  }

  /** Starts what works with the interpreter. */
  #startOthers({ image }: BuiltInterpreter): void {
    const { memory, memoryBytes, vcpuCount } = this.#shared;
    const { helperNames } = image;
    const connections = this.#channels.map(({ port2 }) => port2);
    const data: CompilerWorkerData = { memory, memoryBytes, vcpuCount, helperNames, connections, requests: this.#compileRequests, regionFile: this.#options.regionFile, canDoWithoutBaseline: canDoWithoutBaseline() };
    this.#compiler = this.#keep(startThread('compiler', data, connections));
    this.#compilerEnd = once(this.#compiler, 'exit').catch(() => {});
    this.#compiler.on('message', (parts: readonly KeptPart[]) => void (this.#archiveParts = parts));
    for (let index = 1; index < vcpuCount; index++) this.#startVcpu(index, undefined);
  }

  #keep(worker: Worker): Worker {
    this.#workers.push(worker);
    worker.on('error', (error: Error) => this.#options.onCrash(error));
    return worker;
  }

  #hear(message: VcpuWorkerMessage): void {
    if (this.#stopped) return;
    if (message.kind === 'log') this.#options.onLog(message.line);
    else if (message.kind === 'shutdown') this.#options.onShutdown();
    else {
      this.#interpreter = message.interpreter;
      this.#options.onInterpreter(message.interpreter);
      this.#startOthers(message.interpreter);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    Atomics.store(new Int32Array(this.#shared.control), CONTROL_STOP, 1);
    for (const posted of this.#posted) posted.wake();
    wakeMailboxes(this.#shared.mailboxes);
    await Promise.all([...this.#workers.filter((worker) => worker !== this.#compiler).map((worker) => worker.terminate()), this.#stopCompiler()]);
  }

  /** Lets the thread that compiles keep what it has, but not for long. */
  async #stopCompiler(): Promise<void> {
    if (!this.#compiler) return;
    const requests = new Int32Array(this.#compileRequests);
    Atomics.store(requests, COMPILE_STOP, 1);
    wakeCompiler(requests);
    await Promise.race([this.#compilerEnd, setTimeout(COMPILER_STOP_MS, undefined, { ref: false })]);
    await this.#compiler.terminate();
  }

  /** Regions that this machine took from the archive. */
  get archiveParts(): readonly KeptPart[] {
    return this.#archiveParts;
  }
}
