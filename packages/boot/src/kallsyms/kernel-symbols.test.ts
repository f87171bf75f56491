import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestMemory } from '@hanok/machine';
import { findKernelSymbols } from './kernel-symbols.ts';

const WASM_PAGES = 16;
const BASE = 0x81000000;
const COUNT = 600;

const word = (value: number) => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
const pad = (bytes: number[], alignment: number) => [...bytes, ...Array<number>(-bytes.length & (alignment - 1)).fill(0)];
const text = (value: string) => [...value].map((character) => character.charCodeAt(0));

/** Characters stand for themselves; three numbers that are none for pieces of names. */
const TOKENS = Array.from({ length: 256 }, (_, token) => (token === 1 ? 'Tstart_' : token === 2 ? '_of_' : token === 200 ? 'rather_a_long_piece_of_a_name_' : token >= 0x21 && token < 0x7f ? String.fromCharCode(token) : ''));

/** Symbol i is at 16 i behind the base, and some names need a length of two bytes. */
const nameOf = (index: number) => `start_${index}_of_${index % 50 === 0 ? 'rather_a_long_piece_of_a_name_'.repeat(3) : ''}${'x'.repeat(index % 50 === 1 ? 140 : 1)}`;

function compressedName(index: number): number[] {
  const bytes = [1, ...text(String(index)), 2, ...Array<number>(index % 50 === 0 ? 3 : 0).fill(200), ...text('x'.repeat(index % 50 === 1 ? 140 : 1))];
  return [...(bytes.length < 0x80 ? [bytes.length] : [0x80 | (bytes.length & 0x7f), bytes.length >> 7]), ...bytes];
}

interface Layout {
  readonly offsetsFirst: boolean;
  readonly perCpu: boolean;
  readonly sequenceBytes: number;
}

function tables({ offsetsFirst, perCpu, sequenceBytes }: Layout): number[] {
  const names: number[] = [];
  const markers: number[] = [];
  for (let index = 0; index < COUNT; index++) {
    if (index % 256 === 0) markers.push(...word(names.length));
    names.push(...compressedName(index));
  }
  const index: number[] = [];
  const tokens: number[] = [];
  for (const token of TOKENS) {
    index.push(tokens.length & 0xff, tokens.length >> 8);
    tokens.push(...text(token), 0);
  }
  // With per-CPU symbols the first one is such, and the others count down from the base.
  const offset = (symbol: number) => (perCpu ? (symbol === 0 ? 0x4000 : -1 - symbol * 16) : symbol * 16);
  const offsets = pad(Array.from({ length: COUNT }, (_, symbol) => word(offset(symbol))).flat(), 8);
  const base = [...word(BASE), ...word(0xffffffff)];
  const sequence = pad(Array<number>(sequenceBytes * COUNT).fill(7), 8);
  const middle = [...pad(word(COUNT), 8), ...pad(names, 8), ...pad(markers, 8), ...sequence, ...pad(tokens, 8), ...pad(index, 8)];
  return offsetsFirst ? [...offsets, ...base, ...middle] : [...middle, ...offsets, ...base];
}

function memoryWith(bytes: readonly number[], at: number): GuestMemory {
  const memory = new WebAssembly.Memory({ initial: WASM_PAGES, maximum: WASM_PAGES, shared: true });
  const ram = new GuestMemory(memory, 65536, (WASM_PAGES - 1) * 65536);
  ram.write(at, Uint8Array.from(bytes));
  return ram;
}

const LAYOUTS: Readonly<Record<string, Layout>> = {
  'Linux 6.1': { offsetsFirst: true, perCpu: true, sequenceBytes: 0 },
  'Linux 6.1 with an alphabetical order': { offsetsFirst: true, perCpu: true, sequenceBytes: 3 },
  'Linux 6.12': { offsetsFirst: false, perCpu: true, sequenceBytes: 0 },
  'without per-CPU symbols': { offsetsFirst: false, perCpu: false, sequenceBytes: 0 },
};

for (const [name, layout] of Object.entries(LAYOUTS)) {
  test(`finds a kernel's symbols: ${name}`, () => {
    const symbols = findKernelSymbols(memoryWith(tables(layout), 0x12348));
    assert.ok(symbols);
    assert.equal(symbols.count, COUNT);
    for (const index of [1, 2, 50, 51, 255, 256, 511, 512, COUNT - 2]) {
      assert.deepEqual(symbols.find(BASE + index * 16), { name: nameOf(index), offset: 0 });
      assert.deepEqual(symbols.find(BASE + index * 16 + 15), { name: nameOf(index), offset: 15 });
    }
    assert.equal(symbols.find(BASE - 1), undefined);
    assert.equal(symbols.find(BASE + COUNT * 16), undefined);
    assert.deepEqual(symbols.find(BASE), layout.perCpu ? undefined : { name: nameOf(0), offset: 0 });
  });
}

test('memory without a table has no symbols', () => {
  assert.equal(findKernelSymbols(memoryWith([], 0)), undefined);
  assert.equal(findKernelSymbols(memoryWith(text([...'0123456789'].map((digit) => `${digit}\0`).join('')), 64)), undefined);
});

test('a damaged table is none or another, never an error', () => {
  const good = tables(LAYOUTS['Linux 6.1']!);
  const seed = Date.now() & 0xffff;
  let random = seed;
  for (let round = 0; round < 150; round++) {
    const bad = [...good];
    for (let change = 0; change < 3; change++) {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      bad[random % bad.length] = (random >>> 8) & 0xff;
    }
    const at = random & 0xfff8;
    try {
      findKernelSymbols(memoryWith(bad, at))?.find(BASE + 32);
    } catch (error) {
      assert.fail(`seed ${seed}, round ${round}: ${String(error)}`);
    }
  }
});
