import { Vector } from '@hanok/x86';
import { ACCESS, type Segment } from '../cpu-state.ts';
import type { SystemContext } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { isNull, markAccessed, needDescriptor, selectorError } from './segments.ts';

/** A stack outside 64-bit mode that words are pushed to, at a privilege level; `error` is what #SS says about it. */
export interface Stack {
  readonly segment: Segment;
  readonly pointer: bigint;
  readonly cpl: number;
  readonly error: number;
}

/** A stack pointer from the 64-bit TSS (SDM vol. 3A §8.7). */
export function readTaskStack64(context: SystemContext, offset: number, external = 0): bigint {
  const tr = context.state.segment(SEGMENT_INDEX.TR);
  if (offset + 7 > tr.limit) context.raise(Vector.TS, selectorError(tr.selector) | external);
  return context.readSystem(tr.base + BigInt(offset), 64);
}

/** Whether a segment is a stack for a privilege level, its selector's RPL included. */
export function isStackFor(cpl: number, selector: number, access: number): boolean {
  const isWritableData = (access & (ACCESS.system | ACCESS.code | ACCESS.writable)) === (ACCESS.system | ACCESS.writable);
  return isWritableData && ((access >> 5) & 3) === cpl && (selector & 3) === cpl;
}

/** Stack segment and pointer for an inner privilege level from a 16- or 32-bit TSS (SDM vol. 3A §8.2.1, §8.6). */
export function readTaskStack(context: SystemContext, cpl: number, external = 0): Stack {
  const tr = context.state.segment(SEGMENT_INDEX.TR);
  const wide = (tr.access & 8) !== 0;
  const offset = wide ? 4 + cpl * 8 : 2 + cpl * 4;
  if (offset + (wide ? 5 : 3) > tr.limit) context.raise(Vector.TS, selectorError(tr.selector) | external);
  const pointer = context.readSystem(tr.base + BigInt(offset), wide ? 32 : 16);
  const selector = Number(context.readSystem(tr.base + BigInt(offset + (wide ? 4 : 2)), 16));
  if (isNull(selector)) context.raise(Vector.TS, external);
  const segment = needDescriptor(context, selector, Vector.TS, external);
  if (!isStackFor(cpl, selector, segment.access)) context.raise(Vector.TS, selectorError(selector) | external);
  if (!(segment.access & ACCESS.present)) context.raise(Vector.SS, selectorError(selector) | external);
  markAccessed(context, segment);
  return { segment, pointer, cpl, error: selectorError(selector) | external };
}

/** Whether [offset, offset + sizeBytes) lies within a data segment (SDM vol. 3A §5.3). */
function isInside(segment: Segment, offset: number, sizeBytes: number): boolean {
  if (segment.access & ACCESS.unusable) return false;
  const last = offset + sizeBytes - 1;
  if (!(segment.access & ACCESS.code) && segment.access & ACCESS.expandDown) return offset > segment.limit && last <= (segment.access & ACCESS.big ? 0xffffffff : 0xffff);
  return last <= segment.limit;
}

/** Writes words to a stack outside 64-bit mode; the new stack pointer. */
export function pushLegacy(context: SystemContext, stack: Stack, words: readonly bigint[], sizeBytes: 2 | 4): bigint {
  const mask = stack.segment.access & ACCESS.big ? 0xffffffffn : 0xffffn;
  let { pointer } = stack;
  const places = words.map(() => {
    pointer = (pointer & ~mask) | ((pointer - BigInt(sizeBytes)) & mask);
    if (!isInside(stack.segment, Number(pointer & mask), sizeBytes)) context.raise(Vector.SS, stack.error);
    return (stack.segment.base + (pointer & mask)) & 0xffffffffn;
  });
  const bits = sizeBytes === 4 ? 32 : 16;
  places.forEach((place, index) => {
    if (stack.cpl === 3) context.writeMemory(place, words[index]!, bits);
    else context.writeSystem(place, words[index]!, bits);
  });
  return pointer;
}

/** The stack of the present privilege as far transfers read it. */
export interface StackReader {
  read(index: number): bigint;
  readonly after: (count: number) => bigint;
}

export function currentStack(context: SystemContext, bytes: number): StackReader {
  const { state } = context;
  const ss = state.segment(SEGMENT_INDEX.SS);
  const long = state.mode === 64;
  const base = long ? 0n : ss.base;
  const mask = state.get(CPU.stackMask);
  const pointer = state.register(4);
  const at = (index: number) => (pointer + BigInt(index * bytes)) & mask;
  return {
    read(index) {
      if (!long && !isInside(ss, Number(at(index)), bytes)) context.raise(Vector.SS, 0);
      return context.readMemory(base + at(index), (bytes * 8) as 16 | 32 | 64);
    },
    after: (count) => (pointer & ~mask) | at(count),
  };
}
