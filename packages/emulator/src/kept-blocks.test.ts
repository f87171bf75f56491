import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journalWords, KeptBlocks, makeKeptBlocks } from './kept-blocks.ts';

const TAG = 0x40;
/** Bytes of code of each block, and words of its slots. */
const [CODE_BYTES, SLOT_WORDS] = [7, 16];
const GPA = 0x3010;
const TARGET = 64;

const makeRam = (seed: number) => Uint8Array.from({ length: 0x5000 }, (_, at) => (at * 7 + (at >> 8) + seed) & 0xff);
const slotsOf = (number: number) => Int32Array.from({ length: SLOT_WORDS }, (_, index) => number * 1000 + index);

/** A machine's journal with the blocks at these addresses, each with slots of its own number. */
function journalOf(ram: Uint8Array, gpas: readonly number[], words = 10_000): Int32Array {
  const journal = new Int32Array(words);
  const blocks = new KeptBlocks(undefined, journal);
  gpas.forEach((gpa, number) => blocks.note(ram, gpa, CODE_BYTES, TAG, slotsOf(number), 0, SLOT_WORDS * 4));
  blocks.settle();
  return journal;
}

/** The slots that are found for a block. */
function copyOf(words: Int32Array, ram: Uint8Array, gpa: number, tag = TAG): Int32Array | undefined {
  const target = new Int32Array(100);
  const end = new KeptBlocks(words).copy(ram, gpa, tag, target, TARGET);
  return end === TARGET ? undefined : target.slice(TARGET / 4, end / 4);
}

test('a block is found by its code, its offset in the page and its tag, on whatever page', () => {
  const ram = makeRam(0);
  const words = makeKeptBlocks(undefined, journalOf(ram, [GPA]));
  assert.deepEqual(copyOf(words, ram, GPA), slotsOf(0));
  assert.equal(copyOf(words, ram, GPA, TAG | 0x100), undefined);
  assert.equal(copyOf(words, ram, GPA + 1), undefined);
  const code = ram.slice(GPA, GPA + CODE_BYTES + 5);
  ram.set(code, GPA - 0x1000);
  ram.set(code, GPA + 0x20);
  assert.deepEqual(copyOf(words, ram, GPA - 0x1000), slotsOf(0));
  assert.equal(copyOf(words, ram, GPA + 0x20), undefined);
  for (let at = 0; at < CODE_BYTES; at++) {
    ram[GPA + at]! ^= 0x10;
    assert.equal(copyOf(words, ram, GPA), undefined, `byte ${at}`);
    ram[GPA + at]! ^= 0x10;
  }
});

test('a block that ends where a page does is found there alone', () => {
  const ram = makeRam(0);
  const gpa = 0x4000 - CODE_BYTES;
  const words = makeKeptBlocks(undefined, journalOf(ram, [gpa]));
  assert.deepEqual(copyOf(words, ram, gpa), slotsOf(0));
  ram.copyWithin(0x2000 - CODE_BYTES + 1, gpa, 0x4000);
  assert.equal(copyOf(words, ram, 0x2000 - CODE_BYTES + 1), undefined);
});

test('the blocks of several machines are found together', () => {
  const ram = makeRam(3);
  const gpas = Array.from({ length: 200 }, (_, number) => 0x1000 + number * 16);
  const others = Array.from({ length: 100 }, (_, number) => 0x3000 + number * 16);
  const words = makeKeptBlocks(makeKeptBlocks(undefined, journalOf(ram, gpas)), journalOf(ram, others));
  gpas.forEach((gpa, number) => assert.deepEqual(copyOf(words, ram, gpa), slotsOf(number)));
  others.forEach((gpa, number) => assert.deepEqual(copyOf(words, ram, gpa), slotsOf(number)));
  assert.equal(copyOf(words, ram, 0x4800), undefined);
});

test('a journal that is full takes no more', () => {
  const ram = makeRam(0);
  const journal = journalOf(ram, [GPA, GPA + 16, GPA + 32], 60);
  const words = makeKeptBlocks(undefined, journal);
  assert.ok(journalWords(journal) < 60);
  assert.deepEqual(copyOf(words, ram, GPA + 16), slotsOf(1));
  assert.equal(copyOf(words, ram, GPA + 32), undefined);
});

test('blocks of a slice in which code was written are not kept', () => {
  const ram = makeRam(0);
  const journal = new Int32Array(1000);
  const blocks = new KeptBlocks(undefined, journal);
  const note = (gpa: number, number: number) => blocks.note(ram, gpa, CODE_BYTES, TAG, slotsOf(number), 0, SLOT_WORDS * 4);
  note(GPA, 0);
  blocks.settle();
  note(GPA + 16, 1);
  blocks.unsettle();
  note(GPA + 32, 2);
  blocks.settle();
  note(GPA + 48, 3);
  const words = makeKeptBlocks(undefined, journal);
  assert.deepEqual([0, 16, 32, 48].map((offset) => copyOf(words, ram, GPA + offset)), [slotsOf(0), undefined, slotsOf(2), undefined]);
});
