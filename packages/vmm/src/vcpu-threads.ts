import { Worker } from 'node:worker_threads';
import { postedInterruptsOf } from '@hanok/emulator';
import { CodePages, type GuestMemory, type PostedInterrupts, VcpuGate, type VcpuBus, type VcpuState } from '@hanok/machine';
import { InterruptRouter } from './interrupt-router.ts';
import { mailboxBytes, serveMailboxes, wakeMailboxes } from './mailbox.ts';
import { type BuiltInterpreter, CONTROL_STOP, type SharedParts, type VcpuWorkerData, type VcpuWorkerMessage } from './vcpu-worker-data.ts';

export interface VcpuThreadsOptions extends Pick<SharedParts, 'vcpuCount' | 'exits' | 'instructions' | 'compiled' | 'startNs' | 'cpuModel' | 'paravirt'> {
  readonly memory: GuestMemory;
  readonly bus: VcpuBus;
  /** From an earlier run of the same machine. */
  readonly interpreter: BuiltInterpreter | undefined;
  onInterpreter(interpreter: BuiltInterpreter): void;
  onLog(line: string): void;
  /** Some vCPU shut down: a triple fault. */
  onShutdown(): void;
  onCrash(error: Error): void;
}

/** The threads of a machine's vCPUs from a power-on or reset to the next, and what they share with Dom0. */
export class VcpuThreads {
  readonly router: InterruptRouter;
  readonly codePages: CodePages;
  readonly #options: VcpuThreadsOptions;
  readonly #shared: SharedParts;
  readonly #posted: readonly PostedInterrupts[];
  readonly #workers: Worker[] = [];
  #interpreter: BuiltInterpreter | undefined;
  #stopped = false;

  constructor(options: VcpuThreadsOptions) {
    const { vcpuCount, memory, exits, instructions, compiled, startNs, cpuModel, paravirt } = options;
    this.#options = options;
    this.#interpreter = options.interpreter;
    this.#shared = {
      memory: memory.memory,
      memoryBytes: memory.sizeBytes,
      vcpuCount,
      mailboxes: new SharedArrayBuffer(mailboxBytes(vcpuCount)),
      codePages: new SharedArrayBuffer(CodePages.sizeBytes(memory.sizeBytes, vcpuCount)),
      gate: new SharedArrayBuffer(VcpuGate.sizeBytes(vcpuCount)),
      apicDirectory: new SharedArrayBuffer(InterruptRouter.sizeBytes(vcpuCount)),
      control: new SharedArrayBuffer(4),
      exits,
      instructions,
      compiled,
      startNs,
      cpuModel,
      paravirt,
    };
    this.#posted = Array.from({ length: vcpuCount }, (_, vcpu) => postedInterruptsOf(memory.memory, vcpu));
    for (const posted of this.#posted) posted.clear();
    this.router = new InterruptRouter(this.#shared.apicDirectory, this.#posted);
    this.codePages = new CodePages(this.#shared.codePages, memory.sizeBytes, vcpuCount, (vcpu) => this.#posted[vcpu]!.wake());
  }

  /** Starts the first vCPU in that state; the others wait for its start-up IPI. */
  start(initial: Partial<VcpuState>): void {
    const { vcpuCount, bus } = this.#options;
    this.#startWorker(0, initial);
    if (this.#interpreter) this.#startOthers();
    serveMailboxes(this.#shared.mailboxes, vcpuCount, bus, () => this.#stopped).catch((error: Error) => this.#options.onCrash(error));
  }

  #startWorker(index: number, initial: Partial<VcpuState> | undefined): void {
    const data: VcpuWorkerData = { shared: this.#shared, index, interpreter: this.#interpreter, initial };
    const worker = new Worker(new URL('./vcpu-worker.ts', import.meta.url), { workerData: data, execArgv: [] });
    this.#workers.push(worker);
    worker.on('message', (message: VcpuWorkerMessage) => this.#hear(message));
    worker.on('error', (error: Error) => this.#options.onCrash(error));
  }

  #startOthers(): void {
    for (let index = 1; index < this.#options.vcpuCount; index++) this.#startWorker(index, undefined);
  }

  #hear(message: VcpuWorkerMessage): void {
    if (this.#stopped) return;
    if (message.kind === 'log') this.#options.onLog(message.line);
    else if (message.kind === 'shutdown') this.#options.onShutdown();
    else {
      this.#interpreter = message.interpreter;
      this.#options.onInterpreter(message.interpreter);
      this.#startOthers();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    Atomics.store(new Int32Array(this.#shared.control), CONTROL_STOP, 1);
    for (const posted of this.#posted) posted.wake();
    wakeMailboxes(this.#shared.mailboxes);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
