import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REGION_WORDS } from '../layout.ts';
import { ArchiveIndex } from './archive-index.ts';
import { RegionArchive } from './region-archive.ts';
import { UnsettledRegions } from './unsettled-regions.ts';
import { CodeRuns, decodeRegion, encodeRegion, entryKey, type SavedRegion, summaryBytes, summaryOf } from './saved-region.ts';

const ENTRY = 0xff0;
const TAG = 0x41;
/** The entry's page is the fourth of RAM and the next one lies before it. */
const PAGES = new Map([[0, 0x3000], [1, 0x1000]]);

/** Code over the end of a page. */
function makeRam(): Uint8Array {
  const ram = new Uint8Array(0x5000);
  for (let at = 0; at < 16; at++) ram[0x3000 + ENTRY + at] = at + 1;
  for (let at = 0; at < 16; at++) ram[0x1000 + at] = at + 17;
  return ram;
}

function makeRegion(ram: Uint8Array): SavedRegion {
  const runs = new CodeRuns();
  runs.add(ENTRY + 3, ram.slice(0x3000 + ENTRY + 3, 0x3000 + ENTRY + 7));
  runs.add(ENTRY, ram.slice(0x3000 + ENTRY, 0x3000 + ENTRY + 3));
  runs.add(ENTRY + 12, Uint8Array.of(...ram.slice(0x3ffc, 0x4000), ...ram.slice(0x1000, 0x1002)));
  return {
    entry: ENTRY, blockTag: TAG, key: entryKey(ram, 0x3000 + ENTRY), instructionCount: 3, isGrown: false, pages: [0, 1], runs: runs.runs(), locals: ['i32', 'v128', 'i64'],
    hints: [{ offset: 7, likely: true }, { offset: 9, likely: false }],
    places: [{ at: 1, kind: 'slot', of: -20 }, { at: 8, kind: 'page', of: 1 }, { at: 20, kind: 'slot', of: -20 }], code: Uint8Array.of(1, 2, 3),
  };
}

test('code is kept in runs that end where a page does, whatever the order it comes in', () => {
  const { runs } = makeRegion(makeRam());
  assert.deepEqual(runs.map(({ offset, bytes }) => [offset, [...bytes]]), [[ENTRY, [1, 2, 3, 4, 5, 6, 7]], [ENTRY + 12, [13, 14, 15, 16]], [0x1000, [17, 18]]]);
});

test('instructions that overlap are kept once', () => {
  const runs = new CodeRuns();
  runs.add(0, Uint8Array.of(1, 2, 3));
  runs.add(1, Uint8Array.of(2, 3, 4, 5));
  assert.deepEqual(runs.runs(), [{ offset: 0, bytes: Uint8Array.of(1, 2, 3, 4, 5) }]);
});

test('a region comes back from its bytes, and not from a part of them', () => {
  const region = makeRegion(makeRam());
  const bytes = encodeRegion(region);
  assert.deepEqual(decodeRegion(bytes), region);
  for (let length = 0; length < bytes.length; length++) assert.throws(() => decodeRegion(bytes.subarray(0, length)), RangeError);
  const { entry, blockTag, isGrown, pages, runs } = region;
  const summary = { entry, blockTag, isGrown, pages, runs, links: [-20] };
  assert.deepEqual(summaryOf(bytes), summary);
  assert.deepEqual(summaryOf(bytes.subarray(0, summaryBytes(bytes))), summary);
});

test('code is the same only where each byte of it is', () => {
  const ram = makeRam();
  const region = makeRegion(ram);
  const [candidate] = new ArchiveIndex(new RegionArchive(undefined, [encodeRegion(region)]).tables).withKey(region.key, TAG);
  const isSame = () => candidate!.hasCode(ram, (page) => PAGES.get(page) ?? -1);
  assert.ok(isSame());
  for (const { offset, bytes } of region.runs) {
    for (let index = 0; index < bytes.length; index++) {
      const page = Math.floor(offset / 0x1000);
      const at = PAGES.get(page)! + offset - page * 0x1000 + index;
      ram[at]! ^= 0x80;
      assert.ok(!isSame(), `byte ${offset + index}`);
      ram[at]! ^= 0x80;
    }
  }
  ram[0x3000 + ENTRY + 8]! ^= 0xff; // between the runs
  assert.ok(isSame());
  assert.ok(!candidate!.hasCode(ram, (page) => (page === 0 ? 0x3000 : -1)));
});

test('an archive gives what it was given, for the same code at the same place', () => {
  const ram = makeRam();
  const kept: Uint8Array[] = [];
  const first = new RegionArchive((bytes) => void kept.push(bytes));
  first.add(makeRegion(ram));
  first.add(makeRegion(ram));
  assert.equal(kept.length, 1, 'once');
  const archive = new RegionArchive(() => assert.fail('it is there'), kept);
  archive.add(makeRegion(ram));
  const index = new ArchiveIndex(archive.tables);
  const { entry, blockTag, isGrown, pages, runs } = makeRegion(ram);
  const candidates = index.candidates(ram, 0x3000 + ENTRY, TAG);
  assert.deepEqual(candidates.map(({ number, firstWord, summary }) => ({ number, firstWord, summary })), [{ number: 0, firstWord: 0, summary: { entry, blockTag, isGrown, pages, runs, links: [-20] } }]);
  assert.ok(candidates[0]!.beginsAt(ENTRY, TAG));
  assert.ok(!candidates[0]!.beginsAt(ENTRY + 1, TAG));
  assert.ok(index.has(ram, 0x3000 + ENTRY, TAG));
  assert.ok(!index.has(ram, 0x3000 + ENTRY, TAG + 1));
  assert.deepEqual(index.candidates(ram, 0x3000 + ENTRY, TAG + 1), []);
});

test('of many regions each is found by its key, the latest of several first, with words of its own', () => {
  const region = makeRegion(makeRam());
  const parts = Array.from({ length: 3000 }, (_, number) => encodeRegion({ ...region, key: (number % 1000) * 4096 - 7 }));
  const { tables } = new RegionArchive(() => {}, parts);
  const index = new ArchiveIndex(tables);
  for (let key = 0; key < 1000; key++) {
    const found = index.withKey(key * 4096 - 7, TAG).map(({ number, firstWord }) => ({ number, firstWord }));
    assert.deepEqual(found, [key, key + 1000, key + 2000].map((number) => ({ number, firstWord: 3 * number })));
  }
  assert.deepEqual(index.withKey(4096, TAG), []);
});

test('regions for whose words there is no room are left out', () => {
  const places = Array.from({ length: REGION_WORDS.count / 10 - 2 }, (_, of) => ({ at: 6 * of + 1, kind: 'slot', of }) as const);
  const bytes = encodeRegion({ ...makeRegion(makeRam()), places });
  assert.equal(new RegionArchive(undefined, Array.from({ length: 20 }, () => bytes)).regionCount, 10);
});

test('compiled regions go into the archive when their code proved right, and are forgotten otherwise', () => {
  const region = makeRegion(makeRam());
  const kept: number[] = [];
  const archive = new RegionArchive((bytes) => void kept.push(decodeRegion(bytes).key));
  const unsettled = new UnsettledRegions(archive);
  for (const id of [1, 2, 3]) unsettled.add(id, { ...region, key: id });
  unsettled.settle({ kept: [3], dropped: [1] });
  unsettled.settle({ kept: [1, 2, 3], dropped: [] });
  assert.deepEqual(kept, [3, 2]);
});
