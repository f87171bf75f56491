/** FXSAVE and FXRSTOR (SDM vol. 1 §10.5, table 10-2 and vol. 2A, "FXSAVE"). */
import type { Helper, HelperContext } from '../helper.ts';
import { CPU } from '../layout.ts';
import { loadControlAndStatus } from './environment.ts';
import { byteAddress, is64BitMode } from './memory.ts';
import { registerOffset, topOf } from './registers.ts';

/** Offsets in the area. The selectors at 12 and 20 are stored as zeros and ignored, as the pointers' upper halves. */
const AREA = { control: 0, status: 2, tags: 4, opcode: 6, instruction: 8, data: 16, mxcsr: 24, mxcsrMask: 28, registers: 32, xmm: 160 } as const;
const ALIGNMENT_BYTES = 16n;
const ENTRY_BYTES = 16;
/** All of them must be accessible, though 96 are neither read nor written (as measured on Intel's family 6). */
const AREA_BYTES = 512;
const GP = 13;

/** Bits of MXCSR that may be set. */
const MXCSR_MASK = 0xffffn;

/** Reads and writes at offsets of the area. */
export interface AreaAccess {
  read(at: number, bits: 8 | 16 | 32 | 64): bigint;
  write(at: number, value: bigint, bits: 8 | 16 | 32 | 64): void;
  /** Where in wasm memory the area lies, if it can be accessed in place. */
  readonly plain: number;
}

/** Direct access to an area in place. */
function plainAccess(memory: DataView, plain: number): AreaAccess {
  return {
    plain,
    read(at, bits) {
      if (bits === 64) return memory.getBigUint64(plain + at, true);
      return BigInt(bits === 32 ? memory.getUint32(plain + at, true) : bits === 16 ? memory.getUint16(plain + at, true) : memory.getUint8(plain + at));
    },
    write(at, value, bits) {
      if (bits === 64) memory.setBigUint64(plain + at, value, true);
      else if (bits === 32) memory.setUint32(plain + at, Number(value), true);
      else if (bits === 16) memory.setUint16(plain + at, Number(value), true);
      else memory.setUint8(plain + at, Number(value));
    },
  };
}

export function areaAccess(context: HelperContext, linear: bigint, alignmentBytes: bigint, lengthBytes: number, write: boolean): AreaAccess {
  if (linear % alignmentBytes !== 0n) context.raise(GP, 0);
  const plain = context.plainAddress(linear, lengthBytes, write);
  if (plain !== 0) return plainAccess(context.wasmMemory, plain);
  return {
    plain,
    read: (at, bits) => context.readMemory(byteAddress(context, linear, at), bits),
    write: (at, value, bits) => context.writeMemory(byteAddress(context, linear, at), value, bits),
  };
}

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
export function saveX87(view: DataView, write: AreaAccess['write'], wide: boolean): void {
  write(AREA.control, BigInt(view.getUint16(CPU.x87Control, true)), 16);
  write(AREA.status, BigInt(view.getUint16(CPU.x87Status, true)), 16);
  write(AREA.tags, BigInt(abridgedTags(view)), 16);
  write(AREA.opcode, BigInt(view.getUint16(CPU.x87Opcode, true)), 16);
  const pointerBits = wide ? 64 : 32;
  write(AREA.instruction, BigInt.asUintN(pointerBits, view.getBigUint64(CPU.x87InstructionPointer, true)), 64);
  write(AREA.data, BigInt.asUintN(pointerBits, view.getBigUint64(CPU.x87DataPointer, true)), 64);
  const top = topOf(view);
  for (let index = 0; index < 8; index++) {
    const offset = registerOffset(top, index);
    write(AREA.registers + index * ENTRY_BYTES, view.getBigUint64(offset, true), 64);
    write(AREA.registers + index * ENTRY_BYTES + 8, BigInt(view.getUint16(offset + 8, true)), 64);
  }
}

/** Writes MXCSR and its mask. */
export function saveControlSse(view: DataView, write: AreaAccess['write']): void {
  write(AREA.mxcsr, BigInt(view.getUint32(CPU.mxcsr, true)), 32);
  write(AREA.mxcsrMask, MXCSR_MASK, 32);
}

export function saveVectors(view: DataView, { write, plain }: AreaAccess): void {
  if (plain !== 0) {
    const from = view.byteOffset + CPU.xmm;
    new Uint8Array(view.buffer).copyWithin(plain + AREA.xmm, from, from + vectorCount(view) * ENTRY_BYTES);
    return;
  }
  for (let half = 0; half < vectorCount(view) * 2; half++) write(AREA.xmm + half * 8, view.getBigUint64(CPU.xmm + half * 8, true), 64);
}

/** MXCSR as it lies in the area; a reserved bit is #GP. */
export function readMxcsr(context: HelperContext, { read }: AreaAccess): bigint {
  const mxcsr = read(AREA.mxcsr, 32);
  if (mxcsr & ~MXCSR_MASK) context.raise(GP, 0);
  return mxcsr;
}

/** Reads the whole area of the x87; what it gives takes it over. */
export function readX87(view: DataView, { read }: AreaAccess, wide: boolean): () => void {
  const registers = Array.from({ length: 8 }, (_, index) => {
    const at = AREA.registers + index * ENTRY_BYTES;
    return [read(at, 64), read(at + 8, 16)] as const;
  });
  const control = Number(read(AREA.control, 16));
  const status = Number(read(AREA.status, 16));
  const tags = heldTags(Number(read(AREA.tags, 8)));
  const opcode = Number(read(AREA.opcode, 16)) & 0x7ff;
  const pointerBits = wide ? 64 : 32;
  const instruction = read(AREA.instruction, pointerBits);
  const data = read(AREA.data, pointerBits);
  return () => {
    loadControlAndStatus(view, control, status);
    view.setUint16(CPU.x87Tag, tags, true);
    view.setUint16(CPU.x87Opcode, opcode, true);
    view.setBigUint64(CPU.x87InstructionPointer, instruction, true);
    view.setBigUint64(CPU.x87DataPointer, data, true);
    const top = topOf(view);
    registers.forEach(([significand, head], index) => {
      const offset = registerOffset(top, index);
      view.setBigUint64(offset, significand, true);
      view.setUint16(offset + 8, Number(head), true);
    });
  };
}

export function readVectors(view: DataView, { read, plain }: AreaAccess): () => void {
  if (plain !== 0) {
    const from = plain + AREA.xmm;
    return () => void new Uint8Array(view.buffer).copyWithin(view.byteOffset + CPU.xmm, from, from + vectorCount(view) * ENTRY_BYTES);
  }
  const halves = Array.from({ length: vectorCount(view) * 2 }, (_, half) => read(AREA.xmm + half * 8, 64));
  return () => halves.forEach((value, half) => view.setBigUint64(CPU.xmm + half * 8, value, true));
}

export const FXSAVE_HELPERS: Record<string, Helper> = {
  /** @param wide REX.W: the pointers have 64 bits */
  'x87-fxsave': (context, linear, wide) => {
    const { view } = context;
    const area = areaAccess(context, linear!, ALIGNMENT_BYTES, AREA_BYTES, true);
    const { write } = area;
    if (area.plain === 0) context.probeWrite(linear!, AREA_BYTES);
    saveX87(view, write, wide !== 0n);
    saveControlSse(view, write);
    saveVectors(view, area);
  },
  'x87-fxrstor': (context, linear, wide) => {
    const { view } = context;
    const area = areaAccess(context, linear!, ALIGNMENT_BYTES, AREA_BYTES, false);
    if (area.plain === 0) area.read(AREA_BYTES - 8, 64);
    const takeVectors = readVectors(view, area);
    const takeX87 = readX87(view, area, wide !== 0n);
    const mxcsr = readMxcsr(context, area);
    takeX87();
    view.setUint32(CPU.mxcsr, Number(mxcsr), true);
    takeVectors();
  },
};
