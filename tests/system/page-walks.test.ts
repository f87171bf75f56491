import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildInterpreter, machineMemory } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { Random } from '../conformance/random.ts';
import { createBareVcpu, createSharedMachine, RAM_BYTES } from '../smp/bare-vcpu.ts';

const CASES = Number(process.env['HANOK_WALKS'] ?? 3000);
const SEED = Number(process.env['HANOK_WALK_SEED'] ?? 1);
const NEVER = { hotCount: 1_000_000, doublingsMax: 0, batchRegions: 1, batchSlices: 1 };

/** Bits of page-table entries, CR0, CR4, EFER, RFLAGS and error codes (SDM vol. 3A §2.5, §4.5, §4.7). */
const [P, W, U, A, D, PS, G, RESERVED, NX] = [1n, 2n, 4n, 0x20n, 0x40n, 0x80n, 0x100n, 1n << 45n, 1n << 63n];
const CR0 = { always: 0x8000_0033n, WP: 0x1_0000n };
const CR4 = { always: 0x620n, PGE: 0x80n, SMEP: 1n << 20n, SMAP: 1n << 21n };
const EFER = { always: 0x500n, NXE: 0x800n };
const AC = 0x4_0000n;
const ERROR = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 };
const [UD, PF] = [6, 14];
const UD2 = [0x0f, 0x0b];

/** Tables of the tried address: root, and those below. The code is mapped twice, for the supervisor and (2 MiB higher) the user. */
const [ROOT, POINTERS, DIRECTORY, TABLE] = [0x1000, 0x4000, 0x5000, 0x6000];
const USER_CODE = 0x20_0000n;
const CODE = { read: 0x10000, write: 0x10100, fetch: 0x10200 };
/** Guest-physical pages with data: those that large pages lead to, and those of 4 KiB. */
const [LARGE_FRAME, SMALL_FRAME] = [0x40000, 0x50000];
const TRIED = 0xffff_8100_4000_0000n;
const WRITTEN = 0x1122_3344_5566_7788n;

type Kind = keyof typeof CODE;
const KINDS = Object.keys(CODE) as Kind[];

const { bytes, ...image } = buildInterpreter();
const shared = createSharedMachine(1);
const memory = new GuestMemory(shared.memory, machineMemory(1, RAM_BYTES).ramAddress, RAM_BYTES);
const vcpu = createBareVcpu(shared, 0, { image, module: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>) }, NEVER);
memory.write(CODE.read, Uint8Array.of(0x48, 0x8b, 0x03, ...UD2)); // mov rax, [rbx]
memory.write(CODE.write, Uint8Array.of(0x48, 0x89, 0x03, ...UD2)); // mov [rbx], rax
memory.write(CODE.fetch, Uint8Array.of(0xff, 0xe3)); // jmp rbx, to ud2
memory.writeU64(0x2000, 0x3007n);
memory.writeU64(ROOT, 0x2007n);
memory.writeU64(0x3008, PS | U | W | P);

interface Case {
  readonly kind: Kind;
  readonly user: boolean;
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly rflags: bigint;
  readonly page: number;
  /** From the root's down. */
  readonly entries: readonly bigint[];
}

function randomCase(random: Random): Case {
  const chance = (percent: number) => random.below(100) < percent;
  const some = (bits: bigint, percent: number) => (chance(percent) ? bits : 0n);
  const page = random.below(8);
  const entry = (frame: number, level: number) =>
    (BigInt(frame) | some(P, 97) | some(W, 85) | some(U, 60) | some(A, 85) | some(D, 80) | some(G, 30) | some(NX, 8) | some(RESERVED, 2) | some(PS, level === 4 ? 2 : 10));
  const pointers = entry(POINTERS, 4);
  const [pointer, directory] = [entry(DIRECTORY, 3), entry(TABLE, 2)].map((value) => (value & PS ? value & ~0xf000n : value)) as [bigint, bigint];
  const user = chance(50);
  return {
    kind: random.pick(KINDS), user, page,
    cr0: CR0.always | some(CR0.WP, 70), cr4: CR4.always | some(CR4.PGE, 50) | some(CR4.SMEP, 50) | some(CR4.SMAP, 50),
    efer: EFER.always | some(EFER.NXE, 90), rflags: 2n | some(AC, 30),
    entries: [pointers, pointer, directory, entry(SMALL_FRAME + page * 0x1000, 1) & ~PS],
  };
}

/** What the manual says of the access: the page that it reaches, or the error code of its page fault; and the entries it uses. */
function expected({ kind, user, cr0, cr4, efer, rflags, page, entries }: Case): { page?: number; errorCode?: number; used: number } {
  const base = (kind === 'write' ? ERROR.write : 0) | (user ? ERROR.user : 0) | (kind === 'fetch' && (efer & EFER.NXE || cr4 & CR4.SMEP) ? ERROR.fetch : 0);
  let [allowed, noExecute] = [W | U, false];
  for (const [index, entry] of entries.entries()) {
    if (!(entry & P)) return { errorCode: base, used: 0 };
    if (entry & RESERVED || (entry & NX && !(efer & EFER.NXE)) || (index === 0 && entry & PS)) return { errorCode: base | ERROR.present | ERROR.reserved, used: 0 };
    allowed &= entry;
    noExecute ||= (entry & NX) !== 0n;
    if (index < 3 && !(entry & PS)) continue;
    const isUserPage = (allowed & U) !== 0n;
    const refused =
      (user && !isUserPage) ||
      (kind === 'fetch' && (noExecute || (!user && isUserPage && (cr4 & CR4.SMEP) !== 0n))) ||
      (kind !== 'fetch' && !user && isUserPage && (cr4 & CR4.SMAP) !== 0n && !(rflags & AC)) ||
      (kind === 'write' && !(allowed & W) && (user || (cr0 & CR0.WP) !== 0n));
    if (refused) return { errorCode: base | ERROR.present, used: 0 };
    return { page: (index === 3 ? SMALL_FRAME : LARGE_FRAME) + page * 0x1000, used: index + 1 };
  }
  throw new Error('the last entry ends each walk');
}

const entryAddresses = (page: number) => [ROOT + 0x102 * 8, POINTERS + 8, DIRECTORY, TABLE + (0x40 + page) * 8];

function run({ kind, user, cr0, cr4, efer, rflags, page }: Case) {
  const flat = (access: number) => ({ selector: user ? 0x1b : 8, base: 0n, limit: 0xffff_ffff, access: user ? access | 0x60 : access });
  const data = flat(0xc093);
  const gpr = Array.from({ length: 16 }, (_, index) => (index === 3 ? TRIED + BigInt((0x40 + page) * 0x1000) : index === 0 ? WRITTEN : 0n));
  vcpu.setState({
    gpr, rip: BigInt(CODE[kind]) + (user ? USER_CODE : 0n), rflags, cr0, cr3: BigInt(ROOT), cr4, efer, segments: [data, flat(0xa09b), data, data, data, data],
  });
  const stop = vcpu.run();
  assert.ok(stop.reason === 'exception');
  return { ...stop, rax: vcpu.getState().gpr[0]! };
}

test('walks of random page tables reach what the manual says', (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = new Random(SEED);
  const reached = { page: 0, fault: 0 };
  for (let index = 0; index < CASES; index++) {
    const tried = randomCase(random);
    const addresses = entryAddresses(tried.page);
    addresses.forEach((address, level) => memory.writeU64(address, tried.entries[level]!));
    for (let page = 0; page < 8; page++) for (const frame of [LARGE_FRAME, SMALL_FRAME]) memory.write(frame + page * 0x1000, Uint8Array.of(...UD2, 0, 0, 0, 0, frame >> 16, page));
    const { page, errorCode, used } = expected(tried);
    const end = run(tried);
    const what = `case ${index}: ${JSON.stringify(tried, (_, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}`;
    if (page === undefined) {
      reached.fault++;
      assert.deepEqual([end.vector, end.errorCode, end.cr2], [PF, errorCode, TRIED + BigInt((0x40 + tried.page) * 0x1000)], what);
      continue;
    }
    reached.page++;
    assert.equal(end.vector, UD, what);
    if (tried.kind === 'read') assert.equal(end.rax, memory.readU64(page), what);
    if (tried.kind === 'write') assert.equal(memory.readU64(page), WRITTEN, what);
    const set = (level: number) => (level >= used ? 0n : A | (level === used - 1 && tried.kind === 'write' ? D : 0n));
    assert.deepEqual(addresses.map((address) => memory.readU64(address)), tried.entries.map((entry, level) => entry | set(level)), what);
  }
  assert.ok(reached.page > CASES / 4 && reached.fault > CASES / 4, JSON.stringify(reached));
});
