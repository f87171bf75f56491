import type { Emit, Operands, Routine, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { splatConstant } from './sse-vector.ts';

/** PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM: strings of bytes or words compared (SDM vol. 2B §4.1). */

const RAX = 0;
const RCX = 1;
const RDX = 2;

/** Bytes or words: how many there are, and how one of them is spread over a vector. */
interface Elements {
  readonly count: 8 | 16;
  readonly shape: 'i8x16' | 'i16x8';
  readonly signBit: bigint;
}

const BYTES: Elements = { count: 16, shape: 'i8x16', signBit: 0x80n };
const WORDS: Elements = { count: 8, shape: 'i16x8', signBit: 0x8000n };

/** Bits of the immediate (SDM vol. 2B §4.1.1). */
const IMMEDIATE = { words: 0, signed: 1, aggregation: 2, polarity: 4, most: 6 } as const;
const AGGREGATION = { equalAny: 0, ranges: 1, equalEach: 2, equalOrdered: 3 } as const;

const mask = (e: Emit, { shape }: Elements, v: Value) => e.widen(e.op(`${shape}.bitmask`, v));
const firstBits = (e: Emit, count: Value) => e.sub(e.shl(e.constant(1), count), e.constant(1));

/** Element `index` of a vector in every place. */
function spread(e: Emit, { count }: Elements, v: Value, index: Value): Value {
  if (count === 16) return e.op('i8x16.swizzle', v, e.op('i8x16.splat', e.narrow(index)));
  const pair = e.add(e.mul(index, e.constant(0x0202)), e.constant(0x0100));
  return e.op('i8x16.swizzle', v, e.op('i16x8.splat', e.narrow(pair)));
}

/** Runs `step` for index 0, `stride`, … as long as the element `stride - 1` behind it is one of the string's `length`. */
function each(e: Emit, length: Value, stride: number, step: (index: Value) => void): void {
  const index = e.variable(e.constant(0));
  const more = () => e.ltU(e.add(index.get(), e.constant(stride - 1)), length);
  e.if(more(), () => {
    e.loopWhile(() => {
      step(index.get());
      index.set(e.add(index.get(), e.constant(stride)));
      return more();
    });
  });
}

/** The strings compared as the immediate's aggregation says: a bit for each element of the second (IntRes1, §4.1.2). */
function aggregate(e: Emit, elements: Elements, a: Value, b: Value, lengthA: Value, lengthB: Value, control: Value): Value {
  const { shape, count } = elements;
  const all = e.constant((1 << count) - 1);
  const [inA, inB] = [firstBits(e, lengthA), firstBits(e, lengthB)];
  const kind = e.and(e.shrU(control, e.constant(IMMEDIATE.aggregation)), e.constant(3));
  const result = e.variable(e.constant(0));
  const when = (value: number, then: () => void) => e.if(e.eq(kind, e.constant(value)), then);
  when(AGGREGATION.equalAny, () => {
    each(e, lengthA, 1, (index) => result.set(e.or(result.get(), mask(e, elements, e.op(`${shape}.eq`, b, spread(e, elements, a, index))))));
    result.set(e.and(result.get(), inB));
  });
  when(AGGREGATION.ranges, () => {
    // Unsigned numbers with the sign bit turned over are in the order of signed ones.
    const bias = e.select(e.bit(control, IMMEDIATE.signed), splatConstant(e, 1, 0n), splatConstant(e, count === 16 ? 1 : 2, elements.signBit));
    const [x, y] = [e.op('v128.xor', a, bias), e.op('v128.xor', b, bias)];
    each(e, lengthA, 2, (index) => {
      const from = e.op(`${shape}.ge_s`, y, spread(e, elements, x, index));
      const to = e.op(`${shape}.le_s`, y, spread(e, elements, x, e.add(index, e.constant(1))));
      result.set(e.or(result.get(), mask(e, elements, e.op('v128.and', from, to))));
    });
    result.set(e.and(result.get(), inB));
  });
  when(AGGREGATION.equalEach, () => {
    const equal = e.and(mask(e, elements, e.op(`${shape}.eq`, a, b)), e.and(inA, inB));
    result.set(e.or(equal, e.and(e.not(e.or(inA, inB)), all)));
  });
  when(AGGREGATION.equalOrdered, () => {
    result.set(all);
    each(e, lengthA, 1, (index) => {
      const equal = e.and(mask(e, elements, e.op(`${shape}.eq`, b, spread(e, elements, a, index))), inB);
      // What would lie behind the second vector counts as equal.
      result.set(e.and(result.get(), e.or(e.shrU(equal, index), e.not(e.shrU(all, index)))));
    });
    result.set(e.and(result.get(), all));
  });
  return result.get();
}

/** IntRes1 turned over where the polarity says so: everywhere, or where the second string has elements (§4.1.4). */
function applyPolarity(e: Emit, { count }: Elements, result: Value, lengthB: Value, control: Value): Value {
  const all = e.constant((1 << count) - 1);
  const turned = e.select(e.bit(control, IMMEDIATE.polarity + 1), firstBits(e, lengthB), all);
  return e.select(e.bit(control, IMMEDIATE.polarity), e.xor(result, turned), result);
}

const compareStrings = (elements: Elements): Routine => ({
  name: `compare strings of ${elements.shape}`,
  parameters: ['v128', 'v128', 'i64', 'i64', 'i64'],
  result: 'i64',
  body: (e, a, b, lengthA, lengthB, control) =>
    applyPolarity(e, elements, aggregate(e, elements, a, b, lengthA, lengthB, control), lengthB, control),
});
const COMPARE_BYTES = compareStrings(BYTES);
const COMPARE_WORDS = compareStrings(WORDS);

/** Elements before the first zero. */
function implicitLength(e: Emit, v: Value, words: Value): Value {
  const place = (elements: Elements) =>
    e.op('i64.ctz', e.or(mask(e, elements, e.op(`${elements.shape}.eq`, v, splatConstant(e, 1, 0n))), e.constant(1 << elements.count)));
  return e.select(words, place(WORDS), place(BYTES));
}

/** The absolute value of a register, at most the elements a vector has. */
function explicitLength(e: Emit, o: Operands, register: number, count: Value): Value {
  const value = e.signExtend(e.register(register), o.bits === 64 ? 64 : 32);
  const sign = e.shrS(value, e.constant(63));
  const size = e.sub(e.xor(value, sign), sign);
  return e.select(e.ltU(size, count), size, count);
}

function writeIndex(e: Emit, result: Value, control: Value, count: Value): void {
  const least = e.select(e.eqz(result), count, e.op('i64.ctz', result));
  const most = e.select(e.eqz(result), count, e.sub(e.constant(63), e.op('i64.clz', result)));
  e.setRegister(RCX, e.select(e.bit(control, IMMEDIATE.most), most, least), 32);
}

/** All ones in the elements whose bit is set. */
function spreadMask(e: Emit, result: Value, words: Value): Value {
  const bits = e.op('i16x8.splat', e.narrow(result));
  const byteBits = e.constantVector(Array.from({ length: 16 }, (_, byte) => 1 << (byte % 8)));
  const wordBits = e.constantVector(Array.from({ length: 16 }, (_, byte) => (byte % 2 === 0 ? 1 << (byte / 2) : 0)));
  const ofBytes = e.shuffle([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], bits, bits);
  const byteMask = e.op('i8x16.eq', e.op('v128.and', ofBytes, byteBits), byteBits);
  return e.select(words, e.op('i16x8.eq', e.op('v128.and', bits, wordBits), wordBits), byteMask);
}

function writeMask(e: Emit, result: Value, control: Value, words: Value): void {
  const plain = e.lane('i64x2.replace_lane', 0, splatConstant(e, 1, 0n), result);
  e.setVectorRegister(0, e.select(e.bit(control, IMMEDIATE.most), spreadMask(e, result, words), plain));
}

function stringForm(name: string, opcode: string, lengths: 'explicit' | 'implicit', output: 'index' | 'mask'): Insn {
  const options = { unaligned: true };
  const encodings = lengths === 'explicit' ? [`66 W0 0F 3A ${opcode}`, `66 REX.W 0F 3A ${opcode}`] : [`66 0F 3A ${opcode}`];
  return insn(name, {
    rows: encodings.map((encoding) => row(encoding, 'Vx,Wx,Ib', options)),
    body(e, o) {
      const control = o.read(2);
      const b = o.readVector(1);
      const a = o.readVector(0);
      const words = e.bit(control, IMMEDIATE.words);
      const count = e.select(words, e.constant(8), e.constant(16));
      const [lengthA, lengthB] = lengths === 'explicit'
        ? [explicitLength(e, o, RAX, count), explicitLength(e, o, RDX, count)]
        : [implicitLength(e, a, words), implicitLength(e, b, words)];
      const compared = e.variable(e.constant(0));
      e.if(words, () => compared.set(e.call(COMPARE_WORDS, a, b, lengthA, lengthB, control)), () => compared.set(e.call(COMPARE_BYTES, a, b, lengthA, lengthB, control)));
      const result = compared.get();
      if (output === 'index') writeIndex(e, result, control, count);
      else writeMask(e, result, control, words);
      const clear = e.constant32(0);
      e.flagsSet({ CF: e.nez(result), ZF: e.ltU(lengthB, count), SF: e.ltU(lengthA, count), OF: e.bit(result, 0), AF: clear, PF: clear });
    },
  });
}

export const SSE42_STRING = [
  stringForm('PCMPESTRM', '60', 'explicit', 'mask'), stringForm('PCMPESTRI', '61', 'explicit', 'index'),
  stringForm('PCMPISTRM', '62', 'implicit', 'mask'), stringForm('PCMPISTRI', '63', 'implicit', 'index'),
];
