import { Vector } from '@hanok/x86';
import { ACCESS, CR0, CR4, EFER, RFLAGS } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { isCanonical } from './msr.ts';
import { preventUserMode } from './segments.ts';

const CR0_DEFINED = CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;
/** What every model has; virtual-8086 extensions are not offered. */
const CR4_COMMON = CR4.TSD | CR4.DE | CR4.PSE | CR4.PAE | CR4.MCE | CR4.PGE | CR4.PCE | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.SMEP | CR4.SMAP;
const PCID_MASK = 0xfffn;
/** MOV to CR3 that keeps what is cached of its address space (SDM vol. 3A §4.10.4.1). */
const NO_FLUSH = 1n << 63n;
const PHYSICAL_MASK = (1n << 40n) - 1n;

function requireKernel(context: SystemContext): void {
  if (context.state.isProtected && context.state.cpl !== 0) context.raise(Vector.GP, 0);
}

/** MOV to CR0 (SDM vol. 3A §2.5, §4.1.2, §10.8.5). */
function setCr0(context: SystemContext, value: bigint): void {
  const { state } = context;
  const old = state.get(CPU.cr0);
  if (value >> 32n || (value & CR0.PG && !(value & CR0.PE)) || (value & CR0.NW && !(value & CR0.CD))) context.raise(Vector.GP, 0);
  const next = (value & CR0_DEFINED) | CR0.ET;
  const efer = state.get(CPU.efer);
  const pagingOn = !(old & CR0.PG) && next & CR0.PG;
  const pagingOff = old & CR0.PG && !(next & CR0.PG);
  if (pagingOn && efer & EFER.LME) {
    const csLong = state.segment(SEGMENT_INDEX.CS).access & ACCESS.long;
    if (!(state.get(CPU.cr4) & CR4.PAE) || csLong) context.raise(Vector.GP, 0);
    state.set(CPU.efer, efer | EFER.LMA);
  }
  if (pagingOff && (state.mode === 64 || state.get(CPU.cr4) & CR4.PCIDE)) context.raise(Vector.GP, 0);
  if (pagingOff) state.set(CPU.efer, efer & ~EFER.LMA);
  state.set(CPU.cr0, next);
  if ((old ^ next) & (CR0.PG | CR0.WP | CR0.PE)) context.flushTlb(false);
  state.updateMode();
}

function setCr4(context: SystemContext, value: bigint): void {
  const { state } = context;
  const old = state.get(CPU.cr4);
  if (value & ~(CR4_COMMON | context.cr4Features) || (state.isLong && !(value & CR4.PAE))) context.raise(Vector.GP, 0);
  // Address-space identifiers begin with 0, in long mode (SDM vol. 3A §4.10.1).
  if (value & ~old & CR4.PCIDE && (!state.isLong || state.get(CPU.cr3) & PCID_MASK)) context.raise(Vector.GP, 0);
  state.set(CPU.cr4, value);
  if ((old ^ value) & CR4.DE) context.debugChanged();
  if ((old ^ value) & (CR4.PSE | CR4.PAE | CR4.PGE | CR4.PCIDE | CR4.SMEP | CR4.SMAP)) context.flushTlb(false);
  state.updateMode();
}

function setCr3(context: SystemContext, value: bigint): void {
  const { state } = context;
  const identifies = state.get(CPU.cr4) & CR4.PCIDE;
  const next = identifies ? value & ~NO_FLUSH : value;
  if (state.isLong && next & ~PHYSICAL_MASK) context.raise(Vector.GP, 0);
  // The TLBs hold one address space: what they keep is of use only where it stays the same.
  const keeps = identifies && value & NO_FLUSH && next === state.get(CPU.cr3);
  state.set(CPU.cr3, next);
  if (!keeps) context.flushTlb(true);
}

const writeControl: Record<number, (context: SystemContext, value: bigint) => void> = {
  0: setCr0,
  2: (context, value) => context.state.set(CPU.cr2, value),
  3: setCr3,
  4: setCr4,
  8(context, value) {
    if (value > 15n) context.raise(Vector.GP, 0);
    context.writeTaskPriority(Number(value));
    if (context.state.get(CPU.systemFlags) & RFLAGS.IF) context.interruptWindow();
  },
};

const CONTROL_OFFSETS: Record<number, number> = { 0: CPU.cr0, 2: CPU.cr2, 3: CPU.cr3, 4: CPU.cr4 };

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE is set (SDM vol. 3B §18.2.2). */
function debugIndex(context: SystemContext, number: number): number {
  if (number > 7) context.raise(Vector.UD);
  if (number !== 4 && number !== 5) return number;
  if (context.state.get(CPU.cr4) & CR4.DE) context.raise(Vector.UD);
  return number + 2;
}

const debugOffset = (index: number) => CPU.debug + (index < 4 ? index : index - 2) * 8;

export const CONTROL_HELPERS: Record<string, SystemHelper> = {
  'set-control-register'(context, number, value) {
    requireKernel(context);
    const write = writeControl[Number(number!)];
    if (!write) context.raise(Vector.UD);
    context.count('control register');
    write!(context, value!);
    context.jump(context.nextRip);
  },
  'get-control-register'(context, number) {
    requireKernel(context);
    if (number === 8n) return BigInt(context.readTaskPriority());
    const offset = CONTROL_OFFSETS[Number(number!)];
    if (offset === undefined) context.raise(Vector.UD);
    return context.state.get(offset!);
  },
  'set-debug-register'(context, number, value) {
    requireKernel(context);
    const index = debugIndex(context, Number(number!));
    context.checkDebugAccess();
    if (index >= 6 && value! >> 32n) context.raise(Vector.GP, 0);
    // Reserved bits read as SDM vol. 3B figure 18-1 says.
    const kept = index === 6 ? (value! & 0xe00fn) | 0xffff0ff0n : index === 7 ? (value! & 0xffff2fffn) | 0x400n : value!;
    context.state.set(debugOffset(index), kept);
    if (index !== 6) context.debugChanged();
    context.jump(context.nextRip);
  },
  'get-debug-register'(context, number) {
    requireKernel(context);
    const index = debugIndex(context, Number(number!));
    context.checkDebugAccess();
    return context.state.get(debugOffset(index));
  },
  'get-machine-status'(context) {
    preventUserMode(context);
    return context.state.get(CPU.cr0);
  },
  'set-machine-status'(context, value) {
    requireKernel(context);
    const old = context.state.get(CPU.cr0);
    // LMSW sets PE but never clears it (SDM vol. 2A, "LMSW").
    setCr0(context, (old & ~0xen) | (value! & 0xfn));
    context.jump(context.nextRip);
  },
  'clear-task-switched'(context) {
    requireKernel(context);
    context.state.set(CPU.cr0, context.state.get(CPU.cr0) & ~CR0.TS);
    context.state.updateMode();
    context.jump(context.nextRip);
  },
  'check-protected-mode'(context) {
    if (!context.state.isProtected || context.state.isVirtual8086) context.raise(Vector.UD);
  },
  'invalidate-page'(context, linear) {
    requireKernel(context);
    context.count('tlb invalidate');
    context.flushPage(linear!);
    context.jump(context.nextRip);
  },
  'invalidate-process-context'(context, type, linear) {
    requireKernel(context);
    if (type! > 3n) context.raise(Vector.GP, 0);
    const identifier = context.readMemory(linear!, 64);
    const address = context.readMemory(linear! + 8n, 64);
    if (identifier & ~PCID_MASK) context.raise(Vector.GP, 0);
    const named = type! < 2n && identifier !== 0n && !(context.state.get(CPU.cr4) & CR4.PCIDE);
    if (named || (type === 0n && !isCanonical(address))) context.raise(Vector.GP, 0);
    context.count('tlb invalidate');
    // Other address spaces have nothing cached (SDM vol. 2A, "INVPCID").
    const current = (context.state.get(CPU.cr3) & PCID_MASK) === identifier;
    if (type === 0n && current) context.flushPage(address);
    else if (type === 2n) context.flushTlb(false);
    else if (type === 3n || current) context.flushTlb(true);
    context.jump(context.nextRip);
  },
  'write-back-caches': (context) => requireKernel(context),
};
