import type { Emit, Routine, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { splatConstant, zeroVector } from './sse-vector.ts';

/** The rounds of AES (SDM vol. 1 §12.13; FIPS 197 names the steps). The state's columns are the doublewords. */

const timesX = (byte: number) => ((byte << 1) ^ (byte & 0x80 ? 0x1b : 0)) & 0xff;

/** The powers of x + 1, which are all numbers of GF(2^8) but 0. */
const POWERS: readonly number[] = Array.from({ length: 254 }).reduce<number[]>((powers) => [...powers, powers.at(-1)! ^ timesX(powers.at(-1)!)], [1]);

function inverse(byte: number): number {
  return byte === 0 ? 0 : POWERS[(255 - POWERS.indexOf(byte)) % 255]!;
}

/** FIPS 197 §5.1.1. */
function substitute(byte: number): number {
  const doubled = inverse(byte) * 0x101;
  return [0, 4, 5, 6, 7].reduce((sum, shift) => sum ^ ((doubled >> shift) & 0xff), 0x63);
}

const S_BOX = Array.from({ length: 256 }, (_, byte) => substitute(byte));
const INVERSE_S_BOX = Array.from({ length: 256 }, (_, byte) => S_BOX.indexOf(byte));

/** Looks all 16 bytes up: each row of 16 entries answers for its own upper nibble, and swizzle gives 0 for all others. */
function lookUp(e: Emit, table: readonly number[], v: Value): Value {
  let result: Value | undefined;
  for (let first = 0; first < 256; first += 16) {
    const indices = first === 0 ? v : e.op('v128.xor', v, splatConstant(e, 1, BigInt(first)));
    const found = e.op('i8x16.swizzle', e.constantVector(table.slice(first, first + 16)), indices);
    result = result ? e.op('v128.or', result, found) : found;
  }
  return result!;
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
  const substituted = lookUp(e, S_BOX, shiftRows(e, state, 1));
  return last ? substituted : mixColumns(e, substituted);
}

function decrypt(e: Emit, state: Value, last: boolean): Value {
  const substituted = lookUp(e, INVERSE_S_BOX, shiftRows(e, state, -1));
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

const SUBSTITUTE: Routine = { name: 'SubBytes', parameters: ['v128'], result: 'v128', body: (e, v) => lookUp(e, S_BOX, v) };

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
