/** XSAVE and kin for x87 and SSE state (SDM vol. 1 chapter 13). */
import { Vector } from '@hanok/x86';
import { CR0, CR4 } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU } from '../layout.ts';
import { type Area, inArea } from './area.ts';
import { loadVectors, loadX87, readMxcsr, saveControlSse, saveVectors, saveX87 } from './fxsave.ts';

/** Components, as bits of XCR0. */
const X87 = 1n;
const SSE = 2n;
const SUPPORTED = X87 | SSE;
/** The header behind the legacy region (SDM vol. 1 §13.4.2): XSTATE_BV, XCOMP_BV, reserved words. */
const HEADER = { states: 512, compaction: 520, reserved: 528 } as const;
const AREA_BYTES = 576;
const ALIGNMENT_BYTES = 64n;
const COMPACTED = 1n << 63n;
const MXCSR_INITIAL = 0x1f80;
const CONTROL_INITIAL = 0x37f;

const RAX = 0;
const RCX = 1;
const RDX = 2;

function requireEnabled(context: SystemContext): void {
  if (!(context.state.get(CPU.cr4) & CR4.OSXSAVE)) context.raise(Vector.UD);
  if (context.state.get(CPU.cr0) & CR0.TS) context.raise(Vector.NM);
}

const edxEax = ({ state }: SystemContext) => (state.register(RAX) & 0xffffffffn) | ((state.register(RDX) & 0xffffffffn) << 32n);
const requested = (context: SystemContext) => context.state.get(CPU.xcr0) & edxEax(context);

/** All enabled states count as in use: whether they are as after reset is not tracked (SDM vol. 1 §13.6). */
function save(context: SystemContext, linear: bigint, wide: boolean, compact: boolean): void {
  requireEnabled(context);
  const { view } = context;
  const mask = requested(context);
  inArea(context, linear, ALIGNMENT_BYTES, AREA_BYTES, true, (area) => {
    if (mask & X87) saveX87(view, area, wide);
    if (mask & SSE) {
      saveControlSse(view, area);
      saveVectors(view, area);
    }
    const { memory, at } = area;
    memory.setBigUint64(at + HEADER.states, compact ? mask : memory.getBigUint64(at + HEADER.states, true) | mask, true);
    if (compact) memory.setBigUint64(at + HEADER.compaction, COMPACTED | mask, true);
  });
}

/** Checks the header; the states it holds. */
function readHeader(context: SystemContext, { memory, at }: Area): { states: bigint; compact: boolean } {
  const word = (offset: number) => memory.getBigUint64(at + offset, true);
  const states = word(HEADER.states);
  const compaction = word(HEADER.compaction);
  const compact = (compaction & COMPACTED) !== 0n;
  const allowed = context.state.get(CPU.xcr0);
  const components = compaction & ~COMPACTED;
  let bad = compact ? (components & ~allowed) !== 0n || (states & ~components) !== 0n : compaction !== 0n || (states & ~allowed) !== 0n;
  const reservedWords = compact ? 6 : 1;
  for (let index = 0; index < reservedWords; index++) bad ||= word(HEADER.reserved + index * 8) !== 0n;
  if (bad) context.raise(Vector.GP, 0);
  return { states, compact };
}

function restore(context: SystemContext, linear: bigint, wide: boolean): void {
  requireEnabled(context);
  const { view } = context;
  const mask = requested(context);
  inArea(context, linear, ALIGNMENT_BYTES, AREA_BYTES, false, (area) => {
    const { states, compact } = readHeader(context, area);
    // In the standard form MXCSR comes from the area whatever XSTATE_BV says (SDM vol. 1 §13.8.1).
    const takesMxcsr = (mask & SSE) !== 0n && ((states & SSE) !== 0n || !compact);
    const mxcsr = takesMxcsr ? readMxcsr(context, area) : MXCSR_INITIAL;
    if (mask & states & X87) loadX87(view, area, wide);
    else if (mask & X87) initializeX87(view);
    if (!(mask & SSE)) return;
    view.setUint32(CPU.mxcsr, mxcsr, true);
    if (states & SSE) loadVectors(view, area);
    else for (let half = 0; half < 32; half++) view.setBigUint64(CPU.xmm + half * 8, 0n, true);
  });
}

/** As FNINIT, with empty registers of zeros (SDM vol. 1 §13.6). */
function initializeX87(view: DataView): void {
  view.setUint16(CPU.x87Control, CONTROL_INITIAL, true);
  view.setUint16(CPU.x87Status, 0, true);
  view.setUint16(CPU.x87Tag, 0xffff, true);
  view.setUint16(CPU.x87Opcode, 0, true);
  view.setBigUint64(CPU.x87InstructionPointer, 0n, true);
  view.setBigUint64(CPU.x87DataPointer, 0n, true);
  for (let at = CPU.x87Registers; at < CPU.x87Registers + 128; at += 8) view.setBigUint64(at, 0n, true);
}

export const XSAVE_HELPERS: Record<string, SystemHelper> = {
  'x87-xsave': (context, linear, wide, compact) => save(context, linear!, wide !== 0n, compact !== 0n),
  'x87-xrstor': (context, linear, wide) => restore(context, linear!, wide !== 0n),
  'get-extended-control'(context) {
    const { state } = context;
    if (!(state.get(CPU.cr4) & CR4.OSXSAVE)) context.raise(Vector.UD);
    // Register 1 is XCR0 and what is in use of it.
    if ((state.register(RCX) & 0xffffffffn) > 1n) context.raise(Vector.GP, 0);
    state.setRegister(RAX, state.get(CPU.xcr0));
    state.setRegister(RDX, 0n);
  },
  'set-extended-control'(context) {
    const { state } = context;
    if (!(state.get(CPU.cr4) & CR4.OSXSAVE)) context.raise(Vector.UD);
    const value = edxEax(context);
    if (state.cpl !== 0 || state.register(RCX) & 0xffffffffn || !(value & X87) || value & ~SUPPORTED) context.raise(Vector.GP, 0);
    state.set(CPU.xcr0, value);
  },
};
