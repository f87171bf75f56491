import { Vector } from '@hanok/x86';
import { ACCESS, RFLAGS, type Segment } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { readFlags } from './flags.ts';
import { deliver } from './interrupts.ts';
import { isCanonical } from './msr.ts';
import { returnFar, returnFromInterrupt } from './returns.ts';
import { type Descriptor, isNull, markAccessed, needDescriptor, nullSegment, readHighBase, selectorError } from './segments.ts';
import { currentStack, pushLegacy, readTaskStack, readTaskStack64 } from './stacks.ts';
import { transferToTask } from './task-switch.ts';

const RSP = 4;

export const isCode = (access: number) => (access & (ACCESS.system | ACCESS.code)) === (ACCESS.system | ACCESS.code);

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

export const realCode = (context: SystemContext, selector: number): Segment => ({ ...context.state.segment(SEGMENT_INDEX.CS), selector, base: BigInt(selector) << 4n });
export const isReal = (context: SystemContext) => !context.state.isProtected || context.state.isVirtual8086;

/** Continues in a code segment, within its limit or at a canonical address. */
export function goTo(context: SystemContext, segment: Segment, offset: bigint): void {
  const long = context.state.isLong && (segment.access & ACCESS.long) !== 0;
  if (long ? !isCanonical(offset) : offset > BigInt(segment.limit)) context.raise(Vector.GP, 0);
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
  offset |= readHighBase(context, gate);
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
  if (transferToTask(context, descriptor, selector, 'jump')) return;
  const gate = readGate(context, descriptor, selector);
  if (!(gate.descriptor.access & ACCESS.conforming) && gate.descriptor.dpl !== context.state.cpl) context.raise(Vector.GP, selectorError(gate.descriptor.selector));
  goTo(context, { ...gate.descriptor, selector: (gate.descriptor.selector & 0xfffc) | context.state.cpl }, gate.offset);
}

/** Pushes words in the present mode; the new stack pointer. */
function pushWords(context: SystemContext, words: readonly bigint[], bytes: 2 | 4 | 8): bigint {
  const { state } = context;
  if (state.mode !== 64) return pushLegacy(context, { segment: state.segment(SEGMENT_INDEX.SS), pointer: state.register(RSP), cpl: state.cpl, error: 0 }, words, bytes === 2 ? 2 : 4);
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
  if (transferToTask(context, descriptor, selector, 'nested')) return;
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

export const TRANSFER_HELPERS: Record<string, SystemHelper> = {
  'jump-far': (context, selector, offset) => jumpFar(context, Number(selector! & 0xffffn), offset!),
  'call-far': (context, selector, offset, bits) => callFar(context, Number(selector! & 0xffffn), offset!, Number(bits!)),
  'return-far': (context, bits, extra) => returnFar(context, Number(bits!), Number(extra!)),
  'interrupt-return'(context, bits) {
    returnFromInterrupt(context, Number(bits!));
    context.unblockNmi();
    if (readFlags(context.state) & RFLAGS.IF) context.interruptWindow();
  },
  'software-interrupt'(context, vector) {
    const { state } = context;
    context.count('software interrupt');
    if (state.isVirtual8086 && (state.get(CPU.systemFlags) & RFLAGS.IOPL) !== RFLAGS.IOPL) context.raise(Vector.GP, 0);
    deliver(context, { vector: Number(vector!), software: true, rip: context.nextRip });
  },
  'software-exception': (context, vector) => deliver(context, { vector: Number(vector!), software: true, rip: context.nextRip }),
  // INT1 is not subject to its gate's privilege (SDM vol. 2A, "INT n").
  'debug-exception': (context) => deliver(context, { vector: Vector.DB, software: false, rip: context.nextRip }),
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
  context.probeWrite(base + (pointer & mask), bytes, bytes);
  const kept = bits === 16 ? (frameRegister & ~0xffffn) | (frame & 0xffffn) : bits === 32 ? frame & 0xffffffffn : frame;
  state.setRegister(5, kept);
  state.setRegister(RSP, pointer);
}
