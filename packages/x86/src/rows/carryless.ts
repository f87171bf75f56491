import type { Emit, Routine, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';
import { fromHalves, highHalf, lowHalf } from './sse-vector.ts';

/** Products of polynomials over GF(2): PCLMULQDQ and CRC32 (SDM vol. 1 §12.11.4, §12.13.3). */

const HOLES = 4;
const ONE_IN_FOUR = 0x1111_1111_1111_1111n;

/**
 * The product of two 32-bit polynomials. With one bit in four kept, an ordinary multiplication adds at most 8 ones in
 * each place, and these carries stay in the holes; of the sums only the lowest bit counts.
 */
function product32(e: Emit, a: Value, b: Value): Value {
  const parts = (v: Value) => Array.from({ length: HOLES }, (_, part) => e.and(v, e.constant((ONE_IN_FOUR << BigInt(part)) & 0xffff_ffffn)));
  const [x, y] = [parts(a), parts(b)];
  let result: Value | undefined;
  for (let part = 0; part < HOLES; part++) {
    let sum: Value | undefined;
    for (let left = 0; left < HOLES; left++) {
      const product = e.mul(x[left]!, y[(part - left) & (HOLES - 1)]!);
      sum = sum ? e.xor(sum, product) : product;
    }
    const kept = e.and(sum!, e.constant(ONE_IN_FOUR << BigInt(part)));
    result = result ? e.or(result, kept) : kept;
  }
  return result!;
}

/** By halves, after Karatsuba: the middle is the product of the sums less those of the halves. */
const PRODUCT: Routine = {
  name: 'carry-less product',
  parameters: ['i64', 'i64'],
  result: 'v128',
  body(e, a, b) {
    const c32 = e.constant(32);
    const [aLow, aHigh, bLow, bHigh] = [e.zeroExtend(a, 32), e.shrU(a, c32), e.zeroExtend(b, 32), e.shrU(b, c32)];
    const low = product32(e, aLow, bLow);
    const high = product32(e, aHigh, bHigh);
    const middle = e.xor(product32(e, e.xor(aLow, aHigh), e.xor(bLow, bHigh)), e.xor(low, high));
    return fromHalves(e, e.xor(low, e.shl(middle, c32)), e.xor(high, e.shrU(middle, c32)));
  },
};

/** Bits 0 and 4 of the immediate choose the halves. */
export const PCLMULQDQ = insn('PCLMULQDQ', {
  rows: [row('66 0F 3A 44', 'Vx,Wx,Ib')],
  body(e, o) {
    const control = o.read(2);
    const source = o.readVector(1);
    const destination = o.readVector(0);
    const half = (v: Value, bit: number) => e.select(e.bit(control, bit), highHalf(e, v), lowHalf(e, v));
    o.writeVector(0, e.call(PRODUCT, half(destination, 0), half(source, 4)));
  },
});

/** x^32 + CRC_POLYNOMIAL is the polynomial of CRC-32C (SDM vol. 2A, "CRC32"). */
const CRC_POLYNOMIAL = 0x1edc_6f41n;
const CRC_BITS = 32;

function reflected(value: bigint): bigint {
  let result = 0n;
  for (let bit = 0n; bit < 32n; bit++) result |= ((value >> bit) & 1n) << (31n - bit);
  return result;
}

/** Floor of x^64 by the polynomial, without its leading x^32. */
function reciprocal(): bigint {
  const divisor = (1n << 32n) | CRC_POLYNOMIAL;
  let rest = 1n << 64n;
  let quotient = 0n;
  for (let bit = 32n; bit >= 0n; bit--) {
    if (((rest >> (bit + 32n)) & 1n) === 0n) continue;
    rest ^= divisor << bit;
    quotient |= 1n << bit;
  }
  return quotient & 0xffff_ffffn;
}

const REFLECTED_POLYNOMIAL = reflected(CRC_POLYNOMIAL);
const REFLECTED_RECIPROCAL = reflected(reciprocal());

/**
 * The remainder of 32 bits times x^32, by Barrett's reduction: the quotient is the product with the reciprocal. Bits are
 * reflected, as CRC32 has them, so that x^31 is bit 0, a product has 63 bits, and its upper part lies in the lower bits.
 */
const CRC_STEP: Routine = {
  name: 'CRC-32C of 32 bits',
  parameters: ['i64'],
  result: 'i64',
  body(e, value) {
    const one = e.constant(1);
    const product = e.shl(product32(e, value, e.constant(REFLECTED_RECIPROCAL)), one);
    const quotient = e.xor(value, e.zeroExtend(product, CRC_BITS));
    return e.shrU(product32(e, quotient, e.constant(REFLECTED_POLYNOMIAL)), e.constant(CRC_BITS - 1));
  },
};

export const CRC32 = insn('CRC32', {
  rows: [row('F2 0F 38 F0', 'Gy,Eb'), row('F2 0F 38 F1', 'Gy,Ev')],
  body(e, o) {
    const data = o.read(1);
    const bits = o.sizeBits(1);
    const mixed = e.xor(e.zeroExtend(o.read(0), CRC_BITS), data);
    if (bits < CRC_BITS) {
      // What is too short for a step is moved up to its end; the bits of the old remainder that it does not meet go down.
      const step = e.call(CRC_STEP, e.shl(e.zeroExtend(mixed, bits), e.constant(CRC_BITS - bits)));
      o.write(0, e.xor(step, e.shrU(mixed, e.constant(bits))));
      return;
    }
    const first = e.call(CRC_STEP, e.zeroExtend(mixed, CRC_BITS));
    o.write(0, bits === CRC_BITS ? first : e.call(CRC_STEP, e.xor(first, e.shrU(data, e.constant(CRC_BITS)))));
  },
});

export const CARRYLESS = [PCLMULQDQ, CRC32];
