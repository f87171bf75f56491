import type { AccessWidthBytes } from './io-space.ts';

/** Why `Vcpu.run` came back. */
export type VcpuStop =
  /** HLT with nothing to deliver; run again after an interrupt is posted or the deadline passes. */
  | { readonly reason: 'halt' }
  /** Somebody called `kick`. */
  | { readonly reason: 'kick' }
  /** Triple fault: the board resets. */
  | { readonly reason: 'shutdown' }
  /** The instruction limit given to `run` was reached. */
  | { readonly reason: 'limit' }
  /** Only with `interceptExceptions`: the guest raised this and it was not delivered. */
  | { readonly reason: 'exception'; readonly vector: number; readonly errorCode: number; readonly cr2: bigint };

/** The way from a vCPU to everything outside it; calls are synchronous. */
export interface VcpuBus {
  readPort(port: number, widthBytes: AccessWidthBytes): number;
  writePort(port: number, value: number, widthBytes: AccessWidthBytes): void;
  readMmio(gpa: number, widthBytes: AccessWidthBytes): number;
  writeMmio(gpa: number, value: number, widthBytes: AccessWidthBytes): void;
}

/** One virtual processor, whatever executes it. */
export interface Vcpu {
  /** Runs until a stop. `limit` bounds the instructions of this call (default: none). */
  run(limit?: number): VcpuStop;
  /** Makes `run` come back soon. May be called from any thread that shares the machine's memory. */
  kick(): void;
  /** Back to the state after power-on (SDM vol. 3A §10.1.1). */
  reset(): void;
  getState(): VcpuState;
  setState(state: Partial<VcpuState>): void;
}

export interface SegmentState {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
  /** Access rights: descriptor bits 40-47 in bits 0-7, bits 52-55 in bits 12-15 (as in a VMCS, SDM vol. 3C §25.4.1). */
  readonly access: number;
}

/** The architectural state of a vCPU, the same for every engine. */
export interface VcpuState {
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8-R15. */
  readonly gpr: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: bigint;
  /** ES, CS, SS, DS, FS, GS. */
  readonly segments: readonly SegmentState[];
  readonly ldtr: SegmentState;
  readonly tr: SegmentState;
  readonly gdtr: { readonly base: bigint; readonly limit: number };
  readonly idtr: { readonly base: bigint; readonly limit: number };
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly cr8: bigint;
  readonly efer: bigint;
  /** DR0-DR3, DR6, DR7. */
  readonly dr: readonly bigint[];
  /** XMM0-XMM15, 16 bytes each, 256 in all. */
  readonly xmm: Uint8Array;
  readonly mxcsr: number;
  /** x87: eight registers of 10 bytes in stack order, 80 in all, and the control, status and (full) tag words. */
  readonly x87: { readonly registers: Uint8Array; readonly control: number; readonly status: number; readonly tag: number };
  readonly xcr0: bigint;
  /** Other model-specific registers, by number. */
  readonly msrs: ReadonlyMap<number, bigint>;
}
