import type { Emit, Routine, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';

/** SHA-1 and SHA-256 (SDM vol. 1 §5.18; FIPS 180-4 names the functions). Words are i32; element 3 comes first. */

const element = (e: Emit, index: number, v: Value) => e.lane('i32x4.extract_lane', index, v);
const add = (e: Emit, ...terms: Value[]) => terms.reduce((a, b) => e.op('i32.add', a, b));
const xor = (e: Emit, ...terms: Value[]) => terms.reduce((a, b) => e.op('i32.xor', a, b));
const rotateLeft = (e: Emit, v: Value, count: number) => e.op('i32.rotl', v, e.constant32(count));
const rotateRight = (e: Emit, v: Value, count: number) => e.op('i32.rotr', v, e.constant32(count));

/** A vector of four words, element 3 first. */
function words(e: Emit, w3: Value, w2: Value, w1: Value, w0: Value): Value {
  return [w1, w2, w3].reduce((v, word, index) => e.lane('i32x4.replace_lane', index + 1, v, word), e.op('i32x4.splat', w0));
}

const choose = (e: Emit, x: Value, y: Value, z: Value) => xor(e, z, e.op('i32.and', x, xor(e, y, z)));
const majority = (e: Emit, x: Value, y: Value, z: Value) => e.op('i32.or', e.op('i32.and', x, y), e.op('i32.and', z, e.op('i32.or', x, y)));

/** FIPS 180-4 §4.1.1 and §4.2.1: function and constant of the four groups of 20 rounds. */
const SHA1_GROUPS = [
  { mix: choose, constant: 0x5a82_7999 }, { mix: xor, constant: 0x6ed9_eba1 }, { mix: majority, constant: 0x8f1b_bcdc }, { mix: xor, constant: 0xca62_c1d6 },
] as const;

/** Four rounds; the first message word holds E already. */
function sha1Rounds(group: (typeof SHA1_GROUPS)[number]): Routine {
  return {
    name: 'SHA-1 rounds',
    parameters: ['v128', 'v128'],
    result: 'v128',
    body(e, state, message) {
      let [a, b, c, d] = [3, 2, 1, 0].map((index) => element(e, index, state)) as [Value, Value, Value, Value];
      let before: Value | undefined;
      for (const index of [3, 2, 1, 0]) {
        const word = before ? add(e, element(e, index, message), before) : element(e, index, message);
        const next = add(e, group.mix(e, b, c, d), rotateLeft(e, a, 5), word, e.constant32(group.constant | 0));
        before = d;
        [a, b, c, d] = [next, a, rotateLeft(e, b, 30), c];
      }
      return words(e, a, b, c, d);
    },
  };
}

const SHA1_ROUNDS = SHA1_GROUPS.map(sha1Rounds);

export const SHA1RNDS4 = insn('SHA1RNDS4', {
  rows: [row('NP 0F 3A CC', 'Vx,Wx,Ib')],
  body(e, o) {
    const group = o.read(2);
    const message = o.readVector(1);
    const state = o.readVector(0);
    const result = e.variable(state);
    SHA1_ROUNDS.forEach((rounds, index) => {
      e.if(e.eq(e.and(group, e.constant(3)), e.constant(index)), () => result.set(e.call(rounds, state, message)));
    });
    o.writeVector(0, result.get());
  },
});

function shaForm(name: string, opcode: string, compute: (e: Emit, a: Value, b: Value) => Value): Insn {
  return insn(name, {
    rows: [row(`NP 0F 38 ${opcode}`, 'Vx,Wx')],
    body(e, o) {
      const source = o.readVector(1);
      o.writeVector(0, compute(e, o.readVector(0), source));
    },
  });
}

export const SHA1NEXTE = shaForm('SHA1NEXTE', 'C8', (e, a, b) =>
  e.lane('i32x4.replace_lane', 3, b, add(e, element(e, 3, b), rotateLeft(e, element(e, 3, a), 30))));

/** Words W0 to W3 of the destination and W4, W5 of the source: each with the second next. */
const SHA1MSG1 = shaForm('SHA1MSG1', 'C9', (e, a, b) =>
  e.op('v128.xor', a, e.shuffle([24, 25, 26, 27, 28, 29, 30, 31, 0, 1, 2, 3, 4, 5, 6, 7], a, b)));

const SHA1MSG2 = shaForm('SHA1MSG2', 'CA', (e, a, b) => {
  const w16 = rotateLeft(e, xor(e, element(e, 3, a), element(e, 2, b)), 1);
  const w17 = rotateLeft(e, xor(e, element(e, 2, a), element(e, 1, b)), 1);
  const w18 = rotateLeft(e, xor(e, element(e, 1, a), element(e, 0, b)), 1);
  return words(e, w16, w17, w18, rotateLeft(e, xor(e, element(e, 0, a), w16), 1));
});

/** Two rounds (FIPS 180-4 §6.2.2): C, D, G, H are the first vector's, A, B, E, F the second's, the third's low half is W + K. */
const SHA256_ROUNDS: Routine = {
  name: 'SHA-256 rounds',
  parameters: ['v128', 'v128', 'v128'],
  result: 'v128',
  body(e, first, second, message) {
    let [a, b, e1, f] = [3, 2, 1, 0].map((index) => element(e, index, second)) as [Value, Value, Value, Value];
    let [c, d, g, h] = [3, 2, 1, 0].map((index) => element(e, index, first)) as [Value, Value, Value, Value];
    for (const round of [0, 1]) {
      const sigma1 = xor(e, rotateRight(e, e1, 6), rotateRight(e, e1, 11), rotateRight(e, e1, 25));
      const sum1 = add(e, h, sigma1, choose(e, e1, f, g), element(e, round, message));
      const sigma0 = xor(e, rotateRight(e, a, 2), rotateRight(e, a, 13), rotateRight(e, a, 22));
      const sum2 = add(e, sigma0, majority(e, a, b, c));
      [h, g, f, e1, d, c, b, a] = [g, f, e1, add(e, d, sum1), c, b, a, add(e, sum1, sum2)];
    }
    return words(e, a, b, e1, f);
  },
};

export const SHA256RNDS2 = shaForm('SHA256RNDS2', 'CB', (e, a, b) => e.call(SHA256_ROUNDS, a, b, e.vectorRegister(0)));

function rotateLanes(e: Emit, v: Value, count: number): Value {
  return e.op('v128.or', e.op('i32x4.shr_u', v, e.constant32(count)), e.op('i32x4.shl', v, e.constant32(32 - count)));
}

const SHA256MSG1 = shaForm('SHA256MSG1', 'CC', (e, a, b) => {
  const next = e.shuffle([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19], a, b);
  const shifted = e.op('i32x4.shr_u', next, e.constant32(3));
  return e.op('i32x4.add', a, [rotateLanes(e, next, 7), rotateLanes(e, next, 18)].reduce((x, y) => e.op('v128.xor', x, y), shifted));
});

const SHA256MSG2 = shaForm('SHA256MSG2', 'CD', (e, a, b) => {
  const sigma = (v: Value) => xor(e, rotateRight(e, v, 17), rotateRight(e, v, 19), e.op('i32.shr_u', v, e.constant32(10)));
  const w16 = add(e, element(e, 0, a), sigma(element(e, 2, b)));
  const w17 = add(e, element(e, 1, a), sigma(element(e, 3, b)));
  const w18 = add(e, element(e, 2, a), sigma(w16));
  return words(e, add(e, element(e, 3, a), sigma(w17)), w18, w17, w16);
});

export const SHA = [SHA1RNDS4, SHA1NEXTE, SHA1MSG1, SHA1MSG2, SHA256RNDS2, SHA256MSG1, SHA256MSG2];
