/** XSAVE and kin for x87 and SSE state (SDM vol. 1 chapter 13). */
import { Vector } from '@hanok/x86';
import { CR0, CR4 } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU } from '../layout.ts';
import { areaAccess, readMxcsr, readVectors, readX87, saveControlSse, saveVectors, saveX87 } from './fxsave.ts';

/** Components, as bits of XCR0. */
const X87 = 1n;
const SSE = 2n;
const SUPPORTED = X87 | SSE;
/** The header behind the legacy region (SDM vol. 1 §13.4.2): XSTATE_BV, XCOMP_BV, reserved words. */
const HEADER = { states: 512, compaction: 520, reserved: 528 } as const;
const AREA_BYTES = 576;
const ALIGNMENT_BYTES = 64n;
const COMPACTED = 1n << 63n;
const MXCSR_INITIAL = 0x1f80n;
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
  const area = areaAccess(context, linear, ALIGNMENT_BYTES, AREA_BYTES, true);
  const { read, write } = area;
  if (area.plain === 0) context.probeWrite(linear, AREA_BYTES);
  if (mask & X87) saveX87(view, write, wide);
  if (mask & SSE) {
    saveControlSse(view, write);
    saveVectors(view, area);
  }
  write(HEADER.states, compact ? mask : (read(HEADER.states, 64) & ~mask) | mask, 64);
  if (compact) write(HEADER.compaction, COMPACTED | mask, 64);
}

/** Checks the header; the states it holds. */
function readHeader(context: SystemContext, read: (at: number, bits: 64) => bigint): { states: bigint; compact: boolean } {
  const states = read(HEADER.states, 64);
  const compaction = read(HEADER.compaction, 64);
  const compact = (compaction & COMPACTED) !== 0n;
  const allowed = context.state.get(CPU.xcr0);
  const components = compaction & ~COMPACTED;
  let bad = compact ? (components & ~allowed) !== 0n || (states & ~components) !== 0n : compaction !== 0n || (states & ~allowed) !== 0n;
  const reservedWords = compact ? 6 : 1;
  for (let word = 0; word < reservedWords; word++) bad ||= read(HEADER.reserved + word * 8, 64) !== 0n;
  if (bad) context.raise(Vector.GP, 0);
  return { states, compact };
}

function restore(context: SystemContext, linear: bigint, wide: boolean): void {
  requireEnabled(context);
  const { view } = context;
  const mask = requested(context);
  const area = areaAccess(context, linear, ALIGNMENT_BYTES, AREA_BYTES, false);
  const { states, compact } = readHeader(context, area.read);
  const takeX87 = mask & states & X87 ? readX87(view, area, wide) : undefined;
  const takeVectors = mask & states & SSE ? readVectors(view, area) : undefined;
  // In the standard form MXCSR comes from the area whatever XSTATE_BV says (SDM vol. 1 §13.8.1).
  const mxcsr = states & SSE || !compact ? mask & SSE && readMxcsr(context, area) : MXCSR_INITIAL;
  if (takeX87) takeX87();
  else if (mask & X87) initializeX87(view);
  if (!(mask & SSE)) return;
  view.setUint32(CPU.mxcsr, Number(mxcsr), true);
  if (takeVectors) takeVectors();
  else for (let half = 0; half < 32; half++) view.setBigUint64(CPU.xmm + half * 8, 0n, true);
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
