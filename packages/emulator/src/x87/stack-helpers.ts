/** Helpers that move values: loads, stores, exchange, conditional moves, constants, and the control words. */
import type { Helper, HelperContext } from '../helper.ts';
import { CPU } from '../layout.ts';
import { Condition, examine, ORDER_CONDITIONS } from './compare.ts';
import { BCD_INDEFINITE, fromBcd, fromInteger, loadFloat, toBcd, toFloat, toInteger } from './convert.ts';
import { Exception, float80, type Float80, INDEFINITE, ONE, POSITIVE_ZERO, Rounding } from './float80.ts';
import { byteAddress, readExtended, recordDataPointer, writeExtended } from './memory.ts';
import type { FloatEnvironment } from './rounding.ts';
import { Fpu, initialize, setControl, setStatus, Status } from './registers.ts';

/** FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2: truncated, and whether rounding to nearest goes up (SDM vol. 2A, "FLD1"). */
const CONSTANTS: readonly { readonly exponent: number; readonly significand: bigint; readonly nearestUp: boolean }[] = [
  { exponent: 0x4000, significand: 0xd49a_784b_cd1b_8afen, nearestUp: false },
  { exponent: 0x3fff, significand: 0xb8aa_3b29_5c17_f0bbn, nearestUp: true },
  { exponent: 0x4000, significand: 0xc90f_daa2_2168_c234n, nearestUp: true },
  { exponent: 0x3ffd, significand: 0x9a20_9a84_fbcf_f798n, nearestUp: true },
  { exponent: 0x3ffe, significand: 0xb172_17f7_d1cf_79abn, nearestUp: true },
];

/** FLD1 to FLDZ in the order of their opcodes. */
function loadConstant(env: FloatEnvironment, index: number): Float80 {
  if (index === 0) return ONE;
  const constant = CONSTANTS[index - 1];
  if (!constant) return POSITIVE_ZERO;
  const up = env.rounding === Rounding.Up || (env.rounding === Rounding.Nearest && constant.nearestUp);
  return float80(false, constant.exponent, constant.significand + (up ? 1n : 0n));
}

/** What a store of an empty register stores: the format's indefinite. */
const INDEFINITE_BITS = { float32: 0xffc0_0000n, float64: 0xfff8_0000_0000_0000n } as const;

/** What 80-bit operands are aligned to (SDM vol. 3A table 6-7). */
const ALIGNMENT_BYTES_MAX = 8;
/** Unmasked, these leave memory and stack as they were; an inexact result is stored first. */
const FORBIDS_STORE = Exception.IE | Exception.DE | Exception.ZE | Exception.OE | Exception.UE;

interface Destination {
  readonly linear: bigint;
  readonly bits: number;
  readonly dataPointer: bigint;
}

/** A page fault comes before anything the program could see changes, even when nothing would be stored. */
function store(context: HelperContext, fpu: Fpu, destination: Destination, pops: boolean, write: () => void): void {
  const sizeBytes = destination.bits / 8;
  context.probeWrite(destination.linear, sizeBytes, Math.min(sizeBytes, ALIGNMENT_BYTES_MAX));
  if (fpu.env.isMasked(fpu.env.raised & FORBIDS_STORE)) {
    write();
    if (pops) fpu.pop();
  }
  fpu.commit();
  recordDataPointer(context, destination.dataPointer);
}

export const STACK_HELPERS: Record<string, Helper> = {
  /** @param bits 32 or 64 */
  'x87-load-float': (context, raw, bits, dataPointer) => {
    recordDataPointer(context, dataPointer!);
    const fpu = new Fpu(context.view);
    const result = fpu.overflows() ? INDEFINITE : loadFloat(fpu.env, raw!, Number(bits));
    // A denormal is loaded even when its exception is unmasked.
    if (fpu.env.isMasked(fpu.env.raised & Exception.IE)) fpu.push(result);
    fpu.commit();
  },
  /** @param value sign-extended to 64 bits */
  'x87-load-integer': (context, value, dataPointer) => {
    recordDataPointer(context, dataPointer!);
    new Fpu(context.view).pushResult(() => fromInteger(BigInt.asIntN(64, value!)));
  },
  'x87-load-extended': (context, linear, dataPointer) => {
    const value = readExtended(context, linear!);
    recordDataPointer(context, dataPointer!);
    new Fpu(context.view).pushResult(() => value);
  },
  'x87-load-bcd': (context, linear, dataPointer) => {
    const low = context.readMemory(linear!, 64);
    const high = context.readMemory(byteAddress(context, linear!, 8), 16);
    recordDataPointer(context, dataPointer!);
    new Fpu(context.view).pushResult(() => fromBcd((high << 64n) | low));
  },
  'x87-load-register': (context, index) => {
    const fpu = new Fpu(context.view);
    // An empty source is found before a full stack.
    const result = fpu.underflows(Number(index)) || fpu.overflows() ? INDEFINITE : fpu.get(Number(index));
    if (!fpu.env.aborted) fpu.push(result);
    fpu.commit();
  },
  'x87-load-constant': (context, index) => {
    const fpu = new Fpu(context.view);
    fpu.pushResult(() => loadConstant(fpu.env, Number(index)));
  },

  'x87-store-float': (context, linear, bits, pops, dataPointer) => {
    const fpu = new Fpu(context.view);
    const width = Number(bits) as 32 | 64;
    const indefinite = width === 32 ? INDEFINITE_BITS.float32 : INDEFINITE_BITS.float64;
    const raw = fpu.underflows(0) ? indefinite : toFloat(fpu.env, fpu.get(0), width);
    const destination = { linear: linear!, bits: width, dataPointer: dataPointer! };
    store(context, fpu, destination, pops !== 0n, () => context.writeMemory(linear!, raw, width));
  },
  /** @param truncates FISTTP: rounds toward zero whatever the control word says */
  'x87-store-integer': (context, linear, bits, pops, truncates, dataPointer) => {
    const fpu = new Fpu(context.view, truncates ? Rounding.Zero : undefined);
    const width = Number(bits) as 16 | 32 | 64;
    const raw = fpu.underflows(0) ? 1n << (bits! - 1n) : toInteger(fpu.env, fpu.get(0), width);
    const destination = { linear: linear!, bits: width, dataPointer: dataPointer! };
    store(context, fpu, destination, pops !== 0n, () => context.writeMemory(linear!, raw, width));
  },
  'x87-store-extended': (context, linear, dataPointer) => {
    const fpu = new Fpu(context.view);
    const value = fpu.underflows(0) ? INDEFINITE : fpu.get(0);
    const destination = { linear: linear!, bits: 80, dataPointer: dataPointer! };
    store(context, fpu, destination, true, () => writeExtended(context, linear!, value));
  },
  'x87-store-bcd': (context, linear, dataPointer) => {
    const fpu = new Fpu(context.view);
    const raw = fpu.underflows(0) ? BCD_INDEFINITE : toBcd(fpu.env, fpu.get(0));
    const destination = { linear: linear!, bits: 80, dataPointer: dataPointer! };
    store(context, fpu, destination, true, () => {
      context.writeMemory(linear!, BigInt.asUintN(64, raw), 64);
      context.writeMemory(byteAddress(context, linear!, 8), raw >> 64n, 16);
    });
  },
  'x87-store-register': (context, index, pops) => {
    const fpu = new Fpu(context.view);
    const value = fpu.underflows(0) ? INDEFINITE : fpu.get(0);
    if (!fpu.env.aborted) {
      fpu.set(Number(index), value);
      if (pops) fpu.pop();
    }
    fpu.commit();
  },
  /** FSTP1: like FSTP of a register, but an empty ST(0) is only popped. */
  'x87-store-register-quietly': (context, index) => {
    const fpu = new Fpu(context.view);
    if (!fpu.isEmpty(0)) fpu.set(Number(index), fpu.get(0));
    fpu.pop();
    fpu.commit();
  },

  'x87-exchange': (context, index) => {
    const fpu = new Fpu(context.view);
    const other = Number(index);
    fpu.underflows(0, other);
    if (!fpu.env.aborted) {
      const first = fpu.isEmpty(0) ? INDEFINITE : fpu.get(0);
      fpu.set(0, fpu.isEmpty(other) ? INDEFINITE : fpu.get(other));
      fpu.set(other, first);
    }
    fpu.commit();
  },
  'x87-move-if': (context, index, condition) => {
    const fpu = new Fpu(context.view);
    const underflow = fpu.underflows(0, Number(index));
    if (!fpu.env.aborted && (underflow || condition)) fpu.set(0, underflow ? INDEFINITE : fpu.get(Number(index)));
    if (!underflow) fpu.keepCondition1();
    fpu.commit();
  },
  /** FABS (`clears`) and FCHS. */
  'x87-sign': (context, clears) => {
    const fpu = new Fpu(context.view);
    const value = fpu.get(0);
    const result = fpu.underflows(0) ? INDEFINITE : { ...value, negative: !clears && !value.negative };
    if (!fpu.env.aborted) fpu.set(0, result);
    fpu.commit();
  },
  'x87-examine': (context) => {
    const fpu = new Fpu(context.view);
    const value = fpu.get(0);
    fpu.env.roundedUp = value.negative;
    fpu.commit(fpu.isEmpty(0) ? Condition.C3 | Condition.C0 : examine(value), ORDER_CONDITIONS);
  },
  'x87-free': (context, index, pops) => {
    const fpu = new Fpu(context.view);
    fpu.free(Number(index));
    if (pops) fpu.pop();
    fpu.commit();
  },
  'x87-rotate': (context, distance) => {
    const fpu = new Fpu(context.view);
    fpu.rotate(Number(BigInt.asIntN(64, distance!)));
    fpu.commit();
  },

  'x87-initialize': (context) => initialize(context.view),
  'x87-clear-exceptions': ({ view }) => setStatus(view, view.getUint16(CPU.x87Status, true) & ~(Status.SF | 0x3f)),
  'x87-control': ({ view }) => BigInt(view.getUint16(CPU.x87Control, true)),
  'x87-status': ({ view }) => BigInt(view.getUint16(CPU.x87Status, true)),
  'x87-set-control': ({ view }, control) => setControl(view, Number(control)),
};
