import { Worker } from 'node:worker_threads';
import { loadKernel } from '@hanok/boot';
import { VCPU_BLOCK_BYTES } from '@hanok/emulator';
import { CodePages, ExitCounters, GuestMemory, PostedInterrupts, type VcpuBus } from '@hanok/machine';
import type { Machine, MachineConfig, MachineEnd } from './config.ts';
import { MAILBOX_BYTES, serveMailbox, wakeMailbox } from './mailbox.ts';
import { ParavirtBoard } from './paravirt-board.ts';
import { RealClock, sharedNowMs } from './real-clock.ts';
import { CONTROL_STOP, type VcpuWorkerData, type VcpuWorkerMessage } from './vcpu-worker-data.ts';

const WASM_PAGE_BYTES = 65536;

/** Makes a machine with one emulated vCPU on the `paravirt` board. Throws what `loadKernel` throws. */
export async function createMachine(config: MachineConfig): Promise<Machine> {
  return new EmulatedMachine(config);
}

/** Dom0's side of a machine: devices, and the thread of the vCPU. */
class EmulatedMachine implements Machine {
  readonly ended: Promise<MachineEnd>;
  readonly #config: MachineConfig;
  readonly #memory: GuestMemory;
  readonly #board: ParavirtBoard;
  readonly #startMs = sharedNowMs();
  readonly #clock = new RealClock(this.#startMs);
  readonly #posted = new SharedArrayBuffer(PostedInterrupts.sizeBytes);
  readonly #exits = new SharedArrayBuffer(ExitCounters.sizeBytes);
  readonly #instructions = new SharedArrayBuffer(8);
  readonly #codePages: SharedArrayBuffer;
  #worker: Worker | undefined;
  #control: SharedArrayBuffer | undefined;
  /** Of the machine's first run; a reset loads the kernel anew. */
  #first: VcpuWorkerData['initial'] | undefined;
  #generation = 0;
  #finish: (end: MachineEnd) => void = () => {};
  #isEnding = false;

  constructor(config: MachineConfig) {
    this.#config = config;
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    const pageCount = (VCPU_BLOCK_BYTES + config.memoryBytes) / WASM_PAGE_BYTES;
    const memory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
    this.#memory = new GuestMemory(memory, VCPU_BLOCK_BYTES, config.memoryBytes);
    this.#codePages = new SharedArrayBuffer(CodePages.sizeBytes(config.memoryBytes));
    const codePages = new CodePages(this.#codePages, config.memoryBytes);
    this.#memory.onWritten((gpa, lengthBytes) => codePages.deviceWrote(gpa, lengthBytes));
    const posted = new PostedInterrupts(this.#posted);
    this.#board = new ParavirtBoard(config, {
      memory: this.#memory,
      clock: this.#clock,
      msi: { send: (_address, data) => posted.postMessage(data) },
      onPowerOff: () => void this.#end({ reason: 'power-off' }),
      onReset: () => void this.#restart(),
    });
    this.#first = this.#load();
  }

  /** Puts firmware tables and the kernel into RAM; gives the vCPU's first state. */
  #load(): VcpuWorkerData['initial'] {
    const { rsdp, memoryMap } = this.#board.prepareMemory(1);
    const { kernel, initrd, commandLine } = this.#config;
    return loadKernel({ memory: this.#memory, kernel, initrd, commandLine, rsdp, memoryMap });
  }

  start(): void {
    if (!this.#worker) this.#run();
  }

  #run(): void {
    const generation = ++this.#generation;
    const mailbox = new SharedArrayBuffer(MAILBOX_BYTES);
    this.#control = new SharedArrayBuffer(4);
    const pageCount = (VCPU_BLOCK_BYTES + this.#config.memoryBytes) / WASM_PAGE_BYTES;
    const data: VcpuWorkerData = {
      memory: this.#memory.memory, memoryBytes: this.#config.memoryBytes, mailbox, posted: this.#posted, exits: this.#exits, codePages: this.#codePages,
      instructions: this.#instructions, control: this.#control, startMs: this.#startMs, maxPages: pageCount, initial: this.#first ?? this.#load(),
    };
    this.#first = undefined;
    const worker = new Worker(new URL('./vcpu-worker.ts', import.meta.url), { workerData: data, execArgv: [] });
    this.#worker = worker;
    worker.on('message', (message: VcpuWorkerMessage) => this.#hear(message));
    worker.on('error', (error: Error) => void this.#end({ reason: 'crashed', detail: error.stack ?? error.message }));
    const { ports, mmio } = this.#board;
    const bus: VcpuBus = {
      readPort: (port, width) => ports.read(port, width),
      writePort: (port, value, width) => ports.write(port, value, width),
      readMmio: (gpa, width) => mmio.read(gpa, width),
      writeMmio: (gpa, value, width) => mmio.write(gpa, value, width),
    };
    const isStopped = () => this.#isEnding || generation !== this.#generation;
    serveMailbox(mailbox, bus, isStopped).catch((error: Error) => this.#end({ reason: 'crashed', detail: error.stack ?? error.message }));
    this.#wake = () => wakeMailbox(mailbox);
  }

  #wake: () => void = () => {};

  #hear(message: VcpuWorkerMessage): void {
    if (message.kind === 'log') this.#config.onLog?.(message.line);
    if (message.kind === 'shutdown') void this.#restart();
  }

  /** A reset: devices to power-on state, the kernel loaded anew, a new vCPU. */
  async #restart(): Promise<void> {
    if (this.#isEnding) return;
    this.#config.onLog?.('the guest reset the machine');
    if (this.#config.onReset === 'end') {
      await this.#end({ reason: 'reset' });
      return;
    }
    await this.#stopWorker();
    if (this.#isEnding) return;
    this.#board.reset();
    this.#memory.slice(0, this.#memory.sizeBytes)!.fill(0);
    this.#run();
  }

  async #stopWorker(): Promise<void> {
    this.#generation++;
    if (this.#control) Atomics.store(new Int32Array(this.#control), CONTROL_STOP, 1);
    new PostedInterrupts(this.#posted).wake();
    this.#wake();
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  async #end(end: MachineEnd): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    await this.#stopWorker();
    await this.#board.stop();
    this.#finish(end);
  }

  async stop(): Promise<void> {
    await this.#end({ reason: 'stopped' });
  }

  pressPowerButton(): void {
    this.#board.pressPowerButton();
  }

  exitCounts(): { kind: string; count: number }[] {
    return new ExitCounters(this.#exits).read();
  }

  instructionCount(): number {
    return new Float64Array(this.#instructions)[0]!;
  }
}
