import { Vector } from '@hanok/x86';
import { ACCESS, RFLAGS, type Segment } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { changeableFlags, readFlags, writeFlags } from './flags.ts';
import { deliver, pushLegacy, readTaskStack, readTaskStack64 } from './interrupts.ts';
import { type Descriptor, isNull, markAccessed, needDescriptor, nullSegment, selectorError } from './segments.ts';

const RSP = 4;

/** Stack of the present privilege as far transfers see it. */
interface Stack {
  read(index: number): bigint;
  readonly after: (count: number) => bigint;
}

function currentStack(context: SystemContext, bytes: number): Stack {
  const { state } = context;
  const base = state.mode === 64 ? 0n : state.segment(SEGMENT_INDEX.SS).base;
  const mask = state.get(CPU.stackMask);
  const pointer = state.register(RSP);
  const at = (index: number) => (pointer + BigInt(index * bytes)) & mask;
  return {
    read: (index) => context.readMemory(base + at(index), (bytes * 8) as 16 | 32 | 64),
    after: (count) => (pointer & ~mask) | at(count),
  };
}

const isCode = (access: number) => (access & (ACCESS.system | ACCESS.code)) === (ACCESS.system | ACCESS.code);

/** Checks a code segment for a direct far JMP or CALL (SDM vol. 3A §5.8.1). */
function checkDirect(context: SystemContext, descriptor: Descriptor, selector: number): Segment {
  const { state } = context;
  const { access, dpl } = descriptor;
  const allowed = access & ACCESS.conforming ? dpl <= state.cpl : dpl === state.cpl && (selector & 3) <= state.cpl;
  const bothSizes = state.isLong && access & ACCESS.long && access & ACCESS.big;
  if (!allowed || bothSizes) context.raise(Vector.GP, selectorError(selector));
  if (!(access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  markAccessed(context, descriptor);
  return { ...descriptor, selector: (selector & 0xfffc) | state.cpl };
}

const realCode = (context: SystemContext, selector: number): Segment => ({ ...context.state.segment(SEGMENT_INDEX.CS), selector, base: BigInt(selector) << 4n });
const isReal = (context: SystemContext) => !context.state.isProtected || context.state.isVirtual8086;

function goTo(context: SystemContext, segment: Segment, offset: bigint): void {
  const long = context.state.isLong && (segment.access & ACCESS.long) !== 0;
  if (!long && offset > BigInt(segment.limit)) context.raise(Vector.GP, 0);
  context.state.setSegment(SEGMENT_INDEX.CS, segment);
  context.jump(offset);
}

/** A call gate's target (SDM vol. 3A §5.8.3, §5.8.3.1). */
function readGate(context: SystemContext, gate: Descriptor, selector: number): { descriptor: Descriptor; offset: bigint; wide: boolean; count: number } {
  const { state } = context;
  const type = gate.access & 15;
  const known = state.isLong ? type === 12 : type === 12 || type === 4;
  if (!known || gate.dpl < state.cpl || gate.dpl < (selector & 3)) context.raise(Vector.GP, selectorError(selector));
  if (!(gate.access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  const target = (gate.low >>> 16) & 0xffff;
  let offset = BigInt(((gate.low & 0xffff) | (type === 12 ? gate.high & 0xffff0000 : 0)) >>> 0);
  if (state.isLong) offset |= context.readSystem(gate.linear + 8n, 32) << 32n;
  if (isNull(target)) context.raise(Vector.GP, 0);
  const descriptor = needDescriptor(context, target);
  const longRight = !state.isLong || (descriptor.access & (ACCESS.long | ACCESS.big)) === ACCESS.long;
  if (!isCode(descriptor.access) || descriptor.dpl > state.cpl || !longRight) context.raise(Vector.GP, selectorError(target));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.NP, selectorError(target));
  return { descriptor, offset, wide: type === 12, count: gate.high & 31 };
}

function jumpFar(context: SystemContext, selector: number, offset: bigint): void {
  if (isReal(context)) return goTo(context, realCode(context, selector), offset);
  if (isNull(selector)) context.raise(Vector.GP, 0);
  const descriptor = needDescriptor(context, selector);
  if (isCode(descriptor.access)) return goTo(context, checkDirect(context, descriptor, selector), offset);
  if (descriptor.access & ACCESS.system) context.raise(Vector.GP, selectorError(selector));
  const gate = readGate(context, descriptor, selector);
  if (!(gate.descriptor.access & ACCESS.conforming) && gate.descriptor.dpl !== context.state.cpl) context.raise(Vector.GP, selectorError(gate.descriptor.selector));
  goTo(context, { ...gate.descriptor, selector: (gate.descriptor.selector & 0xfffc) | context.state.cpl }, gate.offset);
}

/** Pushes words in the present mode; the new stack pointer. */
function pushWords(context: SystemContext, words: readonly bigint[], bytes: 2 | 4 | 8): bigint {
  const { state } = context;
  if (state.mode !== 64) return pushLegacy(context, { segment: state.segment(SEGMENT_INDEX.SS), pointer: state.register(RSP) }, words, bytes === 2 ? 2 : 4);
  let pointer = state.register(RSP);
  for (const word of words) {
    pointer = BigInt.asUintN(64, pointer - BigInt(bytes));
    context.writeMemory(pointer, word, (bytes * 8) as 16 | 32 | 64);
  }
  return pointer;
}

function callFar(context: SystemContext, selector: number, offset: bigint, bits: number): void {
  const { state } = context;
  const returnTo = [BigInt(state.segment(SEGMENT_INDEX.CS).selector), context.nextRip];
  const bytes = (bits / 8) as 2 | 4 | 8;
  if (isReal(context)) {
    const pointer = pushWords(context, returnTo, bytes);
    goTo(context, realCode(context, selector), offset);
    return state.setRegister(RSP, pointer);
  }
  if (isNull(selector)) context.raise(Vector.GP, 0);
  const descriptor = needDescriptor(context, selector);
  if (isCode(descriptor.access)) {
    const segment = checkDirect(context, descriptor, selector);
    const pointer = pushWords(context, returnTo, bytes);
    goTo(context, segment, offset);
    return state.setRegister(RSP, pointer);
  }
  if (descriptor.access & ACCESS.system) context.raise(Vector.GP, selectorError(selector));
  callGate(context, readGate(context, descriptor, selector), returnTo);
}

function callGate(context: SystemContext, gate: ReturnType<typeof readGate>, returnTo: bigint[]): void {
  const { state } = context;
  const { descriptor } = gate;
  const inner = !(descriptor.access & ACCESS.conforming) && descriptor.dpl < state.cpl;
  const cpl = inner ? descriptor.dpl : state.cpl;
  const segment = { ...descriptor, selector: (descriptor.selector & 0xfffc) | cpl };
  const ss = state.segment(SEGMENT_INDEX.SS);
  if (!inner) {
    const pointer = pushWords(context, returnTo, state.isLong ? 8 : gate.wide ? 4 : 2);
    goTo(context, segment, gate.offset);
    return state.setRegister(RSP, pointer);
  }
  if (state.isLong) {
    let pointer = readTaskStack64(context, 4 + cpl * 8);
    for (const word of [BigInt(ss.selector), state.register(RSP), ...returnTo]) {
      pointer = BigInt.asUintN(64, pointer - 8n);
      context.writeSystem(pointer, word, 64);
    }
    state.set(CPU.cpl, BigInt(cpl));
    state.setSegment(SEGMENT_INDEX.SS, nullSegment(cpl, cpl));
    goTo(context, segment, gate.offset);
    return state.setRegister(RSP, pointer);
  }
  const bytes = gate.wide ? 4 : 2;
  const old = currentStack(context, bytes);
  const parameters = Array.from({ length: gate.count }, (_, index) => old.read(gate.count - 1 - index));
  const stack = readTaskStack(context, cpl);
  const pointer = pushLegacy(context, stack, [BigInt(ss.selector), state.register(RSP), ...parameters, ...returnTo], bytes);
  state.set(CPU.cpl, BigInt(cpl));
  state.setSegment(SEGMENT_INDEX.SS, stack.segment);
  goTo(context, segment, gate.offset);
  state.setRegister(RSP, pointer);
}

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
  const isWritableData = (descriptor.access & (ACCESS.system | ACCESS.code | ACCESS.writable)) === (ACCESS.system | ACCESS.writable);
  if (!isWritableData || descriptor.dpl !== cpl || (selector & 3) !== cpl) context.raise(Vector.GP, selectorError(selector));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.SS, selectorError(selector));
  markAccessed(context, descriptor);
  return descriptor;
}

function returnFar(context: SystemContext, bits: number, extraBytes: number): void {
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
  state.setRegister(RSP, pointer + BigInt(extraBytes));
  dropInnerSegments(context, cpl);
}

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
function returnToVirtual8086(context: SystemContext, stack: Stack, rip: bigint, cs: number, flags: bigint): void {
  const { state } = context;
  const values = Array.from({ length: 6 }, (_, index) => stack.read(3 + index));
  const segment = (selector: number): Segment => ({ selector, base: BigInt(selector) << 4n, limit: 0xffff, access: 0xf3 });
  writeFlags(state, flags, changeableFlags(state, 32) | RFLAGS.VM | RFLAGS.IOPL | RFLAGS.IF);
  state.set(CPU.cpl, 3n);
  const order = [SEGMENT_INDEX.SS, SEGMENT_INDEX.ES, SEGMENT_INDEX.DS, SEGMENT_INDEX.FS, SEGMENT_INDEX.GS];
  order.forEach((index, place) => state.setSegment(index, segment(Number(values[place + 1]! & 0xffffn))));
  state.setSegment(SEGMENT_INDEX.CS, segment(cs));
  state.setRegister(RSP, values[0]!);
  context.jump(rip & 0xffffn);
}

function returnFromInterrupt(context: SystemContext, bits: number): void {
  const { state } = context;
  if (isReal(context)) return returnFromInterruptReal(context, bits);
  if (state.get(CPU.systemFlags) & RFLAGS.NT) context.raise(Vector.GP, 0);
  const stack = currentStack(context, bits / 8);
  const [rip, selector, flags] = [stack.read(0), Number(stack.read(1) & 0xffffn), stack.read(2)];
  if (flags & RFLAGS.VM && state.cpl === 0 && !state.isLong && bits === 32) return returnToVirtual8086(context, stack, rip, selector, flags);
  const segment = returnSegment(context, selector);
  const cpl = selector & 3;
  const changeable = changeableFlags(state, bits) | (bits === 16 ? 0n : RFLAGS.RF);
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

export const TRANSFER_HELPERS: Record<string, SystemHelper> = {
  'jump-far': (context, selector, offset) => jumpFar(context, Number(selector! & 0xffffn), offset!),
  'call-far': (context, selector, offset, bits) => callFar(context, Number(selector! & 0xffffn), offset!, Number(bits!)),
  'return-far': (context, bits, extra) => returnFar(context, Number(bits!), Number(extra!)),
  'interrupt-return'(context, bits) {
    returnFromInterrupt(context, Number(bits!));
    if (readFlags(context.state) & RFLAGS.IF) context.interruptWindow();
  },
  'software-interrupt'(context, vector) {
    const { state } = context;
    context.count('software interrupt');
    if (state.isVirtual8086 && (state.get(CPU.systemFlags) & RFLAGS.IOPL) !== RFLAGS.IOPL) context.raise(Vector.GP, 0);
    deliver(context, { vector: Number(vector!), software: true, rip: context.nextRip });
  },
  'software-exception': (context, vector) => deliver(context, { vector: Number(vector!), software: true, rip: context.nextRip }),
  enter: (context, size, level, bits) => enterFrame(context, size!, Number(level!), Number(bits!)),
};

/** ENTER (SDM vol. 2A): builds a frame with copies of the outer frames' pointers. */
function enterFrame(context: SystemContext, sizeBytes: bigint, level: number, bits: number): void {
  const { state } = context;
  const bytes = bits / 8;
  const mask = state.get(CPU.stackMask);
  const base = state.mode === 64 ? 0n : state.segment(SEGMENT_INDEX.SS).base;
  const width = bits as 16 | 32 | 64;
  let pointer = state.register(RSP);
  const frameRegister = state.register(5);
  const push = (value: bigint) => {
    pointer = (pointer & ~mask) | ((pointer - BigInt(bytes)) & mask);
    context.writeMemory(base + (pointer & mask), value, width);
  };
  push(frameRegister);
  const frame = pointer;
  for (let index = 1; index < level; index++) push(context.readMemory(base + ((frameRegister - BigInt(index * bytes)) & mask), width));
  if (level > 0) push(frame);
  pointer = (pointer & ~mask) | ((pointer - sizeBytes) & mask);
  context.probeWrite(base + (pointer & mask), bytes);
  const kept = bits === 16 ? (frameRegister & ~0xffffn) | (frame & 0xffffn) : bits === 32 ? frame & 0xffffffffn : frame;
  state.setRegister(5, kept);
  state.setRegister(RSP, pointer);
}
