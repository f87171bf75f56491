import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder } from './decode.ts';

const CASES = 4000;
const LENGTH = 16;
/** Few bytes, so that shapes come again: prefixes, opcodes, ModRM and SIB with displacements of every size, parts of numbers. */
const BYTES = [0x00, 0x01, 0x0f, 0x24, 0x44, 0x48, 0x49, 0x64, 0x66, 0x67, 0x69, 0x80, 0x81, 0x83, 0x84, 0x8b, 0x8d, 0x94, 0xa3, 0xb8, 0xc7, 0xc8, 0xe8, 0xeb, 0xf0, 0xf3, 0xff];

/** Mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const plain = (decoder: Decoder, bytes: Uint8Array, end: number) => {
  const decoded = decoder.decode(bytes, 0, end, 64);
  return typeof decoded === 'string' ? decoded : { ...decoded };
};

test('an instruction of a known shape is what it is when decoded for the first time', (t) => {
  const seed = Date.now() % 2 ** 32;
  t.diagnostic(`seed ${seed}`);
  const random = randomNumbers(seed);
  const decoder = new Decoder();
  const shapes = new Map<object, number>();
  for (let index = 0; index < CASES; index++) {
    const bytes = Uint8Array.from({ length: LENGTH }, () => BYTES[Math.floor(random() * BYTES.length)]!);
    const end = random() < 0.2 ? Math.floor(random() * LENGTH) : LENGTH;
    const decoded = decoder.decode(bytes, 0, end, 64);
    if (typeof decoded !== 'string' && decoded.shapeBytes > 0) shapes.set(decoded, (shapes.get(decoded) ?? 0) + 1);
    assert.deepEqual(plain(decoder, bytes, end), plain(new Decoder(), bytes, end), Buffer.from(bytes.subarray(0, end)).toString('hex'));
  }
  assert.ok([...shapes.values()].some((count) => count > 10), 'shapes came again');
});
