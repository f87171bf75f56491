import type { CpuState } from './cpu-state.ts';

/**
 * What an instruction's shared helper sees (`Emit.helper`). Helpers are TypeScript functions called from generated
 * code for what is rare or awkward; a helper that raises does not return.
 */
export interface HelperContext {
  /** The vCPU's state block; offsets are those of layout.ts. */
  readonly view: DataView;
  /** Raises a guest exception. */
  raise(vector: number, errorCode?: number): never;
  /** Linear memory at the current privilege level, with page faults raised as the processor would. */
  readMemory(linear: bigint, bits: 8 | 16 | 32 | 64): bigint;
  writeMemory(linear: bigint, value: bigint, bits: 8 | 16 | 32 | 64): void;
  /** The whole wasm memory, and where in it an area lies that can be accessed in place; 0 where it must go piece by piece. */
  readonly wasmMemory: DataView;
  plainAddress(linear: bigint, lengthBytes: number, write: boolean): number;
  /** Raises the faults that writing [linear, linear + lengthBytes) would, before anything is written; first #AC, where alignment is checked. */
  probeWrite(linear: bigint, lengthBytes: number, alignmentBytes?: number): void;
}

/** What system instructions need besides. */
export interface SystemContext extends HelperContext {
  readonly state: CpuState;
  /** Address of the instruction that runs, and of the next. */
  readonly rip: bigint;
  readonly nextRip: bigint;
  /** Memory as the processor itself reads descriptors and stacks: supervisor, whatever the privilege level. */
  readSystem(linear: bigint, bits: 8 | 16 | 32 | 64): bigint;
  writeSystem(linear: bigint, value: bigint, bits: 8 | 16 | 32 | 64): void;
  /** Continues elsewhere; generated code looks the address and the mode up again. */
  jump(rip: bigint): void;
  /** Leaves generated code after this instruction, at the next one. */
  stop(reason: 'halt' | 'shutdown'): void;
  /** Looks at pending interrupts before going on. */
  interruptWindow(): void;
  /** IRET lets the next NMI in. */
  unblockNmi(): void;
  /** SS was loaded: interrupts and debug exceptions wait for the next instruction's end (SDM vol. 3A §6.8.3). */
  shadowStackLoad(): void;
  /** An event took the place of the instruction's debug traps. */
  eventDelivered(): void;
  /** SYSCALL and SYSRET trap as TF is behind them. */
  stepByNewFlags(): void;
  /** Raises #DB after this instruction, with these bits of DR6. */
  debugTrap(bits: bigint): void;
  /** Raises #DB where DR7.GD forbids MOV to and from debug registers (SDM vol. 3B §18.2.4). */
  checkDebugAccess(): void;
  /** Debug registers or CR4.DE changed. */
  debugChanged(): void;
  /** Some breakpoint waits for instructions, so that RFLAGS.RF counts. */
  readonly breaksOnExecution: boolean;
  flushTlb(keepGlobal: boolean): void;
  flushPage(linear: bigint): void;
  readPort(port: number, widthBytes: 1 | 2 | 4): number;
  writePort(port: number, value: number, widthBytes: 1 | 2 | 4): void;
  /** MSRs that live outside the state block (APIC, time stamp); undefined where there is no such register. */
  readExternalMsr(number: number): bigint | undefined;
  writeExternalMsr(number: number, value: bigint): boolean;
  /** Bits of CR4 that the CPU model's features add. */
  readonly cr4Features: bigint;
  cpuid(leaf: number, subleaf: number): readonly [number, number, number, number];
  /** What a hypercall gives; undefined where there is no hypervisor to be seen. */
  hypercall(number: bigint, args: readonly [bigint, bigint, bigint, bigint]): bigint | undefined;
  randomWord(): bigint;
  readTaskPriority(): number;
  writeTaskPriority(value: number): void;
  count(kind: 'hypercall' | 'cpuid' | 'msr read' | 'msr write' | 'control register' | 'descriptor table' | 'tlb invalidate' | 'halt' | 'software interrupt'): void;
}

/** Arguments are the values the body passed, as unsigned 64-bit; the result is taken modulo 2^64. */
export type Helper = (context: HelperContext, ...args: bigint[]) => bigint | void;
export type SystemHelper = (context: SystemContext, ...args: bigint[]) => bigint | void;

/** Thrown by `raise`; delivered as a guest exception by the vCPU. */
export class GuestFault extends Error {
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** Where the guest goes on after it, when that is not the instruction (a task switch that failed half-way). */
  readonly rip: bigint | undefined;

  constructor(vector: number, errorCode?: number, rip?: bigint) {
    super(`guest exception ${vector}`);
    this.vector = vector;
    this.errorCode = errorCode;
    this.rip = rip;
  }
}

/** Faults of the engine's own, in the place of a vector: the instruction starts again as a single step; a breakpoint is here. */
export const RESTART_FAULT = 0x100;
export const BREAK_FAULT = 0x101;
