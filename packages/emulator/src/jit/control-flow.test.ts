import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Decoded, Decoder, RET } from '@hanok/x86';
import { offsetOf } from './call-contexts.ts';
import { type CodeSource, followControlFlow } from './control-flow.ts';

const RET_CODE = [0xc3];
const call = (from: number, to: number) => [0xe8, ...new Uint8Array(Int32Array.of(to - from - 5).buffer)];

interface Given {
  readonly code: Readonly<Record<number, readonly number[]>>;
  readonly returns?: Readonly<Record<number, readonly number[]>>;
  readonly weights?: Readonly<Record<number, number>>;
}

function source({ code, returns = {}, weights = {} }: Given): CodeSource {
  const ram = new Uint8Array(0x1000);
  for (const [at, bytes] of Object.entries(code)) ram.set(bytes, Number(at));
  return {
    ram,
    decoder: new Decoder(),
    pageStart: (page) => (page === 0 ? 0 : -1),
    slotOf: (offset) => 0x8000 + offset * 32,
    hasRegion: () => false,
    jumpTargets: (offset: number, decoded: Decoded) => (decoded.row.insn === RET ? (returns[offset] ?? []) : []),
    weightOf: (offset) => weights[offset] ?? 1,
    works: () => true,
  };
}

const FUNCTION = 0x100;
/** Where each return of a region leads, as offsets. */
function returnsOf(given: Given, entry = 0, instructionsMax = 128): number[][] {
  const returns = new Set<number>();
  const { reached, jumps } = followControlFlow(source(given), entry, instructionsMax, (offset, { row }) => row.insn === RET && returns.add(offset));
  return [...reached.keys()].filter((at) => returns.has(offsetOf(at))).map((at) => (jumps.get(at) ?? []).map(offsetOf));
}

test('a function returns to the call it was reached through', () => {
  const code = { 0: [...call(0, FUNCTION), ...call(5, FUNCTION), ...RET_CODE], [FUNCTION]: [0x90, ...RET_CODE] };
  assert.deepEqual(returnsOf({ code }), [[5], [10], []]);
});

test('a function that calls itself is one, which returns behind both calls', () => {
  const code = { 0: [...call(0, FUNCTION), ...RET_CODE], [FUNCTION]: [0x74, 5, ...call(FUNCTION + 2, FUNCTION), ...RET_CODE] };
  const [inner, outer] = returnsOf({ code });
  assert.deepEqual(inner!.toSorted((a, b) => a - b), [5, FUNCTION + 7]);
  assert.deepEqual(outer, []);
});

test('out of its first function a region goes on where that was seen to return to', () => {
  // A loop whose body is a function: the region begins in the function.
  const code = { 0: [...call(0, FUNCTION), 0xeb, 0xf9], [FUNCTION]: [0x90, ...RET_CODE] };
  const given = { code, returns: { [FUNCTION + 1]: [5] } };
  const { reached } = followControlFlow(source(given), FUNCTION, 128);
  assert.deepEqual(returnsOf(given, FUNCTION), [[5], [5]], 'the loop is closed by the call in it');
  assert.deepEqual([...reached.keys()].map(offsetOf), [FUNCTION, FUNCTION + 1, 5, 0, FUNCTION, FUNCTION + 1]);
});

test('what does not run is not reached, and what runs most is first', () => {
  const code = { 0: [0x74, 0x10, 0x90, ...RET_CODE], 0x12: RET_CODE };
  const reachedWith = (weights: Readonly<Record<number, number>>, instructionsMax = 128) => {
    const { reached, slots } = followControlFlow(source({ code, weights }), 0, instructionsMax);
    return { reached: [...reached.keys()].map(offsetOf), canGoOn: slots.has(0x12) };
  };
  assert.deepEqual(reachedWith({ 0x12: 0 }), { reached: [0, 2, 3], canGoOn: true });
  assert.deepEqual(reachedWith({ 0x12: 5, 2: 4 }, 2), { reached: [0, 0x12], canGoOn: true });
  assert.deepEqual(reachedWith({ 0x12: 5, 2: 6 }, 3), { reached: [0, 2, 3], canGoOn: true });
});

test('calls within calls end where the region does', () => {
  // Each function calls the next one twice.
  const code: Record<number, number[]> = {};
  for (let depth = 0; depth < 12; depth++) {
    const at = depth * 0x20;
    code[at] = [...call(at, at + 0x20), ...call(at + 5, at + 0x20), ...RET_CODE];
  }
  const { reached } = followControlFlow(source({ code }), 0, 384);
  assert.equal(reached.size, 384);
});
