import type { SegmentState, VcpuState } from '@hanok/machine';
import { CR0, type CpuState } from './cpu-state.ts';
import { readFlags, writeFlags } from './helpers/flags.ts';
import type { MsrFile } from './helpers/msr.ts';
import { MSR, PLAIN_MSRS } from './helpers/msr.ts';
import { CPU, REPEAT_STEPS, SEGMENT_INDEX } from './layout.ts';
import { fullTagWord, gatherCondition1, spreadCondition1 } from './x87/registers.ts';

/** No instruction starts here: the address is not canonical. */
export const NO_SHADOW = 1n << 63n;
const REAL_CODE = 0x9b;
const REAL_DATA = 0x93;

/** State after power-on (SDM vol. 3A table 10-1). */
export function resetState(state: CpuState): void {
  for (let offset = 0; offset < 0x600; offset += 8) state.set(offset, 0n);
  state.setRegister(2, 0x506e3n);
  state.set(CPU.cr0, 0x60000010n);
  state.set(CPU.idtLimit, 0xffffn);
  state.set(CPU.gdtLimit, 0xffffn);
  state.set(CPU.debug + 32, 0xffff0ff0n);
  state.set(CPU.debug + 40, 0x400n);
  state.set(CPU.mxcsr, 0x1f80n);
  state.view.setUint16(CPU.x87Control, 0x40, true);
  state.view.setUint16(CPU.x87Tag, 0x5555, true);
  state.set(CPU.shadowRip, NO_SHADOW);
  state.set(CPU.repeatSteps, REPEAT_STEPS);
  state.set(CPU.xcr0, 1n);
  for (let index = 0; index < 6; index++) state.setSegment(index, { selector: 0, base: 0n, limit: 0xffff, access: REAL_DATA });
  state.setSegment(SEGMENT_INDEX.CS, { selector: 0xf000, base: 0xffff0000n, limit: 0xffff, access: REAL_CODE });
  state.setSegment(SEGMENT_INDEX.LDTR, { selector: 0, base: 0n, limit: 0xffff, access: 0x82 });
  state.setSegment(SEGMENT_INDEX.TR, { selector: 0, base: 0n, limit: 0xffff, access: 0x8b });
  state.set(CPU.rip, 0xfff0n);
  writeFlags(state, 2n);
}

/** State after INIT: x87, SSE and the cache bits of CR0 stay (SDM vol. 3A table 10-1). */
export function initState(state: CpuState): void {
  const kept = state.view.buffer.slice(state.blockAddress + CPU.xmm, state.blockAddress + CPU.segments);
  const mxcsr = state.get(CPU.mxcsr);
  const cacheBits = state.get(CPU.cr0) & (CR0.CD | CR0.NW);
  resetState(state);
  new Uint8Array(state.view.buffer, state.blockAddress + CPU.xmm, kept.byteLength).set(new Uint8Array(kept));
  state.set(CPU.mxcsr, mxcsr);
  state.set(CPU.cr0, (state.get(CPU.cr0) & ~(CR0.CD | CR0.NW)) | cacheBits);
}

/** Where a start-up IPI makes a processor begin: 000VV000 in real mode (SDM vol. 3A §9.4.2). */
export function startAt(state: CpuState, vector: number): void {
  state.setSegment(SEGMENT_INDEX.CS, { selector: vector << 8, base: BigInt(vector << 12), limit: 0xffff, access: REAL_CODE });
  state.set(CPU.rip, 0n);
}

const DEBUG_COUNT = 6;
const X87_BYTES = 10;

function exportX87(state: CpuState): VcpuState['x87'] {
  gatherCondition1(state.view);
  const status = state.view.getUint16(CPU.x87Status, true);
  const top = (status >> 11) & 7;
  const registers = new Uint8Array(8 * X87_BYTES);
  for (let index = 0; index < 8; index++) {
    const from = CPU.x87Registers + ((top + index) & 7) * 16;
    for (let byte = 0; byte < X87_BYTES; byte++) registers[index * X87_BYTES + byte] = state.view.getUint8(from + byte);
  }
  return { registers, control: state.view.getUint16(CPU.x87Control, true), status, tag: fullTagWord(state.view) };
}

function importX87(state: CpuState, x87: VcpuState['x87']): void {
  state.view.setUint16(CPU.x87Control, x87.control, true);
  state.view.setUint16(CPU.x87Status, x87.status, true);
  spreadCondition1(state.view);
  state.view.setUint16(CPU.x87Tag, x87.tag, true);
  const top = (x87.status >> 11) & 7;
  x87.registers.forEach((value, at) => {
    const index = Math.floor(at / X87_BYTES);
    state.view.setUint8(CPU.x87Registers + ((top + index) & 7) * 16 + (at % X87_BYTES), value);
  });
}

export function exportState(state: CpuState, msrs: MsrFile, cr8: number): VcpuState {
  const segment = (index: number): SegmentState => ({ ...state.segment(index) });
  const all = new Map(msrs.entries());
  all.set(MSR.KernelGsBase, state.get(CPU.kernelGsBase));
  return {
    gpr: Array.from({ length: 16 }, (_, index) => state.register(index)),
    rip: state.get(CPU.rip),
    rflags: readFlags(state),
    segments: Array.from({ length: 6 }, (_, index) => segment(index)),
    ldtr: segment(SEGMENT_INDEX.LDTR),
    tr: segment(SEGMENT_INDEX.TR),
    gdtr: { base: state.get(CPU.gdtBase), limit: state.word(CPU.gdtLimit) },
    idtr: { base: state.get(CPU.idtBase), limit: state.word(CPU.idtLimit) },
    cr0: state.get(CPU.cr0),
    cr2: state.get(CPU.cr2),
    cr3: state.get(CPU.cr3),
    cr4: state.get(CPU.cr4),
    cr8: BigInt(cr8),
    efer: state.get(CPU.efer),
    dr: Array.from({ length: DEBUG_COUNT }, (_, index) => state.get(CPU.debug + index * 8)),
    xmm: Uint8Array.from({ length: 256 }, (_, index) => state.view.getUint8(CPU.xmm + index)),
    mxcsr: state.word(CPU.mxcsr),
    x87: exportX87(state),
    xcr0: state.get(CPU.xcr0),
    msrs: all,
  };
}

const SCALARS = [['rip', CPU.rip], ['cr0', CPU.cr0], ['cr2', CPU.cr2], ['cr3', CPU.cr3], ['cr4', CPU.cr4], ['efer', CPU.efer], ['xcr0', CPU.xcr0]] as const;

/** Takes over what is given; the rest stays. */
export function importState(state: CpuState, msrs: MsrFile, given: Partial<VcpuState>): void {
  given.gpr?.forEach((value, index) => state.setRegister(index, BigInt.asUintN(64, value)));
  for (const [name, offset] of SCALARS) {
    const value = given[name];
    if (value !== undefined) state.set(offset, value);
  }
  given.segments?.forEach((segment, index) => state.setSegment(index, { ...segment }));
  if (given.segments) state.set(CPU.cpl, BigInt((given.segments[SEGMENT_INDEX.SS]!.access >> 5) & 3));
  if (given.ldtr) state.setSegment(SEGMENT_INDEX.LDTR, { ...given.ldtr });
  if (given.tr) state.setSegment(SEGMENT_INDEX.TR, { ...given.tr });
  for (const [name, base, limit] of [['gdtr', CPU.gdtBase, CPU.gdtLimit], ['idtr', CPU.idtBase, CPU.idtLimit]] as const) {
    const table = given[name];
    if (!table) continue;
    state.set(base, table.base);
    state.set(limit, BigInt(table.limit));
  }
  given.dr?.forEach((value, index) => state.set(CPU.debug + index * 8, value));
  given.xmm?.forEach((value, index) => state.view.setUint8(CPU.xmm + index, value));
  if (given.mxcsr !== undefined) state.set(CPU.mxcsr, BigInt(given.mxcsr));
  if (given.x87) importX87(state, given.x87);
  given.msrs?.forEach((value, number) => {
    if (number === MSR.KernelGsBase) state.set(CPU.kernelGsBase, value);
    else if (PLAIN_MSRS.has(number)) msrs.set(number, value);
  });
  if (given.rflags !== undefined) writeFlags(state, given.rflags);
  state.updateMode();
}
