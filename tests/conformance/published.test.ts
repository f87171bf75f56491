/**
 * Cryptographic instructions on the vectors that their standards publish, for hosts whose processor lacks them: FIPS 197
 * appendix B and C, FIPS 180-4 examples ("abc"), RFC 3720 appendix B.4 (CRC-32C), and Intel's white paper on PCLMULQDQ.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInterpreterDriver } from './emulated.ts';
import { FX, LAYOUT } from './layout.ts';

const driver = createInterpreterDriver();

interface Registers {
  xmm0?: Uint8Array;
  xmm1?: Uint8Array;
  xmm2?: Uint8Array;
  rax?: bigint;
  rcx?: bigint;
}

/** Runs one instruction, given as hexadecimal bytes, on registers that otherwise are 0. */
function execute(code: string, registers: Registers): { xmm1: Uint8Array; rax: bigint } {
  const fx = new Uint8Array(FX.sizeBytes);
  const view = new DataView(fx.buffer);
  view.setUint16(FX.control, 0x37f, true);
  view.setUint32(FX.mxcsr, 0x1f80, true);
  [registers.xmm0, registers.xmm1, registers.xmm2].forEach((value, index) => value && fx.set(value, FX.xmm + 16 * index));
  const gpr = new BigUint64Array(16);
  gpr[0] = registers.rax ?? 0n;
  gpr[1] = registers.rcx ?? 0n;
  const bytes = fromHex(code);
  const codeAddress = LAYOUT.codeBase + 0x100;
  const test = { mode: 64 as const, code: bytes, codeAddress, exits: [codeAddress + bytes.length], gpr, rflags: 0, fx, memory: new Uint8Array(LAYOUT.windowBytes) };
  const result = driver.run(test);
  assert.equal(result.exception, undefined);
  return { xmm1: result.fx.slice(FX.xmm + 16, FX.xmm + 32), rax: result.gpr[0]! };
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
}
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Doublewords, the highest first, as the manual draws a register. */
function fromWords(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(16);
  words.toReversed().forEach((word, index) => new DataView(bytes.buffer).setUint32(4 * index, word, true));
  return bytes;
}
function toWords(bytes: Uint8Array): number[] {
  return [3, 2, 1, 0].map((index) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(4 * index, true));
}

const AESENC = '66 0f 38 dc ca';
const AESENCLAST = '66 0f 38 dd ca';
const AESDEC = '66 0f 38 de ca';
const AESDECLAST = '66 0f 38 df ca';
const AESIMC = '66 0f 38 db ca';
const KEY_ROUNDS = 10;

/** The round keys of AES-128, from AESKEYGENASSIST as the manual's example does it. */
function expandKey(key: Uint8Array): Uint8Array[] {
  const keys = [key];
  for (let round = 1, constant = 1; round <= KEY_ROUNDS; round++, constant = (constant << 1) ^ (constant & 0x80 ? 0x11b : 0)) {
    const previous = keys.at(-1)!;
    const assisted = execute(`66 0f 3a df ca ${constant.toString(16).padStart(2, '0')}`, { xmm2: previous }).xmm1;
    const next = new Uint8Array(16);
    for (let index = 0; index < 16; index++) next[index] = previous[index]! ^ (index < 4 ? assisted[12 + index]! : next[index - 4]!);
    keys.push(next);
  }
  return keys;
}

const exclusiveOr = (a: Uint8Array, b: Uint8Array) => a.map((byte, index) => byte ^ b[index]!);

test('AES-128 encrypts and decrypts the examples of FIPS 197', () => {
  const examples = [
    ['2b7e151628aed2a6abf7158809cf4f3c', '3243f6a8885a308d313198a2e0370734', '3925841d02dc09fbdc118597196a0b32'],
    ['000102030405060708090a0b0c0d0e0f', '00112233445566778899aabbccddeeff', '69c4e0d86a7b0430d8cdb78070b4c55a'],
  ] as const;
  for (const [key, plain, cipher] of examples) {
    const keys = expandKey(fromHex(key));
    let state: Uint8Array = exclusiveOr(fromHex(plain), keys[0]!);
    for (let round = 1; round <= KEY_ROUNDS; round++) state = execute(round === KEY_ROUNDS ? AESENCLAST : AESENC, { xmm1: state, xmm2: keys[round]! }).xmm1;
    assert.equal(toHex(state), cipher);
    state = exclusiveOr(state, keys[KEY_ROUNDS]!);
    for (let round = KEY_ROUNDS - 1; round >= 1; round--) state = execute(AESDEC, { xmm1: state, xmm2: execute(AESIMC, { xmm2: keys[round]! }).xmm1 }).xmm1;
    state = execute(AESDECLAST, { xmm1: state, xmm2: keys[0]! }).xmm1;
    assert.equal(toHex(state), plain);
  }
});

/** "abc" padded to a block of 16 words (FIPS 180-4 §5.1.1). */
const ABC = [0x6162_6380, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24];

test('SHA-1 of "abc" as FIPS 180-4 has it', () => {
  const first = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
  let message = [0, 4, 8, 12].map((at) => fromWords(...ABC.slice(at, at + 4)));
  let state: Uint8Array = fromWords(...first.slice(0, 4));
  // The first E is added as it is; later ones are the rotated A of four rounds before (SHA1NEXTE).
  let current: Uint8Array = fromWords(ABC[0]! + first[4]!, ABC[1]!, ABC[2]!, ABC[3]!);
  let before = state;
  for (let group = 0; group < 20; group++) {
    if (group > 0) current = execute('0f 38 c8 ca', { xmm1: before, xmm2: message[0]! }).xmm1;
    before = state;
    state = execute(`0f 3a cc ca 0${Math.floor(group / 5)}`, { xmm1: state, xmm2: current }).xmm1;
    const [w0, w4, w8, w12] = message as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const partial = exclusiveOr(execute('0f 38 c9 ca', { xmm1: w0, xmm2: w4 }).xmm1, w8);
    message = [w4, w8, w12, execute('0f 38 ca ca', { xmm1: partial, xmm2: w12 }).xmm1];
  }
  const e = execute('0f 38 c8 ca', { xmm1: before, xmm2: fromWords(first[4]!, 0, 0, 0) }).xmm1;
  const digest = [...toWords(state).map((word, index) => (word + first[index]!) >>> 0), toWords(e)[0]!];
  assert.deepEqual(digest, [0xa999_3e36, 0x4706_816a, 0xba3e_2571, 0x7850_c26c, 0x9cd0_d89d]);
});

/** The fractional bits of roots of primes, which are SHA-256's constants (FIPS 180-4 §4.2.2, §5.3.3). */
function primes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let candidate = 2n; found.length < count; candidate++) if (found.every((prime) => candidate % prime !== 0n)) found.push(candidate);
  return found;
}
function fractionOfRoot(value: bigint, degree: bigint): number {
  let root = 0n;
  for (let bit = 1n << 40n; bit > 0n; bit >>= 1n) if ((root + bit) ** degree <= value << (32n * degree)) root += bit;
  return Number(root & 0xffff_ffffn);
}

test('SHA-256 of "abc" as FIPS 180-4 has it', () => {
  const [a, b, c, d, e, f, g, h] = primes(8).map((prime) => fractionOfRoot(prime, 2n)) as [number, number, number, number, number, number, number, number];
  const constants = primes(64).map((prime) => fractionOfRoot(prime, 3n));
  // Message words ascend from element 0.
  let message = [0, 4, 8, 12].map((at) => fromWords(...ABC.slice(at, at + 4).toReversed()));
  let [abef, cdgh] = [fromWords(a, b, e, f), fromWords(c, d, g, h)];
  for (let at = 0; at < 64; at += 4) {
    const words = toWords(message[0]!).toReversed().map((word, index) => (word + constants[at + index]!) >>> 0);
    for (const pair of [words.slice(0, 2), words.slice(2)]) {
      const next = execute('0f 38 cb ca', { xmm0: fromWords(0, 0, pair[1]!, pair[0]!), xmm1: cdgh, xmm2: abef }).xmm1;
      [abef, cdgh] = [next, abef];
    }
    const [w0, w4, w8, w12] = message as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const behind = toWords(new Uint8Array([...w8.subarray(4), ...w12.subarray(0, 4)]));
    const partial = fromWords(...toWords(execute('0f 38 cc ca', { xmm1: w0, xmm2: w4 }).xmm1).map((word, index) => (word + behind[index]!) >>> 0));
    message = [w4, w8, w12, execute('0f 38 cd ca', { xmm1: partial, xmm2: w12 }).xmm1];
  }
  const [a1, b1, e1, f1] = toWords(abef) as [number, number, number, number];
  const [c1, d1, g1, h1] = toWords(cdgh) as [number, number, number, number];
  const digest = [a1 + a, b1 + b, c1 + c, d1 + d, e1 + e, f1 + f, g1 + g, h1 + h].map((word) => word >>> 0);
  assert.deepEqual(digest, [0xba78_16bf, 0x8f01_cfea, 0x4141_40de, 0x5dae_2223, 0xb003_61a3, 0x9617_7a9c, 0xb410_ff61, 0xf200_15ad]);
});

test('CRC-32C of 32 bytes as RFC 3720 has it, by every operand size', () => {
  const examples = [[new Uint8Array(32), 0x8a91_36aa], [new Uint8Array(32).fill(0xff), 0x62a8_ab43], [Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd_794e]] as const;
  const encodings = [['f2 0f 38 f0 c1', 1], ['66 f2 0f 38 f1 c1', 2], ['f2 0f 38 f1 c1', 4], ['f2 48 0f 38 f1 c1', 8]] as const;
  for (const [data, expected] of examples) {
    for (const [code, sizeBytes] of encodings) {
      let crc = 0xffff_ffffn;
      for (let at = 0; at < data.length; at += sizeBytes) {
        const word = Array.from(data.subarray(at, at + sizeBytes)).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
        crc = execute(code, { rax: crc, rcx: word }).rax;
      }
      assert.equal(Number(crc ^ 0xffff_ffffn), expected, `${sizeBytes} bytes at once`);
    }
  }
});

test('PCLMULQDQ multiplies as the white paper\'s example does', () => {
  const a = fromWords(0x7b5b_5465, 0x7374_5665, 0x6374_6f72, 0x5d53_475d);
  const b = fromWords(0x4869_2853, 0x6861_7929, 0x5b47_7565, 0x726f_6e5d);
  const expected = { '00': '1d4d84c8 5c3440c0 929633d5 d36f0451', '01': '1a2bf6db 3a30862f babf262d f4b7d5c9', '10': '1bd17c8d 556ab5a1 7fa540ac 2a281315', '11': '1d1e1f2c 592e7c45 d66ee03e 410fd4ed' };
  for (const [control, product] of Object.entries(expected)) {
    const words = toWords(execute(`66 0f 3a 44 ca ${control}`, { xmm1: a, xmm2: b }).xmm1);
    assert.equal(words.map((word) => word.toString(16).padStart(8, '0')).join(' '), product);
  }
});
