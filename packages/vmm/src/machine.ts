import { crc32 } from 'node:zlib';
import { findKernelSymbols, loadKernel } from '@hanok/boot';
import { machineMemory } from '@hanok/emulator/shared';
import { ExitCounters, GuestMemory, VCPU_COUNT_MAX, type VcpuBus, type VcpuState } from '@hanok/machine';
import type { Machine, MachineConfig, MachineEnd } from './config.ts';
import { DEFAULT_CPU_MODEL_NAME } from './cpu-models.ts';
import { InterpreterFile } from './interpreter-file.ts';
import { keepCode } from './machine-code/code-file.ts';
import { ParavirtBoard } from './paravirt-board.ts';
import type { MachineProfile } from './profile/machine-profile.ts';
import { SamplerThread } from './profile/sampler-thread.ts';
import { hostNowNs, RealClock } from './real-clock.ts';
import { regionFilePath } from './region-file-path.ts';
import { setArchiveFlags, setInterpreterFlags } from './v8-flags.ts';
import { VcpuThreads } from './vcpu-threads.ts';
import { type BuiltInterpreter, builtInterpreter, compiledCodeBytes, readCompiledCode } from './vcpu-worker-data.ts';

/** Makes a machine with emulated vCPUs on the `paravirt` board. Throws what `loadKernel` throws. */
export async function createMachine(config: MachineConfig): Promise<Machine> {
  return new EmulatedMachine(config);
}

/** Dom0's side of a machine: devices, and the threads of the vCPUs. */
class EmulatedMachine implements Machine {
  readonly ended: Promise<MachineEnd>;
  readonly #config: MachineConfig;
  readonly #vcpuCount: number;
  readonly #memory: GuestMemory;
  readonly #board: ParavirtBoard;
  readonly #startNs = hostNowNs();
  readonly #clock = new RealClock(this.#startNs);
  readonly #exits: SharedArrayBuffer;
  readonly #instructions: SharedArrayBuffer;
  /** Only where the machine is profiled. */
  readonly #compiled: SharedArrayBuffer | undefined;
  #threads: VcpuThreads | undefined;
  #sampler: SamplerThread | undefined;
  #profile: MachineProfile | undefined;
  #interpreter: BuiltInterpreter | undefined;
  /** Of the machine's first run; a reset loads the kernel anew. */
  #first: Partial<VcpuState> | undefined;
  #finish: (end: MachineEnd) => void = () => {};
  #isEnding = false;
  /** Only of an interpreter that was kept. */
  #keepInterpreterCode: (() => void) | undefined;

  constructor(config: MachineConfig) {
    this.#config = config;
    this.#vcpuCount = config.vcpuCount ?? 1;
    if (!Number.isInteger(this.#vcpuCount) || this.#vcpuCount < 1 || this.#vcpuCount > VCPU_COUNT_MAX) {
      throw new RangeError(`a machine cannot have ${config.vcpuCount} vCPUs; give it 1 to ${VCPU_COUNT_MAX}`);
    }
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    const { ramAddress, pageCount } = machineMemory(this.#vcpuCount, config.memoryBytes);
    const memory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
    this.#memory = new GuestMemory(memory, ramAddress, config.memoryBytes);
    this.#memory.onWritten((gpa, lengthBytes) => this.#threads?.codePages.deviceWrote(gpa, lengthBytes));
    this.#exits = new SharedArrayBuffer(ExitCounters.sizeBytes * this.#vcpuCount);
    this.#instructions = new SharedArrayBuffer(8 * this.#vcpuCount);
    this.#compiled = config.profile ? new SharedArrayBuffer(compiledCodeBytes(this.#vcpuCount)) : undefined;
    this.#board = new ParavirtBoard(config, {
      memory: this.#memory,
      clock: this.#clock,
      msi: { send: (address, data) => this.#threads?.router.sendMsi(address, data) },
      onPowerOff: () => void this.#end({ reason: 'power-off' }),
      onReset: () => void this.#restart(),
    });
    this.#first = this.#load();
  }

  /** Puts firmware tables and the kernel into RAM; gives the first vCPU's state. */
  #load(): Partial<VcpuState> {
    const { rsdp, memoryMap } = this.#board.prepareMemory(this.#vcpuCount);
    const { kernel, initrd, commandLine } = this.#config;
    return loadKernel({ memory: this.#memory, kernel, initrd, commandLine, rsdp, memoryMap });
  }

  start(): void {
    if (!this.#threads) this.#run();
  }

  #run(): void {
    const { ports, mmio } = this.#board;
    const bus: VcpuBus = {
      readPort: (port, width) => ports.read(port, width),
      writePort: (port, value, width) => ports.write(port, value, width),
      readMmio: (gpa, width) => mmio.read(gpa, width),
      writeMmio: (gpa, value, width) => mmio.write(gpa, value, width),
    };
    const threads = new VcpuThreads({
      memory: this.#memory,
      vcpuCount: this.#vcpuCount,
      exits: this.#exits,
      instructions: this.#instructions,
      compiled: this.#compiled,
      startNs: this.#startNs,
      cpuModel: this.#config.cpuModel ?? DEFAULT_CPU_MODEL_NAME,
      paravirt: this.#config.paravirt ?? true,
      bus,
      interpreter: (this.#interpreter ??= this.#keptInterpreter()),
      cacheFolder: this.#config.cacheFolder,
      regionFile: this.#regionFile(),
      shapeFile: this.#interpreterFile()?.shapesPath,
      onInterpreter: (interpreter) => void (this.#interpreter = interpreter),
      onLog: (line) => this.#config.onLog?.(line),
      onShutdown: () => void this.#restart(),
      onCrash: (error) => void this.#end({ reason: 'crashed', detail: error.stack ?? error.message }),
    });
    this.#threads = threads;
    if (this.#compiled) this.#sampler = new SamplerThread(this.#memory.memory, this.#vcpuCount);
    threads.start(this.#first ?? this.#load());
    this.#first = undefined;
  }

  #regionFile(): string | undefined {
    const { cacheFolder } = this.#config;
    return cacheFolder === undefined ? undefined : regionFilePath(cacheFolder, this.#config);
  }

  #interpreterFile(): InterpreterFile | undefined {
    const { cacheFolder, profile = false } = this.#config;
    return cacheFolder === undefined ? undefined : new InterpreterFile(cacheFolder, profile);
  }

  #keptInterpreter(): BuiltInterpreter | undefined {
    const file = this.#interpreterFile();
    const image = file?.read();
    if (!file || !image) return undefined;
    const built = builtInterpreter(image, file.codePath);
    const digest = crc32(image.bytes);
    this.#keepInterpreterCode = () => {
      setInterpreterFlags();
      keepCode(file.codePath, built.module, digest);
    };
    return built;
  }

  /** Keeps the machine code that V8 made of what other machines will have too. */
  #keepCode(): void {
    this.#keepInterpreterCode?.();
    this.#threads?.keepShapes();
    setArchiveFlags();
    for (const { codePath, module, digest } of this.#threads?.archiveParts ?? []) if (codePath !== undefined) keepCode(codePath, module, digest);
  }

  /** A reset: devices to power-on state, the kernel loaded anew, new vCPUs. */
  async #restart(): Promise<void> {
    const threads = this.#threads;
    if (this.#isEnding || !threads) return;
    this.#config.onLog?.('the guest reset the machine');
    if (this.#config.onReset === 'end') {
      await this.#end({ reason: 'reset' });
      return;
    }
    this.#threads = undefined;
    await this.#sampler?.stop().catch(() => {});
    await threads.stop();
    if (this.#isEnding) return;
    this.#board.reset();
    this.#memory.slice(0, this.#memory.sizeBytes)!.fill(0);
    this.#run();
  }

  async #end(end: MachineEnd): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (this.#sampler) await this.#readProfile(this.#sampler);
    await this.#threads?.stop();
    this.#keepCode();
    await this.#board.stop();
    this.#finish(end);
  }

  /** The kernel's symbols are read from its memory, which the end of the machine leaves as it is. */
  async #readProfile(sampler: SamplerThread): Promise<void> {
    try {
      const sampled = await sampler.stop();
      const { describeProfile } = await import('./profile/machine-profile.ts');
      this.#profile = describeProfile(sampled, this.#interpreter?.image.helperNames ?? [], findKernelSymbols(this.#memory), readCompiledCode(this.#compiled!));
    } catch (error) {
      this.#config.onLog?.(`the profile failed: ${(error as Error).message}`);
    }
  }

  profile(): MachineProfile | undefined {
    return this.#profile;
  }

  async stop(): Promise<void> {
    await this.#end({ reason: 'stopped' });
  }

  pressPowerButton(): void {
    this.#board.pressPowerButton();
  }

  exitCounts(): { kind: string; count: number }[] {
    const counters = Array.from({ length: this.#vcpuCount }, (_, vcpu) => new ExitCounters(this.#exits, vcpu * ExitCounters.sizeBytes).read());
    return counters[0]!.map(({ kind }, index) => ({ kind, count: counters.reduce((sum, counts) => sum + counts[index]!.count, 0) }));
  }

  instructionCount(): number {
    return new Float64Array(this.#instructions).reduce((sum, count) => sum + count, 0);
  }
}
