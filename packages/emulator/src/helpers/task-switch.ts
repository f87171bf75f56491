import { Vector } from '@hanok/x86';
import { ACCESS, CR0, RFLAGS, type Segment } from '../cpu-state.ts';
import { GuestFault, type SystemContext } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { readFlags, writeFlags } from './flags.ts';
import { type Descriptor, isNull, loadDataSegment, markAccessed, needDescriptor, nullSegment, readDescriptor, selectorError } from './segments.ts';
import { isStackFor, pushLegacy } from './stacks.ts';

/** Hardware task switches (SDM vol. 3A §8.3). */

interface TaskLayout {
  readonly sizeBytes: number;
  readonly bits: 16 | 32;
  readonly ip: number;
  readonly flags: number;
  /** AX, CX, DX, BX, SP, BP, SI, DI. */
  readonly registers: number;
  /** ES, CS, SS, DS and in a 32-bit TSS FS, GS. */
  readonly segments: number;
  readonly segmentCount: number;
  readonly segmentBytes: number;
  readonly ldt: number;
}

/** SDM vol. 3A figures 8-2 and 8-10. */
const LAYOUT_32: TaskLayout = { sizeBytes: 0x68, bits: 32, ip: 0x20, flags: 0x24, registers: 0x28, segments: 0x48, segmentCount: 6, segmentBytes: 4, ldt: 0x60 };
const LAYOUT_16: TaskLayout = { sizeBytes: 0x2c, bits: 16, ip: 0x0e, flags: 0x10, registers: 0x12, segments: 0x22, segmentCount: 4, segmentBytes: 2, ldt: 0x2a };
const CR3_OFFSET = 0x1c;
const TRAP_OFFSET = 0x64;
const BUSY = 2;
const VIRTUAL_8086_ACCESS = 0xf3;

const layoutOf = (access: number) => (access & 8 ? LAYOUT_32 : LAYOUT_16);

export interface TaskSwitch {
  /** JMP leaves the old task free; CALL and events nest the new one in it; IRET comes back. */
  readonly kind: 'jump' | 'nested' | 'return';
  /** Where the old task goes on. */
  readonly rip: bigint;
  readonly errorCode?: number | undefined;
  /** EXT of error codes. */
  readonly external?: number;
}

/** Everything a TSS holds of a task. */
interface Task {
  readonly cr3: bigint;
  readonly ip: bigint;
  readonly flags: bigint;
  readonly registers: readonly bigint[];
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly trap: boolean;
}

function readTask(context: SystemContext, base: bigint, layout: TaskLayout): Task {
  const read = (offset: number, bits: 16 | 32 = layout.bits) => context.readSystem(base + BigInt(offset), bits);
  return {
    cr3: layout.bits === 32 ? read(CR3_OFFSET) : 0n,
    ip: read(layout.ip),
    flags: read(layout.flags),
    registers: Array.from({ length: 8 }, (_, index) => read(layout.registers + (index * layout.bits) / 8)),
    selectors: Array.from({ length: layout.segmentCount }, (_, index) => Number(read(layout.segments + index * layout.segmentBytes, 16))),
    ldt: Number(read(layout.ldt, 16)),
    trap: layout.bits === 32 && (read(TRAP_OFFSET, 16) & 1n) !== 0n,
  };
}

function saveTask(context: SystemContext, base: bigint, layout: TaskLayout, rip: bigint, flags: bigint): void {
  const { state } = context;
  const write = (offset: number, value: bigint, bits: 16 | 32 = layout.bits) => context.writeSystem(base + BigInt(offset), value, bits);
  write(layout.ip, rip);
  write(layout.flags, flags);
  for (let index = 0; index < 8; index++) write(layout.registers + (index * layout.bits) / 8, state.register(index));
  for (let index = 0; index < layout.segmentCount; index++) write(layout.segments + index * layout.segmentBytes, BigInt(state.segment(index).selector), 16);
}

function setBusy(context: SystemContext, descriptor: Descriptor, busy: boolean): void {
  const access = busy ? descriptor.access | BUSY : descriptor.access & ~BUSY;
  context.writeSystem(descriptor.linear + 5n, BigInt(access & 0xff), 8);
}

/** Switches to the task of a TSS descriptor whose type and presence the caller has checked. */
function switchTask(context: SystemContext, target: Descriptor, how: TaskSwitch): void {
  const { state } = context;
  const layout = layoutOf(target.access);
  const external = how.external ?? 0;
  if (target.limit < layout.sizeBytes - 1) context.raise(Vector.TS, selectorError(target.selector) | external);
  const old = state.segment(SEGMENT_INDEX.TR);
  const task = readTask(context, target.base, layout);
  const flags = readFlags(state);
  saveTask(context, old.base, layoutOf(old.access), how.rip, how.kind === 'return' ? flags & ~RFLAGS.NT : flags);
  const oldDescriptor = how.kind === 'nested' ? undefined : readDescriptor(context, old.selector);
  if (oldDescriptor) setBusy(context, oldDescriptor, false);
  if (how.kind === 'nested') context.writeSystem(target.base, BigInt(old.selector), 16);
  if (how.kind !== 'return') setBusy(context, target, true);
  state.setSegment(SEGMENT_INDEX.TR, { selector: target.selector, base: target.base, limit: target.limit, access: target.access | BUSY });
  takeRegisters(context, task, layout, how.kind === 'nested');
  context.jump(task.ip);
  try {
    takeSegments(context, task, external);
    pushErrorCode(context, layout, how);
    if (task.ip > BigInt(state.segment(SEGMENT_INDEX.CS).limit)) context.raise(Vector.GP, external);
  } catch (error) {
    // The new task is the one that faults, before its first instruction (SDM vol. 3A §6.15, "#TS").
    throw error instanceof GuestFault ? new GuestFault(error.vector, error.errorCode, task.ip) : error;
  }
  if (task.trap) context.debugTrap(0x8000n);
}

function takeRegisters(context: SystemContext, task: Task, layout: TaskLayout, nested: boolean): void {
  const { state } = context;
  const cr0 = state.get(CPU.cr0);
  state.set(CPU.cr0, cr0 | CR0.TS);
  if (layout.bits === 32 && cr0 & CR0.PG) {
    state.set(CPU.cr3, task.cr3);
    context.flushTlb(true);
  }
  // Local breakpoints end with their task (SDM vol. 3B §18.2.4).
  state.set(CPU.debug + 40, state.get(CPU.debug + 40) & ~0x155n);
  context.debugChanged();
  const mask = layout.bits === 16 ? 0xffffn : 0xffffffffn;
  task.registers.forEach((value, index) => state.setRegister(index, layout.bits === 16 ? (state.register(index) & 0xffff0000n) | value : value));
  writeFlags(state, task.flags | (nested ? RFLAGS.NT : 0n), mask);
  for (let index = 0; index < 6; index++) state.setSegment(index, nullSegment(task.selectors[index] ?? 0));
  state.setSegment(SEGMENT_INDEX.LDTR, nullSegment(task.ldt));
  state.setCpl(state.isVirtual8086 ? 3 : task.selectors[SEGMENT_INDEX.CS]! & 3);
}

function takeSegments(context: SystemContext, task: Task, external: number): void {
  const { state } = context;
  const { selectors } = task;
  takeLocalTable(context, task.ldt, external);
  if (state.isVirtual8086) {
    const real = (selector: number): Segment => ({ selector, base: BigInt(selector) << 4n, limit: 0xffff, access: VIRTUAL_8086_ACCESS });
    selectors.forEach((selector, index) => state.setSegment(index, real(selector)));
    return;
  }
  takeCode(context, selectors[SEGMENT_INDEX.CS]!, external);
  takeStack(context, selectors[SEGMENT_INDEX.SS]!, external);
  for (const index of [SEGMENT_INDEX.ES, SEGMENT_INDEX.DS, SEGMENT_INDEX.FS, SEGMENT_INDEX.GS]) {
    if (selectors[index] !== undefined) loadDataSegment(context, index, selectors[index], Vector.TS, external);
  }
}

function takeLocalTable(context: SystemContext, selector: number, external: number): void {
  if (isNull(selector)) return;
  const descriptor = selector & 4 ? undefined : readDescriptor(context, selector);
  const usable = descriptor && (descriptor.access & 0x9f) === (ACCESS.present | 2);
  if (!usable) context.raise(Vector.TS, selectorError(selector) | external);
  context.state.setSegment(SEGMENT_INDEX.LDTR, descriptor!);
}

function takeCode(context: SystemContext, selector: number, external: number): void {
  if (isNull(selector)) context.raise(Vector.TS, external);
  const descriptor = needDescriptor(context, selector, Vector.TS, external);
  const { access, dpl } = descriptor;
  const isCode = (access & (ACCESS.system | ACCESS.code)) === (ACCESS.system | ACCESS.code);
  if (!isCode || (access & ACCESS.conforming ? dpl > (selector & 3) : dpl !== (selector & 3))) context.raise(Vector.TS, selectorError(selector) | external);
  if (!(access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector) | external);
  markAccessed(context, descriptor);
  context.state.setSegment(SEGMENT_INDEX.CS, descriptor);
}

function takeStack(context: SystemContext, selector: number, external: number): void {
  const { state } = context;
  if (isNull(selector)) context.raise(Vector.TS, external);
  const descriptor = needDescriptor(context, selector, Vector.TS, external);
  if (!isStackFor(state.cpl, selector, descriptor.access)) context.raise(Vector.TS, selectorError(selector) | external);
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.SS, selectorError(selector) | external);
  markAccessed(context, descriptor);
  state.setSegment(SEGMENT_INDEX.SS, descriptor);
}

function pushErrorCode(context: SystemContext, layout: TaskLayout, { errorCode, external }: TaskSwitch): void {
  const { state } = context;
  if (errorCode === undefined) return;
  const stack = { segment: state.segment(SEGMENT_INDEX.SS), pointer: state.register(4), cpl: state.cpl, error: external ?? 0 };
  state.setRegister(4, pushLegacy(context, stack, [BigInt(errorCode)], layout.bits === 32 ? 4 : 2));
}

/** The available TSS that a task gate names. */
function gateTask(context: SystemContext, selector: number, external: number): Descriptor {
  const error = selectorError(selector) | external;
  const descriptor = selector & 4 ? undefined : readDescriptor(context, selector);
  if (!descriptor || ![1, 9].includes(descriptor.access & 0x1f)) return context.raise(Vector.GP, error);
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.NP, error);
  return descriptor;
}

/** An interrupt or exception through a task gate (SDM vol. 3A §6.14.5). */
export function interruptTask(context: SystemContext, selector: number, rip: bigint, errorCode: number | undefined, external: number): void {
  switchTask(context, gateTask(context, selector, external), { kind: 'nested', rip, errorCode, external });
}

/** Far JMP or CALL to a TSS or task gate (SDM vol. 3A §8.3); false where the descriptor is neither. */
export function transferToTask(context: SystemContext, descriptor: Descriptor, selector: number, kind: 'jump' | 'nested'): boolean {
  const { state } = context;
  const type = descriptor.access & 0x1f;
  if (state.isLong || ![1, 3, 5, 9, 11].includes(type)) return false;
  if (descriptor.dpl < state.cpl || descriptor.dpl < (selector & 3) || type === 3 || type === 11) context.raise(Vector.GP, selectorError(selector));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  switchTask(context, type === 5 ? gateTask(context, (descriptor.low >>> 16) & 0xffff, 0) : { ...descriptor, selector }, { kind, rip: context.nextRip });
  return true;
}

/** IRET with NT set: back to the task that this one is nested in. */
export function returnToTask(context: SystemContext): void {
  const { state } = context;
  const selector = Number(context.readSystem(state.segment(SEGMENT_INDEX.TR).base, 16));
  const descriptor = selector & 4 ? undefined : readDescriptor(context, selector);
  if (!descriptor || ![3, 11].includes(descriptor.access & 0x1f)) return context.raise(Vector.TS, selectorError(selector));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  switchTask(context, descriptor, { kind: 'return', rip: context.nextRip });
}
