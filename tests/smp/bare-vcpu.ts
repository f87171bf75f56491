import { type CompilePolicy, type RegionCompiler, DEFAULT_CPU_MODEL, EmulatedVcpu, type InterpreterTables, type LocalInterrupts, postedInterruptsOf, TimeStamp, machineMemory } from '@hanok/emulator';
import { CodePages, ExitCounters, GuestMemory, VcpuGate, type VcpuBus } from '@hanok/machine';

export const RAM_BYTES = 2 << 20;

/** What the vCPUs of a test share; plain, so that it can go to worker threads. */
export interface SharedMachine {
  readonly memory: WebAssembly.Memory;
  readonly vcpuCount: number;
  readonly gate: SharedArrayBuffer;
}

export function createSharedMachine(vcpuCount: number): SharedMachine {
  const { ramAddress, pageCount } = machineMemory(vcpuCount, RAM_BYTES);
  const memory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
  const ram = new GuestMemory(memory, ramAddress, RAM_BYTES);
  // Long mode's tables: one 2-MiB page, identity-mapped, writable.
  ram.writeU64(0x1000, 0x2003n);
  ram.writeU64(0x2000, 0x3003n);
  ram.writeU64(0x3000, 0x83n);
  return {
    memory,
    vcpuCount,
    gate: new SharedArrayBuffer(VcpuGate.sizeBytes(vcpuCount)),
  };
}

const noInterrupts: LocalInterrupts = {
  highestPending: () => -1, acknowledge: () => {}, readTaskPriority: () => 0, writeTaskPriority: () => {}, collect: () => {}, takeNmi: () => false, nmiPending: false,
  hasRequests: false, inServiceCount: 0, servesLevel: false, endOfInterrupt: () => {}, tick: () => {}, nextDeadlineNs: () => Number.POSITIVE_INFINITY,
  readMsr: () => undefined, writeMsr: () => undefined, tscChanged: () => {}, reset: () => {}, init: () => {},
};
const noBus: VcpuBus = { readPort: () => 0xff, writePort: () => {}, readMmio: () => 0xff, writeMmio: () => {} };

/** One vCPU without devices, in 64-bit mode at privilege level 0, whose exceptions end `run`. */
export function createBareVcpu(shared: SharedMachine, index: number, interpreter: { image: InterpreterTables; module: WebAssembly.Module }, compilePolicy: CompilePolicy, regionCompiler?: RegionCompiler): EmulatedVcpu {
  const { memory, vcpuCount } = shared;
  const { ramAddress, codePagesAddress } = machineMemory(vcpuCount, RAM_BYTES);
  const posted = Array.from({ length: vcpuCount }, (_, vcpu) => postedInterruptsOf(memory, vcpu));
  const kick = (vcpu: number) => posted[vcpu]!.wake();
  const nowNs = () => performance.now() * 1e6;
  return new EmulatedVcpu({
    ...interpreter,
    memory: new GuestMemory(memory, ramAddress, RAM_BYTES),
    index,
    gate: new VcpuGate(shared.gate, vcpuCount, index, kick),
    codePages: new CodePages(memory.buffer as ArrayBufferLike, codePagesAddress, RAM_BYTES, vcpuCount, kick),
    interceptExceptions: true,
    compilePolicy,
    ...(regionCompiler ? { regionCompiler } : {}),
    services: {
      bus: noBus, interrupts: noInterrupts, posted: posted[index]!, exits: new ExitCounters(new SharedArrayBuffer(ExitCounters.sizeBytes)), model: DEFAULT_CPU_MODEL,
      apicId: index, nowNs, timeStamp: new TimeStamp(nowNs, DEFAULT_CPU_MODEL.tscHz), randomWord: () => 0n, relax: () => posted[index]!.wait(0.05), log: () => {},
    },
  });
}

/** Runs from an address until an exception; registers in the order of the manual. */
export function runBare(vcpu: EmulatedVcpu, address: number, gpr: readonly bigint[]): { vector: number; gpr: readonly bigint[] } {
  const flat = (access: number) => ({ selector: 8, base: 0n, limit: 0xffff_ffff, access });
  const data = flat(0xc093);
  vcpu.setState({
    gpr, rip: BigInt(address), rflags: 2n, cr0: 0x8000_0033n, cr3: 0x1000n, cr4: 0x620n, efer: 0x500n, segments: [data, flat(0xa09b), data, data, data, data],
  });
  const stop = vcpu.run();
  if (stop.reason !== 'exception') throw new Error(`the vCPU stopped with ${stop.reason}`);
  return { vector: stop.vector, gpr: vcpu.getState().gpr };
}
