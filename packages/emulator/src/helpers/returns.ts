import { Vector } from '@hanok/x86';
import { ACCESS, RFLAGS, type Segment } from '../cpu-state.ts';
import type { SystemContext } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { changeableFlags, writeFlags } from './flags.ts';
import { isNull, markAccessed, needDescriptor, nullSegment, selectorError } from './segments.ts';
import { currentStack, isStackFor, type StackReader } from './stacks.ts';
import { returnToTask } from './task-switch.ts';
import { goTo, isCode, isReal, realCode } from './transfers.ts';

const RSP = 4;

/** Data segments that an outer privilege level may not use become null (SDM vol. 3A §5.8.6). */
function dropInnerSegments(context: SystemContext, cpl: number): void {
  for (const index of [0, 3, 4, 5]) {
    const segment = context.state.segment(index);
    const conforming = isCode(segment.access) && (segment.access & ACCESS.conforming) !== 0;
    if (!isNull(segment.selector) && !conforming && ((segment.access >> 5) & 3) < cpl) context.state.setSegment(index, nullSegment(0));
  }
}

/** Checks the code segment that RET FAR or IRET goes back to. */
function returnSegment(context: SystemContext, selector: number): Segment {
  if (isNull(selector)) context.raise(Vector.GP, 0);
  const descriptor = needDescriptor(context, selector);
  const rpl = selector & 3;
  const { access, dpl } = descriptor;
  const allowed = isCode(access) && rpl >= context.state.cpl && (access & ACCESS.conforming ? dpl <= rpl : dpl === rpl);
  const bothSizes = context.state.isLong && access & ACCESS.long && access & ACCESS.big;
  if (!allowed || bothSizes) context.raise(Vector.GP, selectorError(selector));
  if (!(access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  markAccessed(context, descriptor);
  return descriptor;
}

/** Checks the stack segment of the level that is returned to. */
function returnStack(context: SystemContext, selector: number, cpl: number, toLong: boolean): Segment {
  if (isNull(selector)) {
    if (!toLong || cpl === 3 || (selector & 3) !== cpl) context.raise(Vector.GP, 0);
    return nullSegment(selector, cpl);
  }
  const descriptor = needDescriptor(context, selector);
  if (!isStackFor(cpl, selector, descriptor.access)) context.raise(Vector.GP, selectorError(selector));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.SS, selectorError(selector));
  markAccessed(context, descriptor);
  return descriptor;
}

/** RET FAR (SDM vol. 2B). */
export function returnFar(context: SystemContext, bits: number, extraBytes: number): void {
  const { state } = context;
  const bytes = bits / 8;
  const stack = currentStack(context, bytes);
  const rip = stack.read(0);
  const selector = Number(stack.read(1) & 0xffffn);
  const mask = state.get(CPU.stackMask);
  const add = (pointer: bigint, value: number) => (pointer & ~mask) | ((pointer + BigInt(value)) & mask);
  if (isReal(context)) {
    goTo(context, realCode(context, selector), rip);
    return state.setRegister(RSP, add(stack.after(2), extraBytes));
  }
  const segment = returnSegment(context, selector);
  const cpl = selector & 3;
  if (cpl === state.cpl) {
    goTo(context, segment, rip);
    return state.setRegister(RSP, add(stack.after(2), extraBytes));
  }
  const outer = currentStack(context, 1);
  const wide = (bytes * 8) as 16 | 32 | 64;
  const base = state.mode === 64 ? 0n : state.segment(SEGMENT_INDEX.SS).base;
  const at = outer.after(bytes * 2 + extraBytes);
  const pointer = context.readMemory(base + (at & mask), wide);
  const ss = Number(context.readMemory(base + ((at + BigInt(bytes)) & mask), 16));
  const stackSegment = returnStack(context, ss, cpl, (segment.access & ACCESS.long) !== 0);
  state.set(CPU.cpl, BigInt(cpl));
  state.setSegment(SEGMENT_INDEX.SS, stackSegment);
  goTo(context, segment, rip);
  const outerMask = state.get(CPU.stackMask);
  state.setRegister(RSP, (state.register(RSP) & ~outerMask) | ((pointer + BigInt(extraBytes)) & outerMask));
  dropInnerSegments(context, cpl);
}

/** IRET in real and virtual-8086 mode. */
function returnFromInterruptReal(context: SystemContext, bits: number): void {
  const { state } = context;
  if (state.isVirtual8086 && (state.get(CPU.systemFlags) & RFLAGS.IOPL) !== RFLAGS.IOPL) context.raise(Vector.GP, 0);
  const stack = currentStack(context, bits / 8);
  const [rip, cs, flags] = [stack.read(0), stack.read(1), stack.read(2)];
  goTo(context, realCode(context, Number(cs & 0xffffn)), rip);
  state.setRegister(RSP, stack.after(3));
  writeFlags(state, flags, changeableFlags(state, bits) & (state.isVirtual8086 ? ~RFLAGS.IOPL : ~0n));
}

/** IRET out of protected mode into virtual-8086 mode (SDM vol. 3B §21.2.6). */
function returnToVirtual8086(context: SystemContext, stack: StackReader, rip: bigint, cs: number, flags: bigint): void {
  const { state } = context;
  const values = Array.from({ length: 6 }, (_, index) => stack.read(3 + index));
  if (rip > 0xffffn) context.raise(Vector.GP, 0);
  const segment = (selector: number): Segment => ({ selector, base: BigInt(selector) << 4n, limit: 0xffff, access: 0xf3 });
  writeFlags(state, flags, changeableFlags(state, 32) | RFLAGS.VM | RFLAGS.IOPL | RFLAGS.IF);
  state.set(CPU.cpl, 3n);
  const order = [SEGMENT_INDEX.SS, SEGMENT_INDEX.ES, SEGMENT_INDEX.DS, SEGMENT_INDEX.FS, SEGMENT_INDEX.GS];
  order.forEach((index, place) => state.setSegment(index, segment(Number(values[place + 1]! & 0xffffn))));
  state.setSegment(SEGMENT_INDEX.CS, segment(cs));
  state.setRegister(RSP, values[0]!);
  context.jump(rip & 0xffffn);
}

/** IRET (SDM vol. 2A). */
export function returnFromInterrupt(context: SystemContext, bits: number): void {
  const { state } = context;
  if (isReal(context)) return returnFromInterruptReal(context, bits);
  if (state.get(CPU.systemFlags) & RFLAGS.NT) {
    if (state.isLong) context.raise(Vector.GP, 0);
    return returnToTask(context);
  }
  const stack = currentStack(context, bits / 8);
  const [rip, selector, flags] = [stack.read(0), Number(stack.read(1) & 0xffffn), stack.read(2)];
  if (flags & RFLAGS.VM && state.cpl === 0 && !state.isLong && bits === 32) return returnToVirtual8086(context, stack, rip, selector, flags);
  const segment = returnSegment(context, selector);
  const cpl = selector & 3;
  const changeable = changeableFlags(state, bits) | (bits !== 16 && context.breaksOnExecution ? RFLAGS.RF : 0n);
  // 64-bit IRET always pops the stack pointer (SDM vol. 2A, "IRET").
  const popsStack = state.mode === 64 || cpl !== state.cpl;
  const pointer = popsStack ? stack.read(3) : stack.after(3);
  const ss = popsStack ? returnStack(context, Number(stack.read(4) & 0xffffn), cpl, (segment.access & ACCESS.long) !== 0) : undefined;
  const outward = cpl !== state.cpl;
  goTo(context, segment, rip);
  state.set(CPU.cpl, BigInt(cpl));
  if (ss) state.setSegment(SEGMENT_INDEX.SS, ss);
  const mask = state.mode === 64 ? (1n << 64n) - 1n : (state.segment(SEGMENT_INDEX.SS).access & ACCESS.big) !== 0 ? 0xffffffffn : 0xffffn;
  state.setRegister(RSP, (state.register(RSP) & ~mask) | (pointer & mask));
  writeFlags(state, flags, changeable);
  if (outward) dropInnerSegments(context, cpl);
  state.updateMode();
}

