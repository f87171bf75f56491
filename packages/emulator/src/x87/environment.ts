/** FNSTENV, FLDENV, FNSAVE, FRSTOR: the environment's four formats (SDM vol. 1 §8.1.10, figures 8-9 to 8-12). */
import type { Helper, HelperContext } from '../helper.ts';
import { CPU } from '../layout.ts';
import { byteAddress, isRealAddressing } from './memory.ts';
import { fullTagWord, initialize, registerOffset, setControl, setStatus, topOf } from './registers.ts';

/** What a processor stores in the unused upper half of a 16-bit item of the 32-bit formats. */
const UPPER_ONES = 0xffff_0000n;
const OPCODE_MASK = 0x7ffn;
const EXCEPTION_MASKS = 0x3f;
const REGISTER_BYTES = 10;

/** The seven items in the order they lie in memory. */
function environmentItems(view: DataView, bits: number): bigint[] {
  const control = BigInt(view.getUint16(CPU.x87Control, true));
  const status = BigInt(view.getUint16(CPU.x87Status, true));
  const tags = BigInt(fullTagWord(view));
  const instruction = view.getBigUint64(CPU.x87InstructionPointer, true);
  const data = view.getBigUint64(CPU.x87DataPointer, true);
  const opcode = BigInt(view.getUint16(CPU.x87Opcode, true)) & OPCODE_MASK;
  const real = isRealAddressing(view);
  if (bits === 16) {
    if (!real) return [control, status, tags, instruction, 0n, data, 0n];
    return [control, status, tags, instruction, (((instruction >> 16n) & 15n) << 12n) | opcode, data, ((data >> 16n) & 15n) << 12n];
  }
  const words = [control | UPPER_ONES, status | UPPER_ONES, tags | UPPER_ONES];
  // Processors that deprecate the selectors (CPUID.7.0:EBX bit 13) store zeros for them.
  if (!real) return [...words, instruction, opcode << 16n, data, UPPER_ONES];
  const upper = (pointer: bigint): bigint => ((pointer >> 16n) & 0xffffn) << 12n;
  return [...words, (instruction & 0xffffn) | UPPER_ONES, upper(instruction) | opcode, (data & 0xffffn) | UPPER_ONES, upper(data)];
}

function writeEnvironment(context: HelperContext, linear: bigint, bits: 16 | 32): void {
  environmentItems(context.view, bits).forEach((item, index) => {
    context.writeMemory(byteAddress(context, linear, (index * bits) / 8), BigInt.asUintN(bits, item), bits);
  });
}

function readEnvironment(context: HelperContext, linear: bigint, bits: 16 | 32): bigint[] {
  return Array.from({ length: 7 }, (_, index) => context.readMemory(byteAddress(context, linear, (index * bits) / 8), bits));
}

function loadEnvironment(view: DataView, items: readonly bigint[], bits: 16 | 32): void {
  const [control = 0n, status = 0n, tags = 0n, instructionLow = 0n, instructionHigh = 0n, dataLow = 0n, dataHigh = 0n] = items;
  loadControlAndStatus(view, Number(control & 0xffffn), Number(status & 0xffffn));
  view.setUint16(CPU.x87Tag, Number(tags & 0xffffn), true);
  const real = isRealAddressing(view);
  const opcode = real ? instructionHigh : bits === 32 ? instructionHigh >> 16n : BigInt(view.getUint16(CPU.x87Opcode, true));
  view.setUint16(CPU.x87Opcode, Number(opcode & OPCODE_MASK), true);
  const pointer = (low: bigint, high: bigint): bigint => (real ? (low & 0xffffn) | (((high >> 12n) & (bits === 32 ? 0xffffn : 15n)) << 16n) : low);
  view.setBigUint64(CPU.x87InstructionPointer, pointer(instructionLow, instructionHigh), true);
  view.setBigUint64(CPU.x87DataPointer, pointer(dataLow, dataHigh), true);
}

function environmentBits(operandBits: bigint | undefined): 16 | 32 {
  return operandBits === 16n ? 16 : 32;
}

/** @param operandBits 16 chooses the short formats; 64 has none of its own */
export const ENVIRONMENT_HELPERS: Record<string, Helper> = {
  'x87-store-environment': (context, linear, operandBits) => {
    const bits = environmentBits(operandBits);
    context.probeWrite(linear!, (bits * 7) / 8, bits / 8);
    writeEnvironment(context, linear!, bits);
    const { view } = context;
    setControl(view, view.getUint16(CPU.x87Control, true) | EXCEPTION_MASKS);
  },
  'x87-load-environment': (context, linear, operandBits) => {
    const bits = environmentBits(operandBits);
    loadEnvironment(context.view, readEnvironment(context, linear!, bits), bits);
  },
  'x87-save': (context, linear, operandBits) => {
    const { view } = context;
    const bits = environmentBits(operandBits);
    const headBytes = (bits * 7) / 8;
    context.probeWrite(linear!, headBytes + 8 * REGISTER_BYTES, bits / 8);
    writeEnvironment(context, linear!, bits);
    const top = topOf(view);
    for (let index = 0; index < 8; index++) {
      const offset = registerOffset(top, index);
      const at = headBytes + index * REGISTER_BYTES;
      // In words, since no more than their alignment is asked for (SDM vol. 3A table 6-7).
      for (let byte = 0; byte < REGISTER_BYTES; byte += 2) context.writeMemory(byteAddress(context, linear!, at + byte), BigInt(view.getUint16(offset + byte, true)), 16);
    }
    initialize(view);
  },
  'x87-restore': (context, linear, operandBits) => {
    const { view } = context;
    const bits = environmentBits(operandBits);
    const headBytes = (bits * 7) / 8;
    const items = readEnvironment(context, linear!, bits);
    const registers = Array.from({ length: 8 }, (_, index) => {
      const at = headBytes + index * REGISTER_BYTES;
      return Array.from({ length: REGISTER_BYTES / 2 }, (__, word) => context.readMemory(byteAddress(context, linear!, at + 2 * word), 16));
    });
    loadEnvironment(view, items, bits);
    const top = topOf(view);
    registers.forEach((words, index) => {
      const offset = registerOffset(top, index);
      words.forEach((word, place) => view.setUint16(offset + 2 * place, Number(word), true));
    });
  },
};

/** Sets the status word last, so that ES follows from the masks in force. */
export function loadControlAndStatus(view: DataView, control: number, status: number): void {
  setControl(view, control);
  setStatus(view, status);
}
