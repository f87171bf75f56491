import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ModuleBuilder } from '@hanok/wasm';
import { ALL_ROWS, type Decoded, Decoder, immediateBytesOf } from '@hanok/x86';
import { DECODE_END, defineDecodeKnown } from './decode-known.ts';
import { FORM_INDEX_COUNT, formsOf } from './forms.ts';
import { hashPlace } from './hash-place.ts';
import { BLOCK_HASH, BLOCK_TAG, CPU, SLOT, VCPU_BLOCK_BYTES } from './layout.ts';
import { MEMORY_MAX_PAGES } from './machine-memory.ts';
import { ShapeTable } from './shape-table.ts';
import { shapeTraits } from './shape-traits.ts';
import { SlotWriter } from './slot-writer.ts';

const CASES = 3000;
const RAM = VCPU_BLOCK_BYTES;
const PAGE_BYTES = 4096;
const SLOTS = 0x2000000;
const CODE_BYTES = 16;
const ADD_RCX_8 = [0x48, 0x83, 0xc1, 0x08];
const RETURN = [0xc3];
const CPUID = [0x0f, 0xa2];
const LOAD_NEAR = [0x48, 0x8b, 0x05, 0xf8, 0xff, 0xff, 0x7f];
const ADD_FLOATS = [0x0f, 0x58, 0xc1];

/** A vCPU's block, a page of code behind it, and what decodes that. */
function createBench() {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { minPages: 1, maxPages: MEMORY_MAX_PAGES, shared: true });
  module.export('decodeKnown', 'func', defineDecodeKnown(module));
  const pages = (RAM + PAGE_BYTES) / 0x10000 + 1;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(pages), maximum: Math.ceil(pages), shared: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes() as Uint8Array<ArrayBuffer>), { env: { memory } });
  const { buffer } = memory;
  const bytes = new Uint8Array(buffer);
  const handlers = ALL_ROWS.map((row, number) => {
    const table = new Uint16Array(FORM_INDEX_COUNT).fill(0xffff);
    for (const { indices } of formsOf(row)) for (const index of indices) table[index] = number;
    return table;
  });
  const writer = new SlotWriter(buffer as unknown as ArrayBufferLike, { handlers });
  const view = new DataView(buffer);
  const table = new ShapeTable(buffer as unknown as ArrayBufferLike, 0);
  const decoder = new Decoder();
  const code = bytes.subarray(RAM, RAM + PAGE_BYTES);
  const decodeKnown = instance.exports['decodeKnown'] as (cpu: number, address: number, end: number, slot: number, count: number, looks: number) => number;
  const slotAt = (at: number) => Buffer.from(bytes.slice(at, at + SLOT.sizeBytes)).toString('hex');
  return {
    bytes, code, table, view,
    /** What an instruction is, decoded the long way; undefined where it is none. */
    decode(at: number): Decoded | undefined {
      const decoded = decoder.decode(code, at, PAGE_BYTES, 64);
      return typeof decoded === 'string' ? undefined : { ...decoded };
    },
    /** Its slot, written the long way. */
    slotOf(decoded: Decoded, at: number): string {
      writer.write(SLOTS, decoded, at);
      return slotAt(SLOTS);
    },
    learn(decoded: Decoded, at: number): void {
      writer.write(SLOTS, decoded, at);
      table.add(code, at, decoded, shapeTraits(decoded), bytes.subarray(SLOTS, SLOTS + SLOT.sizeBytes));
    },
    /** Decodes `count` instructions at most. */
    known(at: number, count = 1, looks = 0, end = PAGE_BYTES): { slots: string[]; why: number } {
      const result = decodeKnown(0, RAM + at, RAM + end, SLOTS + 0x1000, count, looks);
      const decoded = ((result & ~DECODE_END.mask) - SLOTS - 0x1000) / SLOT.sizeBytes;
      return { slots: Array.from({ length: decoded }, (_, index) => slotAt(SLOTS + 0x1000 + index * SLOT.sizeBytes)), why: result & DECODE_END.mask };
    },
  };
}

/** Code with all of these instructions known. */
function learned(...instructions: readonly (readonly number[])[]) {
  const bench = createBench();
  for (const instruction of instructions) {
    bench.code.set(instruction);
    bench.learn(bench.decode(0)!, 0);
  }
  bench.code.fill(0);
  return bench;
}

/** Mulberry32. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

test('instructions of a known shape get the slots that they get when they are decoded for the first time', (t) => {
  const seed = Date.now() % 2 ** 32;
  t.diagnostic(`seed ${seed}`);
  const random = randomNumbers(seed);
  const bench = createBench();
  const { code } = bench;
  let copied = 0;
  for (let index = 0; index < CASES; index++) {
    const at = random(PAGE_BYTES - CODE_BYTES);
    for (let byte = 0; byte < CODE_BYTES; byte++) code[at + byte] = random(256);
    const first = bench.decode(at);
    if (!first || first.shapeBytes === 0) continue;
    bench.learn(first, at);
    const again = random(PAGE_BYTES - CODE_BYTES);
    code.copyWithin(again, at, at + first.shapeBytes);
    for (let byte = first.shapeBytes; byte < CODE_BYTES; byte++) code[again + byte] = random(256);
    const second = bench.decode(again)!;
    const { slots } = bench.known(again);
    if (slots.length === 0) continue;
    copied++;
    assert.equal(immediateBytesOf(second), immediateBytesOf(first));
    assert.equal(slots[0], bench.slotOf(second, again), Buffer.from(code.subarray(again, again + second.lengthBytes)).toString('hex'));
  }
  assert.ok(copied > CASES / 20, `${copied} of ${CASES}`);
});

test('a run of known instructions ends where control does not go on, where the host has to do something, and at the page\'s end', () => {
  const bench = learned(ADD_RCX_8, RETURN, CPUID);
  bench.code.set([...ADD_RCX_8, ...ADD_RCX_8, ...RETURN, ...ADD_RCX_8], 0);
  assert.deepEqual([bench.known(0, 16).slots.length, bench.known(0, 16).why], [3, DECODE_END.Ends]);
  assert.deepEqual([bench.known(0, 2).slots.length, bench.known(0, 2).why], [2, DECODE_END.Last], 'as many as are wanted');
  bench.code.set([...ADD_RCX_8, ...CPUID, ...ADD_RCX_8], 0);
  assert.deepEqual([bench.known(0, 16).slots.length, bench.known(0, 16).why], [2, DECODE_END.Last]);
  assert.deepEqual([bench.known(0, 16, 0, 4).slots.length, bench.known(0, 16, 0, 4).why], [1, DECODE_END.Last]);
  assert.deepEqual([bench.known(0, 16, 0, 3).slots.length, bench.known(0, 16, 0, 3).why], [0, DECODE_END.None], 'part of one');
  bench.code.set([0x48, 0x83, 0xc2, 0x08], 4);
  assert.deepEqual([bench.known(0, 16).slots.length, bench.known(0, 16).why], [1, DECODE_END.None], 'another register');
});

test('a run of known instructions ends where a block begins', () => {
  const bench = learned(ADD_RCX_8);
  for (let index = 0; index < 4; index++) bench.code.set(ADD_RCX_8, index * 4);
  const entry = hashPlace(0, RAM + 8, BLOCK_HASH);
  bench.view.setInt32(entry, RAM + 8, true);
  bench.view.setInt32(entry + 4, 64, true);
  assert.equal(bench.known(0, 4).slots.length, 4, 'not one of another tag');
  bench.view.setInt32(CPU.blockTag, 64, true);
  assert.equal(bench.known(0, 4).slots.length, 2);
  assert.equal(bench.known(8, 2).slots.length, 2, 'not the one that is being made');
  assert.equal(bench.known(8, 2, 1).slots.length, 0);
});

test('what raises an exception here, or has a displacement of its own kind, is not known', () => {
  const bench = learned(LOAD_NEAR, ADD_FLOATS);
  bench.code.set(ADD_FLOATS);
  assert.equal(bench.known(0).slots.length, 1);
  for (const tag of [BLOCK_TAG.sseUndefined, BLOCK_TAG.sseAbsent]) {
    bench.view.setInt32(CPU.blockTag, 64 | tag, true);
    assert.equal(bench.known(0).slots.length, 0);
  }
  bench.code.set(LOAD_NEAR);
  assert.equal(bench.known(0).slots.length, 1, '0x7ffffff8 and 7 bytes of the instruction');
  bench.code.set(LOAD_NEAR, 0x20);
  assert.equal(bench.known(0x20).slots.length, 0);
});

test('a table is restored as it was saved, and no other bytes are one', () => {
  const bench = learned(ADD_RCX_8, ADD_FLOATS, RETURN);
  const saved = bench.table.save();
  const other = createBench();
  for (const bytes of [new Uint8Array(4), saved.subarray(0, saved.length - 1), Uint8Array.from(saved, (byte, index) => (index === 2 ? 1 : byte))]) assert.equal(other.table.restore(bytes), false);
  assert.equal(other.table.shapeCount, 0);
  assert.equal(other.table.restore(saved), true);
  assert.deepEqual(other.table.save(), saved);
  other.code.set([...ADD_RCX_8, ...ADD_FLOATS, ...RETURN]);
  assert.equal(other.known(0, 16).slots.length, 3);
});
