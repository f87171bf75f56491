import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBuffer, u32SizeBytes } from './byte-buffer.ts';
import { functionUnderTest, randomIntegers } from './testing.ts';

const hex = (buffer: ByteBuffer): string => Buffer.from(buffer.toBytes()).toString('hex');

/** The textbook LEB128 of a signed integer, to compare with. */
function signedLeb(value: bigint): string {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const bits = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (bits & 0x40) === 0) || (rest === -1n && (bits & 0x40) !== 0);
    bytes.push(done ? bits : bits | 0x80);
    if (done) return Buffer.from(bytes).toString('hex');
  }
}

test('u32 is an unsigned LEB128 of the size u32SizeBytes tells', () => {
  const cases: [number, string][] = [
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [16383, 'ff7f'],
    [16384, '808001'],
    [624485, 'e58e26'],
    [0x1f_ffff, 'ffff7f'],
    [0x20_0000, '80808001'],
    [0x1000_0000, '8080808001'],
    [0xffff_ffff, 'ffffffff0f'],
  ];
  for (const [value, bytes] of cases) {
    assert.equal(hex(new ByteBuffer().u32(value)), bytes);
    assert.equal(u32SizeBytes(value), bytes.length / 2);
  }
  for (const value of [-1, 0.5, 2 ** 32, Number.NaN]) assert.throws(() => new ByteBuffer().u32(value), /no unsigned 32-bit integer/);
});

test('s32 takes signed and unsigned forms and refuses everything else', () => {
  for (const value of [0, 1, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193, 0x7fff_ffff, -0x8000_0000]) {
    assert.equal(hex(new ByteBuffer().s32(value)), signedLeb(BigInt(value)), `${value}`);
  }
  assert.equal(hex(new ByteBuffer().s32(0xffff_ffff)), '7f');
  assert.equal(hex(new ByteBuffer().s32(0x8000_0000)), signedLeb(-0x8000_0000n));
  for (const value of [2 ** 32, -(2 ** 31) - 1, 1.5, Number.NaN]) assert.throws(() => new ByteBuffer().s32(value), /no 32-bit integer/);
});

test('s64 is the same for bigint and number, at every bit length', () => {
  for (let bit = 0n; bit < 64n; bit++) {
    for (const value of [1n << bit, (1n << bit) - 1n, -(1n << bit), -(1n << bit) - 1n]) {
      const signed = BigInt.asIntN(64, value);
      if (value < -(1n << 63n)) continue;
      assert.equal(hex(new ByteBuffer().s64(value)), signedLeb(signed), `${value}`);
      if (Number.isSafeInteger(Number(value))) assert.equal(hex(new ByteBuffer().s64(Number(value))), signedLeb(signed), `number ${value}`);
    }
  }
  assert.equal(hex(new ByteBuffer().s64(0xffff_ffff_ffff_ffffn)), '7f');
  assert.throws(() => new ByteBuffer().s64(1n << 64n), /no 64-bit integer/);
  assert.throws(() => new ByteBuffer().s64(-(1n << 63n) - 1n), /no 64-bit integer/);
  assert.throws(() => new ByteBuffer().s64(2 ** 53), /bigint/);
  assert.throws(() => new ByteBuffer().s64(0.5), /no safe integer/);
});

test('constants come back from an instance as they went in', () => {
  const seed = Date.now() | 0;
  const next = randomIntegers(seed);
  for (let i = 0; i < 200; i++) {
    const low = next() >> (next() & 31);
    const wide = BigInt.asIntN(64, (BigInt(next()) << 32n) | BigInt(next() >>> 0)) >> BigInt(next() & 63);
    assert.equal(functionUnderTest([], ['i32'], ({ code }) => code.i32(low))(), low, `seed ${seed}`);
    assert.equal(functionUnderTest([], ['i64'], ({ code }) => code.i64(wide))(), wide, `seed ${seed}`);
  }
});

test('floats are little-endian and every NaN is canonical', () => {
  assert.equal(hex(new ByteBuffer().f32(1)), '0000803f');
  assert.equal(hex(new ByteBuffer().f64(-2)), '00000000000000c0');
  const oddNaN = new Float64Array(new BigUint64Array([0xfff8_0000_dead_beefn]).buffer)[0] ?? 0;
  assert.equal(hex(new ByteBuffer().f64(oddNaN)), '000000000000f87f');
  assert.equal(hex(new ByteBuffer().f32(oddNaN)), '0000c07f');
});

test('names are UTF-8, lone surrogates replaced', () => {
  const text = 'aé€😀\ud800z';
  assert.equal(hex(new ByteBuffer().name(text)), Buffer.from([14, ...new TextEncoder().encode(text)]).toString('hex'));
});

test('growth keeps what was written', () => {
  const buffer = new ByteBuffer(1);
  for (let i = 0; i < 1000; i++) buffer.u8(i);
  buffer.bytes(new Uint8Array(5000).fill(7)).append(new ByteBuffer().u8(9));
  const bytes = buffer.toBytes();
  assert.equal(buffer.length, 6001);
  assert.equal(bytes[999], 999 & 0xff);
  assert.equal(bytes[1000], 7);
  assert.equal(bytes[6000], 9);
});

test('setUnsigned and setSigned overwrite with a LEB128 of the given length, or throw', () => {
  const buffer = new ByteBuffer().bytes([1, 2, 3, 4, 5, 6, 7]);
  assert.equal(hex(buffer.setUnsigned(1, 5, 5)), '01858080800007');
  assert.equal(hex(buffer.setSigned(1, -2, 5)), '01feffffff7f07');
  assert.equal(hex(buffer.setSigned(1, 0x8000_0000, 5)), '01808080800807');
  assert.equal(hex(buffer.setSigned(5, 64, 2)), '0180808080c000');
  assert.equal(hex(buffer.setUnsigned(0, 127, 1)).slice(0, 2), '7f');
  assert.throws(() => buffer.setUnsigned(0, 128, 1), /128 does not fit 1 byte/);
  assert.throws(() => buffer.setSigned(0, 64, 1), /64 does not fit 1 byte/);
  assert.throws(() => buffer.setSigned(0, -8193, 2), /-8193 does not fit 2 byte/);
});
