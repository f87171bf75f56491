import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildInterpreter, type CompilePolicy, machineMemory } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { createBareVcpu, createSharedMachine, RAM_BYTES, runBare } from '../smp/bare-vcpu.ts';

const AT_ONCE = { hotCount: 5, doublingsMax: 0, batchRegions: 1, batchSlices: 1 };
/** Regions of one instruction, once what they lead to has run too: all they do is go on in one another. */
const SHORT = { ...AT_ONCE, regionInstructionsMax: 1 };
const ROUNDS = 20_000;
const CODE = 0x10000;
/** A linear page that is FIRST in RAM and may become SECOND, and the tables that say so. */
const CALLED = 0x200000;
const [FIRST, SECOND] = [0x20000, 0x30000];
const [DIRECTORY, TABLE] = [0x3000, 0x5000];
const [BEFORE, AFTER] = [3, 5];
const PRESENT_WRITABLE = 3;
const POINTER = 0x18000;

const { bytes, ...image } = buildInterpreter();
const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);

const relative = (opcode: readonly number[], target: number, from: number) => [...opcode, ...new Uint8Array(Int32Array.of(target - (from + opcode.length + 4)).buffer)];
const add = (added: number) => [0x48, 0x83, 0xc0, added]; // add rax, added
const RET = 0xc3;

/** Runs `code` ROUNDS times, then `change`, and `code` ROUNDS times again; what RAX is then. `code` adds to it. */
function run(policy: CompilePolicy, code: readonly number[], change: readonly number[], pages: ReadonlyMap<number, readonly number[]>, own: readonly (readonly [register: number, value: number])[] = []): bigint {
  const shared = createSharedMachine(1);
  const memory = new GuestMemory(shared.memory, machineMemory(1, RAM_BYTES).ramAddress, RAM_BYTES);
  memory.writeU64(DIRECTORY + 8, BigInt(TABLE | PRESENT_WRITABLE));
  memory.writeU64(TABLE, BigInt(FIRST | PRESENT_WRITABLE));
  memory.writeU64(POINTER, BigInt(FIRST));
  for (const [address, content] of pages) memory.write(address, Uint8Array.from(content));
  memory.write(CODE, Uint8Array.of(
    ...code, // again:
    0xff, 0xc9, // dec ecx
    0x75, 0x100 - code.length - 4, // jnz again
    0x85, 0xd2, // test edx, edx
    0x75, 0x02, // jnz +2
    0x0f, 0x0b, // ud2
    ...change,
    0x87, 0xd1, // xchg ecx, edx
    0x31, 0xd2, // xor edx, edx
    0xeb, 0x100 - code.length - change.length - 16, // jmp again
  ));
  const vcpu = createBareVcpu(shared, 0, { image, module }, policy);
  const registers = new Map([[1, ROUNDS], [2, ROUNDS], [4, 0x8000], [5, TABLE], [6, SECOND | PRESENT_WRITABLE], [7, CALLED], [8, POINTER], [9, SECOND], ...own]);
  const gpr = Array.from({ length: 16 }, (_, index) => BigInt(registers.get(index) ?? 0));
  const end = runBare(vcpu, CODE, gpr);
  assert.ok(vcpu.compiledCode.liveRegions > 0, 'the loop is compiled');
  return end.gpr[0]!;
}

const EXPECTED = BigInt(ROUNDS * (BEFORE + AFTER));
const there = relative([0xe9], CALLED, CODE); // jmp CALLED
const addAndBack = (added: number) => [...add(added), ...relative([0xe9], CODE + there.length, CALLED + add(added).length)];
const jumpedTo = new Map([[FIRST, addAndBack(BEFORE)], [SECOND, addAndBack(AFTER)]]);

const writeEntry = [0x48, 0x89, 0x75, 0x00]; // mov [rbp], rsi
const INVLPG = [0x0f, 0x01, 0x3f]; // invlpg [rdi]
const LOAD_CR3 = [0x41, 0x0f, 0x20, 0xda, 0x41, 0x0f, 0x22, 0xda]; // mov r10, cr3; mov cr3, r10

for (const [name, drop] of [['INVLPG', INVLPG], ['CR3', LOAD_CR3]] as const) {
  test(`a region does not go on in code that is not mapped there any more, after ${name}`, () => {
    assert.equal(run(SHORT, there, [...writeEntry, ...drop], jumpedTo), EXPECTED);
  });
  test(`a region is not entered where another page of its own is not mapped any more, after ${name}`, () => {
    assert.equal(run(AT_ONCE, there, [...writeEntry, ...drop], jumpedTo), EXPECTED);
  });
}

test('a region does not go on in code that has changed', () => {
  const write = [0xc6, 0x47, 0x03, AFTER]; // mov byte [rdi + 3], AFTER
  assert.equal(run(SHORT, there, write, jumpedTo), EXPECTED);
});

test('a call through a pointer goes where that points, also after it has changed', () => {
  const call = relative([0xff, 0x15], POINTER, CODE); // call [POINTER]
  const point = [0x4d, 0x89, 0x08]; // mov [r8], r9
  const functions = new Map([[FIRST, [...add(BEFORE), RET]], [SECOND, [...add(AFTER), RET]]]);
  assert.equal(run(AT_ONCE, call, point, functions), EXPECTED);
});

test('a region that is mapped twice goes on behind the page where it was entered', () => {
  const PAGE = 0x1000;
  const entry = (page: number) => [...new Uint8Array(BigUint64Array.of(BigInt(page | PRESENT_WRITABLE)).buffer)];
  const [third, fourth] = [FIRST + PAGE, SECOND + PAGE];
  // The same page twice, and behind it another one each time.
  const pages = new Map([
    [TABLE + 8, entry(third)], [TABLE + 16, entry(FIRST)], [TABLE + 24, entry(fourth)],
    [FIRST, relative([0xe9], PAGE, 0)], [third, [...add(BEFORE), RET]], [fourth, [...add(AFTER), RET]],
  ]);
  const alternate = [0x4d, 0x87, 0xc8, 0x41, 0xff, 0xd0]; // xchg r8, r9; call r8
  assert.equal(run({ ...AT_ONCE, regionInstructionsMax: 3 }, alternate, [0x90], pages, [[8, CALLED], [9, CALLED + 2 * PAGE]]), EXPECTED);
});
