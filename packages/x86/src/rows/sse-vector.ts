import type { Emit, FloatFormat, Operands, Value } from '../emit.ts';
import { type Insn, insn, row, type RowOptions } from '../insn.ts';

/** Small pieces from which the bodies of the SSE rows are built. */

export type { FloatFormat } from '../emit.ts';

export interface FloatShape {
  readonly prefix: 'NP' | '66' | 'F2' | 'F3';
  readonly vector: 'f32x4' | 'f64x2';
  readonly element: 'f32' | 'f64';
  readonly laneBytes: 4 | 8;
  /** Works on lane 0 and keeps the destination's others. */
  readonly scalar: boolean;
}

export const FLOAT_FORMATS: Record<FloatFormat, FloatShape> = {
  ps: { prefix: 'NP', vector: 'f32x4', element: 'f32', laneBytes: 4, scalar: false },
  ss: { prefix: 'F3', vector: 'f32x4', element: 'f32', laneBytes: 4, scalar: true },
  pd: { prefix: '66', vector: 'f64x2', element: 'f64', laneBytes: 8, scalar: false },
  sd: { prefix: 'F2', vector: 'f64x2', element: 'f64', laneBytes: 8, scalar: true },
};

/** `value` in every lane of `laneBytes`. */
export function splatConstant(e: Emit, laneBytes: 1 | 2 | 4 | 8, value: bigint): Value {
  const bytes: number[] = [];
  for (let i = 0; i < 16; i++) bytes.push(Number((value >> BigInt(8 * (i % laneBytes))) & 0xffn));
  return e.constantVector(bytes);
}

export function zeroVector(e: Emit): Value {
  return splatConstant(e, 1, 0n);
}

/** A vector whose lower half is `low` (i64), the upper `high` or zero. */
export function fromHalves(e: Emit, low: Value, high?: Value): Value {
  const lower = e.lane('i64x2.replace_lane', 0, zeroVector(e), low);
  return high ? e.lane('i64x2.replace_lane', 1, lower, high) : lower;
}

export function lowHalf(e: Emit, v: Value): Value {
  return e.lane('i64x2.extract_lane', 0, v);
}

export function highHalf(e: Emit, v: Value): Value {
  return e.lane('i64x2.extract_lane', 1, v);
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** The low `bytes` of `low`, the rest from `rest`. */
export function mergeLow(e: Emit, bytes: number, low: Value, rest: Value): Value {
  return e.shuffle([...range(0, bytes), ...range(16 + bytes, 16 - bytes)], low, rest);
}

/** The upper half of `v` below the upper half of `other`. */
export function highHalves(e: Emit, v: Value, other: Value): Value {
  return e.shuffle([...range(8, 8), ...range(24, 8)], v, other);
}

/** The lower half of `v` below the lower half of `other`. */
export function lowHalves(e: Emit, v: Value, other: Value): Value {
  return e.shuffle([...range(0, 8), ...range(16, 8)], v, other);
}

/** Interleaves elements of `laneBytes`, beginning at byte `first` of both (UNPCKL and PUNPCKL: 0, the H forms: 8). */
export function interleave(e: Emit, laneBytes: number, first: 0 | 8, a: Value, b: Value): Value {
  const lanes: number[] = [];
  for (let byte = first; byte < first + 8; byte += laneBytes) lanes.push(...range(byte, laneBytes), ...range(16 + byte, laneBytes));
  return e.shuffle(lanes, a, b);
}

/** True when the operands are MMX registers and 64-bit memory: forms of both kinds share one body. */
export function isMmx(o: Operands): boolean {
  return o.sizeBits(0) === 64;
}

/** What to tell `mmx-enter` when no MMX register is written. */
const NO_MMX_REGISTER = 8;

/**
 * Runs an instruction that uses MMX registers (SDM vol. 1 §9.5.1): #UD, #NM and #MF come first, and the x87 state
 * changes only once nothing can fault any more. `written` is the operand that is an MMX destination.
 */
export function withMmx(e: Emit, o: Operands, written: number | undefined, act: () => void, implicitMemory = false): void {
  let memory = implicitMemory;
  for (let i = 0; i < o.count; i++) memory ||= o.isMemory(i);
  const register = written === undefined || o.isMemory(written) ? e.constant(NO_MMX_REGISTER) : o.number(written);
  if (memory) e.helper('mmx-check');
  else e.helper('mmx-enter', register);
  act();
  if (memory) e.helper('mmx-enter', register);
}

/** Operand `index` as a vector, whichever register file it is in. */
export function readPacked(e: Emit, o: Operands, index: number): Value {
  return isMmx(o) ? fromHalves(e, o.read(index)) : o.readVector(index);
}

/** `destination = compute(destination, source)` for both register files. */
export function packedBinary(e: Emit, o: Operands, compute: (a: Value, b: Value) => Value): void {
  if (!isMmx(o)) {
    const source = o.readVector(1);
    o.writeVector(0, compute(o.readVector(0), source));
    return;
  }
  withMmx(e, o, 0, () => {
    const source = readPacked(e, o, 1);
    o.write(0, lowHalf(e, compute(readPacked(e, o, 0), source)));
  });
}

/** `destination = compute(source)` for both register files. */
export function packedUnary(e: Emit, o: Operands, compute: (source: Value) => Value): void {
  if (!isMmx(o)) o.writeVector(0, compute(o.readVector(1)));
  else withMmx(e, o, 0, () => o.write(0, lowHalf(e, compute(readPacked(e, o, 1)))));
}

export type BinaryLanes = (e: Emit, a: Value, b: Value) => Value;

/** A packed operation with a form for each register file; `opcode` is what follows 0F. */
export function packedForm(name: string, opcode: string, compute: BinaryLanes): Insn {
  return insn(name, {
    rows: [row(`66 0F ${opcode}`, 'Vx,Wx'), row(`NP 0F ${opcode}`, 'Pq,Qq')],
    body: (e, o) => packedBinary(e, o, (a, b) => compute(e, a, b)),
  });
}

/** A packed operation on XMM registers alone. */
export function vectorForm(name: string, encoding: string, operands: string, compute: BinaryLanes, options: RowOptions = {}): Insn {
  return insn(name, {
    rows: [row(encoding, operands, options)],
    body(e, o) {
      const source = o.readVector(1);
      o.writeVector(0, compute(e, o.readVector(0), source));
    },
  });
}

/** The same that leaves the destination's old value unread. */
export function vectorMove(name: string, encoding: string, operands: string, compute: (e: Emit, source: Value) => Value, options: RowOptions = {}): Insn {
  return insn(name, { rows: [row(encoding, operands, options)], body: (e, o) => o.writeVector(0, compute(e, o.readVector(1))) });
}

/** Byte numbers 0 to 15: indices of a swizzle that changes nothing. */
export function byteIndices(e: Emit): Value {
  return e.constantVector(range(0, 16));
}

/** The elements of `laneBytes` at the even places (`first` 0) or odd places (1) of `a`, below those of `b`. */
export function everySecond(e: Emit, laneBytes: number, first: 0 | 1, a: Value, b: Value): Value {
  const lanes: number[] = [];
  for (let byte = first * laneBytes; byte < 32; byte += 2 * laneBytes) lanes.push(...range(byte, laneBytes));
  return e.shuffle(lanes, a, b);
}

/** All ones in the lanes of `laneBytes` whose bit in `control` is set, lane 0 being bit 0. */
export function laneMask(e: Emit, laneBytes: 2 | 4 | 8, control: Value): Value {
  const shape = { 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' }[laneBytes];
  const bits = e.constantVector(range(0, 16).map((byte) => (byte % laneBytes === 0 ? 1 << (byte / laneBytes) : 0)));
  const spread = e.op(`${shape}.splat`, laneBytes === 8 ? control : e.narrow(control));
  return e.op(`${shape}.eq`, e.op('v128.and', spread, bits), bits);
}
