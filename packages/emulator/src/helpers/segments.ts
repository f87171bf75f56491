import { Vector } from '@hanok/x86';
import { ACCESS, CR4, type Segment } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT, SEGMENT_INDEX } from '../layout.ts';
import { isCanonical } from './msr.ts';

/** A descriptor as read from a table, with where it lies. */
export interface Descriptor extends Segment {
  readonly linear: bigint;
  readonly dpl: number;
  /** Raw halves, for gates. */
  readonly low: number;
  readonly high: number;
}

export const selectorError = (selector: number) => selector & 0xfffc;
export const isNull = (selector: number) => (selector & 0xfffc) === 0;

/** Linear address of a selector's descriptor, or undefined outside its table. */
function descriptorAddress(context: SystemContext, selector: number, sizeBytes: number): bigint | undefined {
  const { state } = context;
  const index = BigInt(selector & 0xfff8);
  const last = Number(index) + sizeBytes - 1;
  if ((selector & 4) === 0) return last <= state.word(CPU.gdtLimit) ? state.get(CPU.gdtBase) + index : undefined;
  const ldt = state.segment(SEGMENT_INDEX.LDTR);
  return (ldt.access & ACCESS.present) !== 0 && !isNull(ldt.selector) && last <= ldt.limit ? ldt.base + index : undefined;
}

/** Reads an 8-byte descriptor (SDM vol. 3A §3.4.5); undefined outside its table. */
export function readDescriptor(context: SystemContext, selector: number): Descriptor | undefined {
  const linear = descriptorAddress(context, selector, 8);
  if (linear === undefined) return undefined;
  const raw = context.readSystem(linear, 64);
  const low = Number(raw & 0xffffffffn);
  const high = Number(raw >> 32n);
  const access = ((high >>> 8) & 0xff) | ((high >>> 8) & 0xf000);
  const rawLimit = (low & 0xffff) | (high & 0xf0000);
  return {
    selector,
    base: BigInt(((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0),
    limit: high & 0x800000 ? ((rawLimit << 12) | 0xfff) >>> 0 : rawLimit,
    access,
    linear,
    dpl: (access >> 5) & 3,
    low,
    high,
  };
}

/** Like `readDescriptor`, raising `vector` with the selector (and EXT) where there is none. */
export function needDescriptor(context: SystemContext, selector: number, vector: number = Vector.GP, external = 0): Descriptor {
  return readDescriptor(context, selector) ?? context.raise(vector, selectorError(selector) | external);
}

/** Sets the accessed bit in memory and in the copy. */
export function markAccessed(context: SystemContext, descriptor: Descriptor): void {
  if (!(descriptor.access & ACCESS.system) || descriptor.access & ACCESS.accessed) return;
  descriptor.access |= ACCESS.accessed;
  context.writeSystem(descriptor.linear + 5n, BigInt(descriptor.access & 0xff), 8);
}

/** Upper half of the base (or a gate's offset) of a 16-byte system descriptor in long mode (SDM vol. 3A §8.2.3, §5.8.3.1). */
export function readHighBase(context: SystemContext, descriptor: Descriptor): bigint {
  if (!context.state.isLong) return 0n;
  const error = selectorError(descriptor.selector);
  if (descriptorAddress(context, descriptor.selector, 16) === undefined) context.raise(Vector.GP, error);
  if (context.readSystem(descriptor.linear + 12n, 32) & 0x1f00n) context.raise(Vector.GP, error);
  return context.readSystem(descriptor.linear + 8n, 32) << 32n;
}

const realSegment = (selector: number, previous: Segment): Segment => ({ ...previous, selector, base: BigInt(selector) << 4n });

/** MOV to SS and kin (SDM vol. 2B, "MOV"). */
function loadStackSegment(context: SystemContext, selector: number): void {
  const { state } = context;
  const { cpl } = state;
  if (isNull(selector)) {
    if (state.mode !== 64 || cpl === 3 || (selector & 3) !== cpl) context.raise(Vector.GP, 0);
    state.setSegment(SEGMENT_INDEX.SS, nullSegment(selector, cpl));
    return;
  }
  const descriptor = needDescriptor(context, selector);
  const isWritableData = (descriptor.access & (ACCESS.system | ACCESS.code | ACCESS.writable)) === (ACCESS.system | ACCESS.writable);
  if (!isWritableData || descriptor.dpl !== cpl || (selector & 3) !== cpl) context.raise(Vector.GP, selectorError(selector));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.SS, selectorError(selector));
  markAccessed(context, descriptor);
  state.setSegment(SEGMENT_INDEX.SS, descriptor);
}

export const nullSegment = (selector: number, dpl = 0): Segment => ({ selector, base: 0n, limit: 0, access: ACCESS.unusable | (dpl << 5) });

/** Loads DS, ES, FS or GS; a task switch raises #TS where MOV raises #GP. */
export function loadDataSegment(context: SystemContext, index: number, selector: number, vector: number = Vector.GP, external = 0): void {
  const { state } = context;
  if (isNull(selector)) {
    state.setSegment(index, nullSegment(selector));
    return;
  }
  const descriptor = needDescriptor(context, selector, vector, external);
  const { access, dpl } = descriptor;
  const error = selectorError(selector) | external;
  const isCode = (access & ACCESS.code) !== 0;
  if (!(access & ACCESS.system) || (isCode && !(access & ACCESS.readable))) context.raise(vector, error);
  const conforming = isCode && (access & ACCESS.conforming) !== 0;
  if (!conforming && (dpl < state.cpl || dpl < (selector & 3))) context.raise(vector, error);
  if (!(access & ACCESS.present)) context.raise(Vector.NP, error);
  markAccessed(context, descriptor);
  state.setSegment(index, descriptor);
}

/** Loads a segment register other than CS. */
function loadSegment(context: SystemContext, index: number, selector: number): void {
  const { state } = context;
  if (index === SEGMENT_INDEX.CS || index > SEGMENT_INDEX.GS) context.raise(Vector.UD);
  if (!state.isProtected || state.isVirtual8086) state.setSegment(index, realSegment(selector, state.segment(index)));
  else if (index === SEGMENT_INDEX.SS) loadStackSegment(context, selector);
  else loadDataSegment(context, index, selector);
  if (index === SEGMENT_INDEX.SS) context.shadowStackLoad();
}

function requirePrivilege(context: SystemContext): void {
  if (!context.state.isProtected || context.state.isVirtual8086) context.raise(Vector.UD);
  if (context.state.cpl !== 0) context.raise(Vector.GP, 0);
}

function loadSystemSegment(context: SystemContext, index: number, selector: number, types: readonly number[]): Descriptor | undefined {
  requirePrivilege(context);
  if (isNull(selector)) return undefined;
  if (selector & 4) context.raise(Vector.GP, selectorError(selector));
  const descriptor = needDescriptor(context, selector);
  if (descriptor.access & ACCESS.system || !types.includes(descriptor.access & 15)) context.raise(Vector.GP, selectorError(selector));
  if (!(descriptor.access & ACCESS.present)) context.raise(Vector.NP, selectorError(selector));
  const base = descriptor.base | readHighBase(context, descriptor);
  if (!isCanonical(base)) context.raise(Vector.GP, selectorError(selector));
  context.state.setSegment(index, { ...descriptor, base });
  return descriptor;
}

/** Whether LAR, LSL, VERR or VERW may see a descriptor at all (SDM vol. 2A, "LAR"). */
function visible(context: SystemContext, selector: number, systemTypes: readonly number[]): Descriptor | undefined {
  if (!context.state.isProtected || context.state.isVirtual8086) context.raise(Vector.UD);
  const descriptor = isNull(selector) ? undefined : readDescriptor(context, selector);
  if (!descriptor) return undefined;
  const { access, dpl } = descriptor;
  if (!(access & ACCESS.system)) {
    if (!systemTypes.includes(access & 15)) return undefined;
  } else if ((access & (ACCESS.code | ACCESS.conforming)) === (ACCESS.code | ACCESS.conforming)) return descriptor;
  return dpl >= context.state.cpl && dpl >= (selector & 3) ? descriptor : undefined;
}

/** RDFSBASE and kin are undefined until the system allows them (SDM vol. 2B, "RDFSBASE"). */
function requireBaseAccess(context: SystemContext): void {
  if (!(context.state.get(CPU.cr4) & CR4.FSGSBASE)) context.raise(Vector.UD);
}

const FOUND = 1n << 63n;

/** User-mode instruction prevention: SGDT, SIDT, SLDT, STR and SMSW are for privilege level 0 (SDM vol. 3A §2.5). */
export function preventUserMode(context: SystemContext): void {
  if (context.state.cpl !== 0 && context.state.get(CPU.cr4) & CR4.UMIP) context.raise(Vector.GP, 0);
}

export const SEGMENT_HELPERS: Record<string, SystemHelper> = {
  'load-segment': (context, index, selector) => loadSegment(context, Number(index!), Number(selector! & 0xffffn)),
  'load-local-descriptor-table'(context, selector) {
    const value = Number(selector! & 0xffffn);
    if (!loadSystemSegment(context, SEGMENT_INDEX.LDTR, value, [2])) context.state.setSegment(SEGMENT_INDEX.LDTR, nullSegment(value));
  },
  'load-task-register'(context, selector) {
    const value = Number(selector! & 0xffffn);
    const descriptor = loadSystemSegment(context, SEGMENT_INDEX.TR, value, context.state.isLong ? [9] : [1, 9]);
    if (!descriptor) return void context.raise(Vector.GP, 0);
    descriptor.access |= 2;
    context.writeSystem(descriptor.linear + 5n, BigInt(descriptor.access & 0xff), 8);
    const segment = context.state.segment(SEGMENT_INDEX.TR);
    context.state.setSegment(SEGMENT_INDEX.TR, { ...segment, access: descriptor.access });
  },
  'store-system-selector'(context, index) {
    if (!context.state.isProtected || context.state.isVirtual8086) context.raise(Vector.UD);
    preventUserMode(context);
    return BigInt(context.state.segment(Number(index!)).selector);
  },
  'verify-segment'(context, selector, write) {
    const descriptor = visible(context, Number(selector! & 0xffffn), []);
    if (!descriptor) return 0n;
    const isCode = (descriptor.access & ACCESS.code) !== 0;
    const wanted = isCode ? write === 0n && (descriptor.access & ACCESS.readable) !== 0 : write === 0n || (descriptor.access & ACCESS.writable) !== 0;
    return wanted ? 1n : 0n;
  },
  'load-access-rights'(context, selector) {
    const types = context.state.isLong ? [2, 9, 11, 12] : [1, 2, 3, 4, 5, 9, 11, 12];
    const descriptor = visible(context, Number(selector! & 0xffffn), types);
    return descriptor ? FOUND | BigInt((descriptor.high & 0x00f0ff00) >>> 0) : 0n;
  },
  'load-segment-limit'(context, selector) {
    const types = context.state.isLong ? [2, 9, 11] : [1, 2, 3, 9, 11];
    const descriptor = visible(context, Number(selector! & 0xffffn), types);
    return descriptor ? FOUND | BigInt(descriptor.limit) : 0n;
  },
  'load-descriptor-table'(context, which, linear, bits) {
    const { state } = context;
    if (state.cpl !== 0) context.raise(Vector.GP, 0);
    context.count('descriptor table');
    const limit = context.readMemory(linear!, 16);
    const base = state.mode === 64 ? context.readMemory(linear! + 2n, 64) : context.readMemory(linear! + 2n, 32) & (bits === 16n ? 0xffffffn : 0xffffffffn);
    if (!isCanonical(base)) context.raise(Vector.GP, 0);
    state.set(which === 0n ? CPU.gdtBase : CPU.idtBase, base);
    state.set(which === 0n ? CPU.gdtLimit : CPU.idtLimit, limit);
  },
  'store-descriptor-table'(context, which, linear) {
    const { state } = context;
    preventUserMode(context);
    context.writeMemory(linear!, state.get(which === 0n ? CPU.gdtLimit : CPU.idtLimit), 16);
    context.writeMemory(linear! + 2n, state.get(which === 0n ? CPU.gdtBase : CPU.idtBase), state.mode === 64 ? 64 : 32);
  },
  'read-segment-base'(context, index) {
    requireBaseAccess(context);
    return context.state.segment(Number(index!)).base;
  },
  'write-segment-base'(context, index, base) {
    requireBaseAccess(context);
    if (!isCanonical(base!)) context.raise(Vector.GP, 0);
    context.state.set(CPU.segments + Number(index!) * SEGMENT.sizeBytes, base!);
  },
};
