/** FXSAVE and FXRSTOR (SDM vol. 1 §10.5, table 10-2 and vol. 2A, "FXSAVE"). */
import type { Helper, HelperContext } from '../helper.ts';
import { CPU } from '../layout.ts';
import { type Area, copyWords, inArea } from './area.ts';
import { loadControlAndStatus } from './environment.ts';
import { is64BitMode } from './memory.ts';
import { registerOffset, topOf } from './registers.ts';

/** Offsets in the area. The selectors at 12 and 20 are stored as zeros and ignored, as the pointers' upper halves. */
const AREA = { control: 0, status: 2, tags: 4, opcode: 6, instruction: 8, data: 16, mxcsr: 24, mxcsrMask: 28, registers: 32, xmm: 160 } as const;
const ALIGNMENT_BYTES = 16n;
const ENTRY_BYTES = 16;
/** All of them must be accessible, though 96 are neither read nor written (as measured on Intel's family 6). */
const AREA_BYTES = 512;
const GP = 13;

/** Bits of MXCSR that may be set. */
const MXCSR_MASK = 0xffff;
const OPCODE_MASK = 0x7ff;
/** Where the last instruction's address and its operand's lie, in the area and in the state block. */
const POINTERS = [[AREA.instruction, CPU.x87InstructionPointer], [AREA.data, CPU.x87DataPointer]] as const;

function vectorCount(view: DataView): number {
  return is64BitMode(view) ? 16 : 8;
}

/** One bit a physical register, set when it is not empty. */
function abridgedTags(view: DataView): number {
  const tags = view.getUint16(CPU.x87Tag, true);
  let abridged = 0;
  for (let register = 0; register < 8; register++) if (((tags >> (register * 2)) & 3) !== 3) abridged |= 1 << register;
  return abridged;
}

function heldTags(abridged: number): number {
  let tags = 0;
  for (let register = 0; register < 8; register++) if (!(abridged & (1 << register))) tags |= 3 << (register * 2);
  return tags;
}

/** Writes control, status, tags, pointers and registers of the x87. */
export function saveX87(view: DataView, { memory, at }: Area, wide: boolean): void {
  memory.setUint16(at + AREA.control, view.getUint16(CPU.x87Control, true), true);
  memory.setUint16(at + AREA.status, view.getUint16(CPU.x87Status, true), true);
  memory.setUint16(at + AREA.tags, abridgedTags(view), true);
  memory.setUint16(at + AREA.opcode, view.getUint16(CPU.x87Opcode, true), true);
  for (const [offset, pointer] of POINTERS) {
    memory.setUint32(at + offset, view.getUint32(pointer, true), true);
    memory.setUint32(at + offset + 4, wide ? view.getUint32(pointer + 4, true) : 0, true);
  }
  const top = topOf(view);
  for (let index = 0; index < 8; index++) {
    const to = at + AREA.registers + index * ENTRY_BYTES;
    const offset = registerOffset(top, index);
    copyWords({ memory: view, at: offset }, { memory, at: to }, 8);
    memory.setUint32(to + 8, view.getUint16(offset + 8, true), true);
    memory.setUint32(to + 12, 0, true);
  }
}

/** Writes MXCSR and its mask. */
export function saveControlSse(view: DataView, { memory, at }: Area): void {
  memory.setUint32(at + AREA.mxcsr, view.getUint32(CPU.mxcsr, true), true);
  memory.setUint32(at + AREA.mxcsrMask, MXCSR_MASK, true);
}

export function saveVectors(view: DataView, { memory, at }: Area): void {
  copyWords({ memory: view, at: CPU.xmm }, { memory, at: at + AREA.xmm }, vectorCount(view) * ENTRY_BYTES);
}

/** MXCSR as it lies in the area; a reserved bit is #GP. */
export function readMxcsr(context: HelperContext, { memory, at }: Area): number {
  const mxcsr = memory.getUint32(at + AREA.mxcsr, true);
  if (mxcsr & ~MXCSR_MASK) context.raise(GP, 0);
  return mxcsr;
}

export function loadX87(view: DataView, { memory, at }: Area, wide: boolean): void {
  loadControlAndStatus(view, memory.getUint16(at + AREA.control, true), memory.getUint16(at + AREA.status, true));
  view.setUint16(CPU.x87Tag, heldTags(memory.getUint8(at + AREA.tags)), true);
  view.setUint16(CPU.x87Opcode, memory.getUint16(at + AREA.opcode, true) & OPCODE_MASK, true);
  for (const [offset, pointer] of POINTERS) {
    view.setUint32(pointer, memory.getUint32(at + offset, true), true);
    view.setUint32(pointer + 4, wide ? memory.getUint32(at + offset + 4, true) : 0, true);
  }
  const top = topOf(view);
  for (let index = 0; index < 8; index++) {
    const from = at + AREA.registers + index * ENTRY_BYTES;
    const offset = registerOffset(top, index);
    copyWords({ memory, at: from }, { memory: view, at: offset }, 8);
    view.setUint16(offset + 8, memory.getUint16(from + 8, true), true);
  }
}

export function loadVectors(view: DataView, { memory, at }: Area): void {
  copyWords({ memory, at: at + AREA.xmm }, { memory: view, at: CPU.xmm }, vectorCount(view) * ENTRY_BYTES);
}

export const FXSAVE_HELPERS: Record<string, Helper> = {
  /** @param wide REX.W: the pointers have 64 bits */
  'x87-fxsave': (context, linear, wide) =>
    inArea(context, linear!, ALIGNMENT_BYTES, AREA_BYTES, true, (area) => {
      saveX87(context.view, area, wide !== 0n);
      saveControlSse(context.view, area);
      saveVectors(context.view, area);
    }),
  'x87-fxrstor': (context, linear, wide) =>
    inArea(context, linear!, ALIGNMENT_BYTES, AREA_BYTES, false, (area) => {
      const mxcsr = readMxcsr(context, area);
      loadX87(context.view, area, wide !== 0n);
      context.view.setUint32(CPU.mxcsr, mxcsr, true);
      loadVectors(context.view, area);
    }),
};
