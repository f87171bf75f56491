import { Vector } from '@hanok/x86';
import { ACCESS, ARITHMETIC_FLAGS, RFLAGS, type Segment } from '../cpu-state.ts';
import type { SystemContext } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { type Descriptor, isNull, markAccessed, needDescriptor, nullSegment, selectorError } from './segments.ts';
import { readFlags, writeFlags } from './flags.ts';

/** Something to be delivered through the interrupt descriptor table. */
export interface Event {
  readonly vector: number;
  readonly errorCode?: number | undefined;
  /** INT n, INT3, INTO: the gate's privilege is checked. */
  readonly software: boolean;
  /** What is pushed as the return address. */
  readonly rip: bigint;
}

const RSP = 4;

/** Delivers an event (SDM vol. 3A §6.12-6.14); faults on the way are thrown for the caller to fold into #DF. */
export function deliver(context: SystemContext, event: Event): void {
  const { state } = context;
  if (!state.isProtected) deliverReal(context, event);
  else if (state.isLong) deliverLong(context, event);
  else deliverLegacy(context, event);
}

/** Error code that names an IDT entry; EXT says that the program did not ask for it. */
const gateError = (event: Event) => event.vector * 8 + 2 + (event.software ? 0 : 1);

function checkGate(context: SystemContext, event: Event, high: number, types: readonly number[]): void {
  if (high & 0x1000 || !types.includes((high >>> 8) & 15)) context.raise(Vector.GP, gateError(event));
  if (event.software && ((high >>> 13) & 3) < context.state.cpl) context.raise(Vector.GP, gateError(event));
  if (!(high & 0x8000)) context.raise(Vector.NP, gateError(event));
}

/** The handler's code segment, its accessed bit set, and the privilege it runs at. */
function handlerSegment(context: SystemContext, selector: number, long: boolean): { segment: Descriptor; cpl: number } {
  if (isNull(selector)) context.raise(Vector.GP, 0);
  const segment = needDescriptor(context, selector);
  const { access } = segment;
  const isCode = (access & (ACCESS.system | ACCESS.code)) === (ACCESS.system | ACCESS.code);
  if (!isCode || segment.dpl > context.state.cpl || (long && !(access & ACCESS.long))) context.raise(Vector.GP, selectorError(selector));
  if (!(access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  const cpl = access & ACCESS.conforming ? context.state.cpl : segment.dpl;
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
  const { segment, cpl } = handlerSegment(context, Number((low >> 16n) & 0xffffn), true);
  const ist = high & 7;
  const oldRsp = state.register(RSP);
  const oldSs = state.segment(SEGMENT_INDEX.SS).selector;
  let rsp = oldRsp;
  if (ist !== 0) rsp = readTaskStack64(context, 0x24 + (ist - 1) * 8);
  else if (cpl < state.cpl) rsp = readTaskStack64(context, 4 + cpl * 8);
  rsp &= ~15n;
  const flags = readFlags(state);
  const words = [BigInt(oldSs), oldRsp, flags, BigInt(state.segment(SEGMENT_INDEX.CS).selector), event.rip];
  if (event.errorCode !== undefined) words.push(BigInt(event.errorCode));
  for (const word of words) {
    rsp = BigInt.asUintN(64, rsp - 8n);
    context.writeSystem(rsp, word, 64);
  }
  if (cpl < state.cpl) state.setSegment(SEGMENT_INDEX.SS, nullSegment(cpl, cpl));
  enter(context, segment, cpl, offset, ((high >>> 8) & 1) === 0);
  state.setRegister(RSP, rsp);
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

/** A stack pointer from the 64-bit TSS (SDM vol. 3A §7.7). */
export function readTaskStack64(context: SystemContext, offset: number): bigint {
  const tr = context.state.segment(SEGMENT_INDEX.TR);
  if (offset + 7 > tr.limit) context.raise(Vector.TS, selectorError(tr.selector));
  return context.readSystem(tr.base + BigInt(offset), 64);
}

/** Stack segment and pointer for an inner privilege level from a 16- or 32-bit TSS (SDM vol. 3A §7.2.1, §7.6). */
export function readTaskStack(context: SystemContext, cpl: number): { segment: Descriptor; pointer: bigint } {
  const tr = context.state.segment(SEGMENT_INDEX.TR);
  const wide = (tr.access & 8) !== 0;
  const offset = wide ? 4 + cpl * 8 : 2 + cpl * 4;
  if (offset + (wide ? 5 : 3) > tr.limit) context.raise(Vector.TS, selectorError(tr.selector));
  const pointer = context.readSystem(tr.base + BigInt(offset), wide ? 32 : 16);
  const selector = Number(context.readSystem(tr.base + BigInt(offset + (wide ? 4 : 2)), 16));
  if (isNull(selector)) context.raise(Vector.TS, 0);
  const segment = needDescriptor(context, selector, Vector.TS);
  const isWritableData = (segment.access & (ACCESS.system | ACCESS.code | ACCESS.writable)) === (ACCESS.system | ACCESS.writable);
  if (!isWritableData || segment.dpl !== cpl || (selector & 3) !== cpl) context.raise(Vector.TS, selectorError(selector));
  if (!(segment.access & ACCESS.present)) context.raise(Vector.SS, selectorError(selector));
  markAccessed(context, segment);
  return { segment, pointer };
}

function deliverLegacy(context: SystemContext, event: Event): void {
  const { state } = context;
  if (event.vector * 8 + 7 > state.word(CPU.idtLimit)) context.raise(Vector.GP, gateError(event));
  const gate = context.readSystem(state.get(CPU.idtBase) + BigInt(event.vector * 8), 64);
  const high = Number(gate >> 32n);
  checkGate(context, event, high, [6, 7, 14, 15]);
  const wide = (high & 0x800) !== 0;
  const offset = (gate & 0xffffn) | (wide ? (gate >> 32n) & 0xffff0000n : 0n);
  const { segment, cpl } = handlerSegment(context, Number((gate >> 16n) & 0xffffn), false);
  const fromV86 = state.isVirtual8086;
  const cs = state.segment(SEGMENT_INDEX.CS).selector;
  const ss = state.segment(SEGMENT_INDEX.SS);
  const words = [readFlags(state), BigInt(cs), event.rip];
  if (event.errorCode !== undefined) words.push(BigInt(event.errorCode));
  let stack: { segment: Segment; pointer: bigint } = { segment: ss, pointer: state.register(RSP) };
  if (cpl < state.cpl) {
    stack = readTaskStack(context, cpl);
    words.unshift(BigInt(ss.selector), state.register(RSP));
    if (fromV86) words.unshift(...[5, 4, 3, 0].map((index) => BigInt(state.segment(index).selector)));
  }
  const pointer = pushLegacy(context, stack, words, wide ? 4 : 2);
  if (cpl < state.cpl) {
    if (fromV86) for (const index of [0, 3, 4, 5]) state.setSegment(index, nullSegment(0));
    state.setSegment(SEGMENT_INDEX.SS, stack.segment);
  }
  enter(context, segment, cpl, offset, ((high >>> 8) & 1) === 0);
  state.setRegister(RSP, pointer);
}

/** Writes words to a legacy stack; the new stack pointer. */
export function pushLegacy(context: SystemContext, stack: { segment: Segment; pointer: bigint }, words: readonly bigint[], sizeBytes: 2 | 4): bigint {
  const mask = stack.segment.access & ACCESS.big ? 0xffffffffn : 0xffffn;
  let { pointer } = stack;
  for (const word of words) {
    pointer = (pointer & ~mask) | ((pointer - BigInt(sizeBytes)) & mask);
    context.writeSystem((stack.segment.base + (pointer & mask)) & 0xffffffffn, word, sizeBytes === 4 ? 32 : 16);
  }
  return pointer;
}

/** Real mode: a table of far pointers (SDM vol. 3B §21.1.4). */
function deliverReal(context: SystemContext, event: Event): void {
  const { state } = context;
  const entry = context.readSystem(state.get(CPU.idtBase) + BigInt(event.vector * 4), 32);
  const cs = state.segment(SEGMENT_INDEX.CS);
  const stack = { segment: state.segment(SEGMENT_INDEX.SS), pointer: state.register(RSP) };
  const pointer = pushLegacy(context, stack, [readFlags(state), BigInt(cs.selector), event.rip], 2);
  writeFlags(state, readFlags(state) & ~(RFLAGS.IF | RFLAGS.TF | RFLAGS.AC), ~ARITHMETIC_FLAGS);
  const selector = Number(entry >> 16n);
  state.setSegment(SEGMENT_INDEX.CS, { ...cs, selector, base: BigInt(selector) << 4n });
  state.setRegister(RSP, pointer);
  context.jump(entry & 0xffffn);
}
