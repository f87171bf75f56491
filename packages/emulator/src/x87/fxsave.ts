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
const GP = 13;

/** Bits of MXCSR that may be set. */
const MXCSR_MASK = 0xffffn;

type Access = { read(at: number, bits: 8 | 16 | 32 | 64): bigint; write(at: number, value: bigint, bits: 8 | 16 | 32 | 64): void };

function access(context: HelperContext, linear: bigint): Access {
  if (linear % ALIGNMENT_BYTES !== 0n) context.raise(GP, 0);
  return {
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

export const FXSAVE_HELPERS: Record<string, Helper> = {
  /** @param wide REX.W: the pointers have 64 bits */
  'x87-fxsave': (context, linear, wide) => {
    const { view } = context;
    const { write } = access(context, linear!);
    const vectors = vectorCount(view);
    context.probeWrite(linear!, AREA.xmm + vectors * ENTRY_BYTES);
    write(AREA.control, BigInt(view.getUint16(CPU.x87Control, true)), 16);
    write(AREA.status, BigInt(view.getUint16(CPU.x87Status, true)), 16);
    write(AREA.tags, BigInt(abridgedTags(view)), 16);
    write(AREA.opcode, BigInt(view.getUint16(CPU.x87Opcode, true)), 16);
    const pointerBits = wide ? 64 : 32;
    write(AREA.instruction, BigInt.asUintN(pointerBits, view.getBigUint64(CPU.x87InstructionPointer, true)), 64);
    write(AREA.data, BigInt.asUintN(pointerBits, view.getBigUint64(CPU.x87DataPointer, true)), 64);
    write(AREA.mxcsr, BigInt(view.getUint32(CPU.mxcsr, true)), 32);
    write(AREA.mxcsrMask, MXCSR_MASK, 32);
    const top = topOf(view);
    for (let index = 0; index < 8; index++) {
      const offset = registerOffset(top, index);
      write(AREA.registers + index * ENTRY_BYTES, view.getBigUint64(offset, true), 64);
      write(AREA.registers + index * ENTRY_BYTES + 8, BigInt(view.getUint16(offset + 8, true)), 64);
    }
    for (let half = 0; half < vectors * 2; half++) write(AREA.xmm + half * 8, view.getBigUint64(CPU.xmm + half * 8, true), 64);
  },
  'x87-fxrstor': (context, linear, wide) => {
    const { view } = context;
    const { read } = access(context, linear!);
    const mxcsr = read(AREA.mxcsr, 32);
    const halves = Array.from({ length: vectorCount(view) * 2 }, (_, half) => read(AREA.xmm + half * 8, 64));
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
    if (mxcsr & ~MXCSR_MASK) context.raise(GP, 0);

    loadControlAndStatus(view, control, status);
    view.setUint16(CPU.x87Tag, tags, true);
    view.setUint16(CPU.x87Opcode, opcode, true);
    view.setBigUint64(CPU.x87InstructionPointer, instruction, true);
    view.setBigUint64(CPU.x87DataPointer, data, true);
    view.setUint32(CPU.mxcsr, Number(mxcsr), true);
    const top = topOf(view);
    registers.forEach(([significand, head], index) => {
      const offset = registerOffset(top, index);
      view.setBigUint64(offset, significand, true);
      view.setUint16(offset + 8, Number(head), true);
    });
    halves.forEach((value, half) => view.setBigUint64(CPU.xmm + half * 8, value, true));
  },
};
