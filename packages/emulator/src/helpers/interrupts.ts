import { Vector } from '@hanok/x86';
import { ACCESS, ARITHMETIC_FLAGS, RFLAGS, type Segment } from '../cpu-state.ts';
import type { SystemContext } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { readFlags, writeFlags } from './flags.ts';
import { isCanonical } from './msr.ts';
import { type Descriptor, isNull, markAccessed, needDescriptor, nullSegment, selectorError } from './segments.ts';
import { pushLegacy, readTaskStack, readTaskStack64, type Stack } from './stacks.ts';
import { interruptTask } from './task-switch.ts';

/** Something to be delivered through the interrupt descriptor table. */
export interface Event {
  readonly vector: number;
  readonly errorCode?: number | undefined;
  /** INT n, INT3, INTO: the gate's privilege is checked. */
  readonly software: boolean;
  /** False for interrupts from outside, which may have any vector. */
  readonly isException?: boolean;
  /** A fault, after which the instruction runs again: it does so with RF set (SDM vol. 3B §18.3.1.1). */
  readonly fault?: boolean;
  /** What is pushed as the return address. */
  readonly rip: bigint;
}

const RSP = 4;
const TASK_GATE = 5;

/** Delivers an event (SDM vol. 3A §6.12-6.14); faults on the way are thrown for the caller to fold into #DF. */
export function deliver(context: SystemContext, event: Event): void {
  const { state } = context;
  context.eventDelivered();
  if (!state.isProtected) deliverReal(context, event);
  else if (state.isLong) deliverLong(context, event);
  else deliverLegacy(context, event);
}

/** EXT of error codes says that the program did not ask for the event. */
const externalBit = (event: Event) => (event.software ? 0 : 1);
/** Error code that names an IDT entry. */
const gateError = (event: Event) => event.vector * 8 + 2 + externalBit(event);
const pushedFlags = (context: SystemContext, event: Event) => readFlags(context.state) | (event.fault ? RFLAGS.RF : 0n);

function checkGate(context: SystemContext, event: Event, high: number, types: readonly number[]): void {
  if (high & 0x1000 || !types.includes((high >>> 8) & 15)) context.raise(Vector.GP, gateError(event));
  if (event.software && ((high >>> 13) & 3) < context.state.cpl) context.raise(Vector.GP, gateError(event));
  if (!(high & 0x8000)) context.raise(Vector.NP, gateError(event));
}

/** The handler's code segment, its accessed bit set, and the privilege it runs at. */
function handlerSegment(context: SystemContext, event: Event, selector: number): { segment: Descriptor; cpl: number } {
  const { state } = context;
  const external = externalBit(event);
  if (isNull(selector)) context.raise(Vector.GP, external);
  const segment = needDescriptor(context, selector, Vector.GP, external);
  const { access } = segment;
  const isCode = (access & (ACCESS.system | ACCESS.code)) === (ACCESS.system | ACCESS.code);
  const longRight = !state.isLong || (access & (ACCESS.long | ACCESS.big)) === ACCESS.long;
  if (!isCode || segment.dpl > state.cpl || !longRight) context.raise(Vector.GP, selectorError(selector) | external);
  if (!(access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector) | external);
  const cpl = access & ACCESS.conforming ? state.cpl : segment.dpl;
  // Virtual-8086 code is left for privilege level 0 only (SDM vol. 3B §21.3.1).
  if (state.isVirtual8086 && cpl !== 0) context.raise(Vector.GP, selectorError(selector) | external);
  markAccessed(context, segment);
  return { segment: { ...segment, selector: (selector & 0xfffc) | cpl }, cpl };
}

function deliverLong(context: SystemContext, event: Event): void {
  const { state } = context;
  const entry = state.get(CPU.idtBase) + BigInt(event.vector * 16);
  if (event.vector * 16 + 15 > state.word(CPU.idtLimit)) context.raise(Vector.GP, gateError(event));
  const low = context.readSystem(entry, 64);
  const high = Number(low >> 32n);
  checkGate(context, event, high, [14, 15]);
  const offset = (low & 0xffffn) | ((low >> 32n) & 0xffff0000n) | (context.readSystem(entry + 8n, 32) << 32n);
  const { segment, cpl } = handlerSegment(context, event, Number((low >> 16n) & 0xffffn));
  if (!isCanonical(offset)) context.raise(Vector.GP, externalBit(event));
  const flags = pushedFlags(context, event);
  const words = [BigInt(state.segment(SEGMENT_INDEX.SS).selector), state.register(RSP), flags, BigInt(state.segment(SEGMENT_INDEX.CS).selector), event.rip];
  if (event.errorCode !== undefined) words.push(BigInt(event.errorCode));
  const rsp = pushLong(context, event, cpl, longStack(context, event, high & 7, cpl), words);
  if (cpl < state.cpl) state.setSegment(SEGMENT_INDEX.SS, nullSegment(cpl, cpl));
  enter(context, segment, cpl, offset, ((high >>> 8) & 1) === 0);
  state.setRegister(RSP, rsp);
}

/** Where the frame goes in long mode: a stack of the interrupt stack table, of the inner privilege, or the present one. */
function longStack(context: SystemContext, event: Event, ist: number, cpl: number): bigint {
  const { state } = context;
  if (ist !== 0) return readTaskStack64(context, 0x24 + (ist - 1) * 8, externalBit(event));
  return cpl < state.cpl ? readTaskStack64(context, 4 + cpl * 8, externalBit(event)) : state.register(RSP);
}

function pushLong(context: SystemContext, event: Event, cpl: number, top: bigint, words: readonly bigint[]): bigint {
  let rsp = top & ~15n;
  if (!isCanonical(BigInt.asUintN(64, rsp - 1n)) || !isCanonical(BigInt.asUintN(64, rsp - BigInt(words.length * 8)))) context.raise(Vector.SS, externalBit(event));
  for (const word of words) {
    rsp = BigInt.asUintN(64, rsp - 8n);
    if (cpl === 3) context.writeMemory(rsp, word, 64);
    else context.writeSystem(rsp, word, 64);
  }
  return rsp;
}

/** Common end: the handler's address, privilege and flags. */
function enter(context: SystemContext, segment: Segment, cpl: number, rip: bigint, maskInterrupts: boolean): void {
  const { state } = context;
  const cleared = RFLAGS.TF | RFLAGS.NT | RFLAGS.RF | RFLAGS.VM | (maskInterrupts ? RFLAGS.IF : 0n);
  state.set(CPU.systemFlags, state.get(CPU.systemFlags) & ~cleared);
  state.set(CPU.cpl, BigInt(cpl));
  state.setSegment(SEGMENT_INDEX.CS, segment);
  context.jump(rip);
}

function deliverLegacy(context: SystemContext, event: Event): void {
  const { state } = context;
  if (event.vector * 8 + 7 > state.word(CPU.idtLimit)) context.raise(Vector.GP, gateError(event));
  const gate = context.readSystem(state.get(CPU.idtBase) + BigInt(event.vector * 8), 64);
  const high = Number(gate >> 32n);
  checkGate(context, event, high, [TASK_GATE, 6, 7, 14, 15]);
  const selector = Number((gate >> 16n) & 0xffffn);
  if (((high >>> 8) & 15) === TASK_GATE) return interruptTask(context, selector, event.rip, event.errorCode, externalBit(event));
  const wide = (high & 0x800) !== 0;
  const offset = (gate & 0xffffn) | (wide ? (gate >> 32n) & 0xffff0000n : 0n);
  const { segment, cpl } = handlerSegment(context, event, selector);
  const fromV86 = state.isVirtual8086;
  const inner = cpl < state.cpl;
  const ss = state.segment(SEGMENT_INDEX.SS);
  const words = [pushedFlags(context, event), BigInt(state.segment(SEGMENT_INDEX.CS).selector), event.rip];
  if (event.errorCode !== undefined) words.push(BigInt(event.errorCode));
  let stack: Stack = { segment: ss, pointer: state.register(RSP), cpl, error: externalBit(event) };
  if (inner) {
    stack = readTaskStack(context, cpl, externalBit(event));
    words.unshift(BigInt(ss.selector), state.register(RSP));
    if (fromV86) words.unshift(...[5, 4, 3, 0].map((index) => BigInt(state.segment(index).selector)));
  }
  const pointer = pushLegacy(context, stack, words, wide ? 4 : 2);
  if (offset > BigInt(segment.limit)) context.raise(Vector.GP, externalBit(event));
  if (inner) {
    if (fromV86) for (const index of [0, 3, 4, 5]) state.setSegment(index, nullSegment(0));
    state.setSegment(SEGMENT_INDEX.SS, stack.segment);
  }
  enter(context, segment, cpl, offset, ((high >>> 8) & 1) === 0);
  state.setRegister(RSP, pointer);
}

/** Real mode: a table of far pointers (SDM vol. 3B §21.1.4). */
function deliverReal(context: SystemContext, event: Event): void {
  const { state } = context;
  if (event.vector * 4 + 3 > state.word(CPU.idtLimit)) context.raise(Vector.GP, gateError(event));
  const entry = context.readSystem(state.get(CPU.idtBase) + BigInt(event.vector * 4), 32);
  const cs = state.segment(SEGMENT_INDEX.CS);
  const stack = { segment: state.segment(SEGMENT_INDEX.SS), pointer: state.register(RSP), cpl: 0, error: 0 };
  const pointer = pushLegacy(context, stack, [readFlags(state), BigInt(cs.selector), event.rip], 2);
  writeFlags(state, readFlags(state) & ~(RFLAGS.IF | RFLAGS.TF | RFLAGS.AC | RFLAGS.RF), ~ARITHMETIC_FLAGS);
  const selector = Number(entry >> 16n);
  state.setSegment(SEGMENT_INDEX.CS, { ...cs, selector, base: BigInt(selector) << 4n });
  state.setRegister(RSP, pointer);
  context.jump(entry & 0xffffn);
}
