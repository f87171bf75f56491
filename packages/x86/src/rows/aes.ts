import type { Emit, Routine, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { splatConstant, zeroVector } from './sse-vector.ts';

/** The rounds of AES (SDM vol. 1 §12.13; FIPS 197 names the steps). The state's columns are the doublewords. */

const timesX = (byte: number) => ((byte << 1) ^ (byte & 0x80 ? 0x1b : 0)) & 0xff;

/** The product in GF(2^8) (FIPS 197 §4.2). */
function product(a: number, b: number): number {
  let sum = 0;
  for (let power = a, rest = b; rest !== 0; power = timesX(power), rest >>= 1) if (rest & 1) sum ^= power;
  return sum;
}

const ALL_BYTES = Array.from({ length: 256 }, (_, byte) => byte);
function power(base: number, exponent: number): number {
  if (exponent === 0) return 1;
  const root = power(product(base, base), exponent >> 1);
  return exponent & 1 ? product(root, base) : root;
}
const inverse = (byte: number) => power(byte, 254);

/** The linear part of SubBytes, which follows the inverse (FIPS 197 §5.1.1). */
const affine = (byte: number) => [0, 4, 5, 6, 7].reduce((sum, shift) => sum ^ (((byte * 0x101) >> shift) & 0xff), 0);
const AFFINE_CONSTANT = 0x63;

/**
 * The inverse in GF(2^8) by tables of 16 entries, after Hamburg ("Accelerating AES with Vector Permute Instructions", 2009).
 * A byte is iU + k, where i and k are of the subfield GF(2^4) and U has one number a for norm and trace. Its norm is then
 * N = ai² + aik + k², and (with j = i + k) 1/(1/i + a/k) + j = N/(k + ai) and 1/(1/j + a/k) + i = N/(k + aj): two quotients
 * whose inverses, times constants, add up to the byte's inverse.
 */
const SUBFIELD = ALL_BYTES.filter((byte) => power(byte, 16) === byte);
const U = ALL_BYTES.find((byte) => !SUBFIELD.includes(byte) && power(byte, 17) === (byte ^ power(byte, 16)))!;
const A = power(U, 17);

/** Four of the subfield's numbers, of which the others are sums: nibbles name their coordinates, so that sums stay sums. */
const BASIS = SUBFIELD.reduce<number[]>((basis, byte) => (sums(basis).includes(byte) ? basis : [...basis, byte]), []);
function sums(basis: readonly number[]): number[] {
  return basis.reduce((all, item) => [...all, ...all.map((byte) => byte ^ item)], [0]);
}
const NUMBERS = sums(BASIS);
const nibbleOf = (number: number) => NUMBERS.indexOf(number);

/** The nibbles i and k of every byte. */
const COORDINATES = ALL_BYTES.map((byte) => {
  const i = NUMBERS.findIndex((number) => SUBFIELD.includes(byte ^ product(number, U)));
  return (i << 4) | nibbleOf(byte ^ product(NUMBERS[i]!, U));
});

/** An index beyond every table: swizzle answers it with 0, which is 1/∞, and what is added to it stays beyond. */
const INFINITE = 0x80;
const reciprocals = (numerator: number) => NUMBERS.map((number) => (number === 0 ? INFINITE : nibbleOf(product(numerator, inverse(number)))));
const ONE_OVER = reciprocals(1);
const A_OVER = reciprocals(A);
/** What the inverses of the two quotients are multiplied by. */
const U_OVER_A2 = product(U, inverse(product(A, A)));
const FACTORS = [1 ^ product(U, inverse(A)) ^ U_OVER_A2, U_OVER_A2] as const;

/** A substitution: how bytes go in, and what becomes of the inverse. */
interface Substitution {
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly outputs: readonly (readonly number[])[];
  readonly constant: number;
}

/** Tables of a map of bytes that is linear but for what it makes of 0. */
function substitution(before: (byte: number) => number, after: (byte: number) => number, constant: number): Substitution {
  const input = (byte: number) => COORDINATES[before(byte)]!;
  return {
    low: Array.from({ length: 16 }, (_, nibble) => input(nibble)),
    high: Array.from({ length: 16 }, (_, nibble) => input(nibble << 4) ^ input(0)),
    outputs: FACTORS.map((factor) => NUMBERS.map((number) => after(product(factor, inverse(number))))),
    constant,
  };
}

const AFFINE = ALL_BYTES.map(affine);
const AFFINE_INVERSE = ALL_BYTES.map((byte) => AFFINE.indexOf(byte));
const SUB_BYTES = substitution((byte) => byte, affine, AFFINE_CONSTANT);
const INVERSE_SUB_BYTES = substitution((byte) => AFFINE_INVERSE[byte ^ AFFINE_CONSTANT]!, (byte) => byte, 0);

/** Both nibbles of every byte. */
function nibbles(e: Emit, v: Value): { high: Value; low: Value } {
  const mask = splatConstant(e, 1, 0x0fn);
  return { high: e.op('v128.and', e.op('i16x8.shr_u', v, e.constant32(4)), mask), low: e.op('v128.and', v, mask) };
}

function lookUp(e: Emit, { low, high, outputs, constant }: Substitution, v: Value): Value {
  const table = (entries: readonly number[], index: Value) => e.op('i8x16.swizzle', e.constantVector(entries), index);
  const halves = nibbles(e, v);
  const { high: i, low: k } = nibbles(e, sum(e, table(low, halves.low), table(high, halves.high)));
  const j = sum(e, i, k);
  const aOverK = table(A_OVER, k);
  const first = sum(e, table(ONE_OVER, sum(e, table(ONE_OVER, i), aOverK)), j);
  const second = sum(e, table(ONE_OVER, sum(e, table(ONE_OVER, j), aOverK)), i);
  return sum(e, table(outputs[0]!, first), table(outputs[1]!, second), ...(constant ? [splatConstant(e, 1, BigInt(constant))] : []));
}

/** Row r moves by r columns, to the left or back (FIPS 197 §5.1.2, §5.3.1). */
function shiftRows(e: Emit, v: Value, direction: 1 | -1): Value {
  const from = Array.from({ length: 16 }, (_, byte) => (byte + 4 * direction * (byte % 4)) & 15);
  return e.shuffle(from, v, v);
}

/** Every column turned by some bytes. */
function turnColumns(e: Emit, v: Value, bytes: number): Value {
  return e.shuffle(Array.from({ length: 16 }, (_, byte) => (byte & 12) | ((byte + bytes) & 3)), v, v);
}

function timesXVector(e: Emit, v: Value): Value {
  const reduced = e.op('v128.and', e.op('i8x16.lt_s', v, zeroVector(e)), splatConstant(e, 1, 0x1bn));
  return e.op('v128.xor', e.op('i8x16.add', v, v), reduced);
}

const sum = (e: Emit, ...terms: Value[]) => terms.reduce((a, b) => e.op('v128.xor', a, b));

/** FIPS 197 §5.1.3: every byte is twice itself, three times the next, and the two others. */
function mixColumns(e: Emit, v: Value): Value {
  const next = turnColumns(e, v, 1);
  return sum(e, timesXVector(e, sum(e, v, next)), next, turnColumns(e, v, 2), turnColumns(e, v, 3));
}

/** The inverse's coefficients are those of MixColumns times 5 and 4, for a byte and the second next. */
function inverseMixColumns(e: Emit, v: Value): Value {
  const four = timesXVector(e, timesXVector(e, sum(e, v, turnColumns(e, v, 2))));
  return mixColumns(e, sum(e, v, four));
}

function encrypt(e: Emit, state: Value, last: boolean): Value {
  const substituted = lookUp(e, SUB_BYTES, shiftRows(e, state, 1));
  return last ? substituted : mixColumns(e, substituted);
}

function decrypt(e: Emit, state: Value, last: boolean): Value {
  const substituted = lookUp(e, INVERSE_SUB_BYTES, shiftRows(e, state, -1));
  return last ? substituted : inverseMixColumns(e, substituted);
}

function roundForm(name: string, opcode: string, round: (e: Emit, state: Value) => Value): Insn {
  const routine: Routine = { name, parameters: ['v128', 'v128'], result: 'v128', body: (e, state, key) => sum(e, round(e, state), key) };
  return insn(name, {
    rows: [row(`66 0F 38 ${opcode}`, 'Vx,Wx')],
    body(e, o) {
      const key = o.readVector(1);
      o.writeVector(0, e.call(routine, o.readVector(0), key));
    },
  });
}

export const AESIMC = insn('AESIMC', { rows: [row('66 0F 38 DB', 'Vx,Wx')], body: (e, o) => o.writeVector(0, inverseMixColumns(e, o.readVector(1))) });

const SUBSTITUTE: Routine = { name: 'SubBytes', parameters: ['v128'], result: 'v128', body: (e, v) => lookUp(e, SUB_BYTES, v) };

/** Columns 1 and 3 substituted, and the same turned by a byte with the round constant (SDM vol. 2A, "AESKEYGENASSIST"). */
export const AESKEYGENASSIST = insn('AESKEYGENASSIST', {
  rows: [row('66 0F 3A DF', 'Vx,Wx,Ib')],
  body(e, o) {
    const substituted = e.call(SUBSTITUTE, o.readVector(1));
    const spread = e.shuffle([4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12], substituted, substituted);
    const constants = e.op('i64x2.splat', e.shl(o.read(2), e.constant(32)));
    o.writeVector(0, sum(e, spread, constants));
  },
});

export const AES = [
  roundForm('AESENC', 'DC', (e, state) => encrypt(e, state, false)), roundForm('AESENCLAST', 'DD', (e, state) => encrypt(e, state, true)),
  roundForm('AESDEC', 'DE', (e, state) => decrypt(e, state, false)), roundForm('AESDECLAST', 'DF', (e, state) => decrypt(e, state, true)),
  AESIMC, AESKEYGENASSIST,
];
