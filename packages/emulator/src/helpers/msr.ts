import { Vector } from '@hanok/x86';
import { CR0, type CpuState, EFER } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { hasValidTypes, MEMORY_TYPE_MSRS } from './memory-types.ts';

/** Numbers of model-specific registers (SDM vol. 4 chapter 2). */
export const MSR = {
  PlatformId: 0x17, ApicBase: 0x1b, SpecCtrl: 0x48, PredCmd: 0x49, BiosSignature: 0x8b, ArchCapabilities: 0x10a, FlushCmd: 0x10b,
  SysenterCs: 0x174, SysenterEsp: 0x175, SysenterEip: 0x176, McgCap: 0x179, McgStatus: 0x17a, MiscEnable: 0x1a0, DebugCtl: 0x1d9,
  Efer: 0xc0000080, Star: 0xc0000081, Lstar: 0xc0000082, Cstar: 0xc0000083, Fmask: 0xc0000084,
  FsBase: 0xc0000100, GsBase: 0xc0000101, KernelGsBase: 0xc0000102, TscAux: 0xc0000103,
} as const;

/**
 * IA32_ARCH_CAPABILITIES: this processor does not speculate, so the "not affected" bits are the truth (SDM vol. 4
 * table 2-2: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO,
 * PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO).
 */
const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce((bits, bit) => bits | (1n << BigInt(bit)), 0n);

/** Plain registers: what they hold after reset, and the bits that can be written. */
export const PLAIN_MSRS: ReadonlyMap<number, { reset: bigint; writable: bigint }> = new Map([
  [MSR.PlatformId, { reset: 0n, writable: 0n }],
  // IBRS, STIBP, SSBD, BHI_DIS_S.
  [MSR.SpecCtrl, { reset: 0n, writable: 0x407n }],
  [MSR.PredCmd, { reset: 0n, writable: 1n }],
  [MSR.FlushCmd, { reset: 0n, writable: 1n }],
  // Recent enough for every workaround that looks at the microcode revision.
  [MSR.BiosSignature, { reset: 0xf0n << 32n, writable: 0n }],
  [MSR.ArchCapabilities, { reset: ARCH_CAPABILITIES, writable: 0n }],
  [MSR.SysenterCs, { reset: 0n, writable: 0xffffffffn }],
  [MSR.SysenterEsp, { reset: 0n, writable: ~0n }],
  [MSR.SysenterEip, { reset: 0n, writable: ~0n }],
  [MSR.McgCap, { reset: 0n, writable: 0n }],
  [MSR.McgStatus, { reset: 0n, writable: 7n }],
  [MSR.MiscEnable, { reset: 1n, writable: 1n }],
  [MSR.DebugCtl, { reset: 0n, writable: 3n }],
  [MSR.Star, { reset: 0n, writable: ~0n }],
  [MSR.Lstar, { reset: 0n, writable: ~0n }],
  [MSR.Cstar, { reset: 0n, writable: ~0n }],
  [MSR.Fmask, { reset: 0n, writable: 0xffffffffn }],
  [MSR.TscAux, { reset: 0n, writable: 0xffffffffn }],
  ...MEMORY_TYPE_MSRS,
]);

const PRETENDED = new Set<number>([MSR.PredCmd, MSR.FlushCmd, MSR.BiosSignature]);
const NEEDS_CANONICAL = new Set<number>([MSR.SysenterEsp, MSR.SysenterEip, MSR.Lstar, MSR.Cstar, MSR.FsBase, MSR.GsBase, MSR.KernelGsBase]);

/** Registers kept in the state block. */
const STATE_MSRS: Record<number, number> = {
  [MSR.FsBase]: CPU.segments + SEGMENT_INDEX.FS * 32,
  [MSR.GsBase]: CPU.segments + SEGMENT_INDEX.GS * 32,
  [MSR.KernelGsBase]: CPU.kernelGsBase,
};

/** Plain registers that generated code reads from the state block. */
const MIRRORED = [[MSR.Star, CPU.star], [MSR.Lstar, CPU.lstar], [MSR.Fmask, CPU.fmask], [MSR.TscAux, CPU.tscAux]] as const;

/** Values of the plain registers of one vCPU. */
export class MsrFile {
  readonly #values = new Map<number, bigint>();
  readonly #state: CpuState;

  constructor(state: CpuState) {
    this.#state = state;
    this.reset();
  }
  reset(): void {
    for (const [number, { reset }] of PLAIN_MSRS) this.#values.set(number, reset);
    this.mirror();
  }
  /** Puts what generated code reads into the state block, where INIT and reset clear it. */
  mirror(): void {
    for (const [number, offset] of MIRRORED) this.#state.set(offset, this.#values.get(number)!);
  }
  get(number: number): bigint | undefined {
    return this.#values.get(number);
  }
  set(number: number, value: bigint): void {
    this.#values.set(number, value);
    this.mirror();
  }
  entries(): ReadonlyMap<number, bigint> {
    return this.#values;
  }
}

export const isCanonical = (value: bigint) => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

function writeEfer(context: SystemContext, value: bigint): void {
  const { state } = context;
  const old = state.get(CPU.efer);
  const offered = EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE;
  const changesLme = (old ^ value) & EFER.LME && state.get(CPU.cr0) & CR0.PG;
  if (value & ~offered || changesLme) context.raise(Vector.GP, 0);
  state.set(CPU.efer, (value & ~EFER.LMA) | (old & EFER.LMA));
  context.flushTlb(false);
  state.updateMode();
}

/** Reads any register; undefined where there is none. */
export function readMsr(context: SystemContext, msrs: MsrFile, number: number): bigint | undefined {
  if (number === MSR.Efer) return context.state.get(CPU.efer);
  const offset = STATE_MSRS[number];
  if (offset !== undefined) return context.state.get(offset);
  return msrs.get(number) ?? context.readExternalMsr(number);
}

/** Writes any register; false where there is none or the value is not allowed. */
export function writeMsr(context: SystemContext, msrs: MsrFile, number: number, value: bigint): boolean {
  if (NEEDS_CANONICAL.has(number) && !isCanonical(value)) return false;
  if (number === MSR.Efer) {
    writeEfer(context, value);
    return true;
  }
  const offset = STATE_MSRS[number];
  if (offset !== undefined) {
    context.state.set(offset, value);
    return true;
  }
  const plain = PLAIN_MSRS.get(number);
  if (!plain) return context.writeExternalMsr(number, value);
  if (PRETENDED.has(number)) return true;
  if (plain.writable === 0n) return false;
  if (value & ~BigInt.asUintN(64, plain.writable) || !hasValidTypes(number, value)) return false;
  msrs.set(number, value);
  return true;
}

function numberAndPrivilege(context: SystemContext): number {
  if (context.state.cpl !== 0) context.raise(Vector.GP, 0);
  return Number(context.state.register(1) & 0xffffffffn);
}

export function msrHelpers(msrs: MsrFile): Record<string, SystemHelper> {
  return {
    'read-msr'(context) {
      const number = numberAndPrivilege(context);
      context.count('msr read');
      const value = readMsr(context, msrs, number);
      if (value === undefined) context.raise(Vector.GP, 0);
      context.state.setRegister(0, value! & 0xffffffffn);
      context.state.setRegister(2, value! >> 32n);
    },
    'write-msr'(context) {
      const number = numberAndPrivilege(context);
      const { state } = context;
      context.count('msr write');
      const value = (state.register(0) & 0xffffffffn) | ((state.register(2) & 0xffffffffn) << 32n);
      if (!writeMsr(context, msrs, number, value)) context.raise(Vector.GP, 0);
      context.jump(context.nextRip);
    },
  };
}
