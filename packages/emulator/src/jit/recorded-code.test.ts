import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder } from '@hanok/x86';
import { offsetOf } from './call-contexts.ts';
import type { CodeSource } from './control-flow.ts';
import { recordCode, recordedSource } from './recorded-code.ts';
import { regionBlocks } from './region-blocks.ts';

const ENTRY = 0xffa;
/** Over the end of a page: a call whose target has run, a branch whose target has not, an indirect jump. */
const CODE = [
  0x48, 0x83, 0xc0, 0x01, // ffa: add rax, 1
  0xe8, 0x0b, 0, 0, 0, // ffe: call 100e
  0x75, 0x20, // 1003: jnz 1025
  0xff, 0xe2, // 1005: jmp rdx
];
const CALLED = [0x31, 0xc9, 0xc3]; // xor ecx, ecx; ret
const CASE = [0x90, 0xc3]; // nop; ret
const [CALLED_AT, CASE_AT] = [0x100e, 0x1018];

function source(): CodeSource {
  const ram = new Uint8Array(0x4000);
  ram.set(CODE, ENTRY);
  ram.set(CALLED, CALLED_AT);
  ram.set(CASE, CASE_AT);
  return {
    ram,
    decoder: new Decoder(),
    pageStart: (page) => (page === 0 || page === 1 ? page * 0x1000 : -1),
    slotOf: (offset) => (offset === CALLED_AT ? 0x8000 : undefined),
    hasRegion: () => false,
    jumpTargets: () => [CASE_AT],
    weightOf: () => 1,
    works: () => true,
  };
}

const starts = (code: CodeSource) => regionBlocks(code, ENTRY, 128).blocks.map(({ start, instructions, next, target, returns }) => ({ start, count: instructions.length, next, target, returns }));

test('recorded code is followed as it was seen', () => {
  const seen = source();
  const recorded = recordCode(seen, ENTRY, 128, { blockTag: 0 });
  assert.ok(recorded);
  const again = recordedSource(structuredClone(recorded), seen.ram, new Decoder(), () => true);
  assert.deepEqual(starts(again), starts(source()));
  assert.deepEqual(starts(again).map(({ start }) => offsetOf(start)).toSorted((a, b) => a - b), [ENTRY, 0x1003, 0x1005, CALLED_AT, CASE_AT]);
});

test('code that changed since is followed without harm', () => {
  const seen = source();
  const recorded = recordCode(seen, ENTRY, 128, { blockTag: 0 })!;
  for (let value = 0; value < 256; value++) {
    seen.ram.fill(value, ENTRY, ENTRY + 32);
    const { blocks } = regionBlocks(recordedSource(recorded, seen.ram, new Decoder(), () => true), ENTRY, 128);
    assert.ok(blocks.length === 0 || blocks[0]!.start === ENTRY);
  }
});

test('there is nothing to record where the first instruction cannot be compiled', () => {
  assert.equal(recordCode({ ...source(), works: () => false }, ENTRY, 128, { blockTag: 0 }), undefined);
});
