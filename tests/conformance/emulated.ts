import { shapeTableOf } from '@hanok/emulator/shared';
import { type CompilePolicy, type CompileRequest, OwnThreadCompiler, type RegionArchive, TimeStamp, buildInterpreter, EmulatedVcpu, type LocalInterrupts, machineMemory, type VcpuServices, DEFAULT_CPU_MODEL } from '@hanok/emulator';
import { CodePages, ExitCounters, GuestMemory, PostedInterrupts, type VcpuBus } from '@hanok/machine';
import { INTERPRETER_RAM_BYTES, InterpreterDriver } from './interpreter.ts';

/** Code is compiled after it ran once. */
const AT_ONCE: CompilePolicy = { hotCount: 1, doublingsMax: 0, batchRegions: 1, batchSlices: 1 };
/** Regions are short, and made again with what runs behind them as soon as that is known. */
const GROWING: CompilePolicy = { ...AT_ONCE, regionInstructionsMax: 5, growCount: 2, traceBlocks: 4 };
/** Runs of a case until its regions are there, and have grown. */
const [WARM_UPS, GROWING_WARM_UPS] = [1, 6];

/** Nothing is connected: cases that reach a port or unmapped physical memory have left what they test. */
const emptyBus: VcpuBus = {
  readPort: () => 0xff,
  writePort: () => {},
  readMmio: () => 0xff,
  writeMmio: () => {},
};

const noInterrupts: LocalInterrupts = {
  highestPending: () => -1,
  acknowledge: () => {},
  readTaskPriority: () => 0,
  writeTaskPriority: () => {},
  collect: () => {},
  takeNmi: () => false,
  nmiPending: false, hasRequests: false, inServiceCount: 0, servesLevel: false, endOfInterrupt: () => {},
  tick: () => {},
  nextDeadlineNs: () => Number.POSITIVE_INFINITY,
  readMsr: () => undefined,
  writeMsr: () => undefined,
  tscChanged: () => {},
  reset: () => {},
  init: () => {},
};

export interface InterpreterDriverOptions {
  /** Cases run in compiled code; and in regions that grow. */
  readonly compiled?: boolean;
  readonly isGrowing?: boolean;
  /** Where what is to be compiled is looked for first. */
  readonly archive?: RegionArchive;
  /** Shapes of instructions that are known already (`ShapeTable.save`). */
  readonly shapes?: Uint8Array;
  /** Pages of the window are apart in RAM. */
  readonly isScattered?: boolean;
  /** Told of what is compiled. */
  onRequest?(request: CompileRequest): void;
}

/** An emulated vCPU with nothing but a little RAM around it. */
export function createInterpreterDriver({ compiled = false, isGrowing = false, archive, shapes, isScattered = false, onRequest }: InterpreterDriverOptions = {}): InterpreterDriver {
  const { ramAddress, codePagesAddress, pageCount } = machineMemory(1, INTERPRETER_RAM_BYTES);
  const wasmMemory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
  const memory = new GuestMemory(wasmMemory, ramAddress, INTERPRETER_RAM_BYTES);
  if (shapes) shapeTableOf(wasmMemory, 0).restore(shapes);
  const codePages = new CodePages(wasmMemory.buffer as ArrayBufferLike, codePagesAddress, INTERPRETER_RAM_BYTES);
  memory.onWritten((gpa, lengthBytes) => codePages.deviceWrote(gpa, lengthBytes));
  const image = buildInterpreter();
  const services: VcpuServices = {
    bus: emptyBus,
    interrupts: noInterrupts,
    posted: new PostedInterrupts(new SharedArrayBuffer(PostedInterrupts.sizeBytes)),
    exits: new ExitCounters(new SharedArrayBuffer(ExitCounters.sizeBytes)),
    model: DEFAULT_CPU_MODEL,
    apicId: 0,
    nowNs: () => 0,
    timeStamp: new TimeStamp(() => 0, DEFAULT_CPU_MODEL.tscHz),
    randomWord: () => 0n,
    log: () => {},
  };
  const module = new WebAssembly.Module(image.bytes as Uint8Array<ArrayBuffer>);
  const ram = new Uint8Array(wasmMemory.buffer as ArrayBufferLike, ramAddress, INTERPRETER_RAM_BYTES);
  const compiler = new OwnThreadCompiler({ ram, ...image, archive }, AT_ONCE);
  const request = compiler.request.bind(compiler);
  compiler.request = (wanted) => {
    onRequest?.(wanted);
    request(wanted);
  };
  const compiles = { compilePolicy: isGrowing ? GROWING : AT_ONCE, regionCompiler: compiler };
  const vcpu = new EmulatedVcpu({ memory, image, module, codePages, services, interceptExceptions: true, ...(compiled ? compiles : {}) });
  return new InterpreterDriver(vcpu, memory, compiled ? (isGrowing ? GROWING_WARM_UPS : WARM_UPS) : 0, isScattered);
}
