import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_SLOT, REGION_WORDS } from '../layout.ts';
import { ArchivedCode } from './archived-code.ts';
import { RegionArchive } from './region-archive.ts';
import { encodeRegion, entryKey, type SavedRegion } from './saved-region.ts';
import type { VcpuCode } from './vcpu-code.ts';

const TAG = 0x40;
const ENTRY = 0x10;
const CODE = Uint8Array.of(0x90, 0x90, 0xeb, 0xfc);
/** Where in the table the archive's regions begin. */
const FIRST_INDEX = 100;
/** Two pages with the same code, and where RAM lies behind the vCPU's words. */
const [HERE, THERE] = [0x2000, 0x5000];
const RAM_ADDRESS = REGION_WORDS.offset + 4 * REGION_WORDS.count;

/** Leads to itself, to a block on its page and to one on the next. */
function makeMachine(): { readonly ram: Uint8Array; readonly words: Int32Array; readonly code: ArchivedCode } {
  const buffer = new SharedArrayBuffer(RAM_ADDRESS + 0x10000);
  const ram = new Uint8Array(buffer, RAM_ADDRESS);
  for (const page of [HERE, THERE]) ram.set(CODE, page + ENTRY);
  const places = [ENTRY, 0x80, 0x1004].map((of, at) => ({ at: 6 * at + 1, kind: 'slot', of }) as const);
  const region: SavedRegion = {
    entry: ENTRY, blockTag: TAG, key: entryKey(ram, HERE + ENTRY), instructionCount: 3, isGrown: false, pages: [0, 1], runs: [{ offset: ENTRY, bytes: CODE }], locals: [], hints: [],
    places, code: new Uint8Array(18),
  };
  const code = new ArchivedCode(ram, 0);
  code.open(new RegionArchive(undefined, [encodeRegion(region)]).tables, 1, FIRST_INDEX);
  return { ram, words: new Int32Array(buffer, REGION_WORDS.offset, REGION_WORDS.count), code };
}

/** The entry at a page, with the page that follows it in RAM or none; of the blocks there are those of `slots`. */
const at = (page: number, slots: Readonly<Record<number, number>>, hasNext = true) => ({
  entryGpa: page + ENTRY,
  blockTag: TAG,
  pageStart: (relative: number) => (relative === 0 ? page : hasNext ? page + 0x1000 : -1),
  slotOf: (offset: number) => slots[offset],
}) as unknown as VcpuCode;

test('a region is entered where its code is, and its words name pages and blocks there', () => {
  const { words, code, ram } = makeMachine();
  assert.ok(code.mayHave(HERE + ENTRY, TAG));
  assert.ok(!code.mayHave(HERE + ENTRY + 1, TAG));
  const found = code.find(7, at(HERE, { [ENTRY]: 7, 0x80: 0 }));
  assert.deepEqual(found, { tableIndex: FIRST_INDEX, pageStarts: [HERE, HERE + 0x1000], isGrown: false });
  assert.deepEqual([...words.subarray(0, 5)], [RAM_ADDRESS + HERE, RAM_ADDRESS + HERE + 0x1000, 7, NO_SLOT, NO_SLOT]);
  assert.equal(ram.byteOffset, RAM_ADDRESS);
});

test('blocks that are decoded later are led to, as long as the region is in use', () => {
  const { words, code } = makeMachine();
  code.find(7, at(HERE, { [ENTRY]: 7 }));
  code.leadTo(8, HERE + 0x80, TAG);
  code.leadTo(9, HERE + 0x1004, TAG + 1);
  assert.deepEqual([...words.subarray(2, 5)], [7, 8, NO_SLOT]);
  code.leadTo(10, HERE + 0x1004, TAG);
  code.leadTo(11, HERE + 0x80, TAG);
  assert.deepEqual([...words.subarray(2, 5)], [7, 11, 10]);
  assert.ok(code.release(FIRST_INDEX));
  assert.ok(code.find(12, at(THERE, { [ENTRY]: 12 })));
  code.leadTo(13, HERE + 0x80, TAG);
  assert.deepEqual([...words.subarray(2, 5)], [12, NO_SLOT, NO_SLOT]);
});

test('a region is in use at one place at a time', () => {
  const { code } = makeMachine();
  assert.ok(code.find(7, at(HERE, {})));
  assert.equal(code.find(12, at(THERE, {})), undefined);
  assert.ok(!code.isWorthTrying(12));
  assert.ok(!code.release(FIRST_INDEX - 1));
  assert.ok(!code.release(FIRST_INDEX + 1));
  code.release(FIRST_INDEX);
  assert.ok(code.find(13, at(THERE, {})));
});

test('other code is not taken, and pages that are not mapped are waited for a while', () => {
  const { ram, code } = makeMachine();
  for (let tries = 0; tries < 3; tries++) {
    assert.ok(code.isWorthTrying(7));
    assert.equal(code.find(7, at(HERE, {}, false)), undefined);
  }
  assert.ok(!code.isWorthTrying(7));
  ram[HERE + ENTRY + 3]! ^= 1;
  assert.equal(code.find(8, at(HERE, {})), undefined);
  assert.ok(!code.isWorthTrying(8));
});
