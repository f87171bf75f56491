import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildInterpreter, vcpuBlockAddress } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { createBareVcpu, createSharedMachine, pageCountOf, RAM_BYTES, runBare } from '../smp/bare-vcpu.ts';

/** Regions of one instruction, once what they lead to has run too: all they do is go on in one another. */
const POLICY = { hotCount: 5, doublingsMax: 0, batchRegions: 1, batchSlices: 1, regionInstructionsMax: 1 };
const ROUNDS = 20_000;
const CODE = 0x10000;
/** A linear page that is FIRST in RAM and may become SECOND, and the tables that say so. */
const CALLED = 0x200000;
const [FIRST, SECOND] = [0x20000, 0x30000];
const [DIRECTORY, TABLE] = [0x3000, 0x5000];
const [BEFORE, AFTER] = [3, 5];
const PRESENT_WRITABLE = 3;

const { bytes, ...image } = buildInterpreter(pageCountOf(1));
const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);

const jumpTo = (target: number, from: number) => [0xe9, ...new Uint8Array(Int32Array.of(target - (from + 5)).buffer)];
/** Adds to RAX and goes back behind the jump to it. */
const called = (added: number) => Uint8Array.of(0x48, 0x83, 0xc0, added, ...jumpTo(CODE + 5, CALLED + 4));

/** Goes to the other page and back ROUNDS times, changes something and does so again. */
function run(change: readonly number[]): bigint {
  const shared = createSharedMachine(1);
  const memory = new GuestMemory(shared.memory, vcpuBlockAddress(1), RAM_BYTES);
  memory.writeU64(DIRECTORY + 8, BigInt(TABLE | PRESENT_WRITABLE));
  memory.writeU64(TABLE, BigInt(FIRST | PRESENT_WRITABLE));
  memory.write(FIRST, called(BEFORE));
  memory.write(SECOND, called(AFTER));
  memory.write(CODE, Uint8Array.of(
    ...jumpTo(CALLED, CODE), // again: jmp CALLED
    0xff, 0xc9, // dec ecx
    0x75, 0xf7, // jnz again
    0x85, 0xd2, // test edx, edx
    0x75, 0x02, // jnz +2
    0x0f, 0x0b, // ud2
    ...change,
    0x87, 0xd1, // xchg ecx, edx
    0x31, 0xd2, // xor edx, edx
    0xeb, 0x100 - 21 - change.length, // jmp again
  ));
  const vcpu = createBareVcpu(shared, 0, { image, module }, POLICY);
  const registers = new Map([[1, ROUNDS], [2, ROUNDS], [4, 0x8000], [5, TABLE], [6, SECOND | PRESENT_WRITABLE], [7, CALLED]]);
  const gpr = Array.from({ length: 16 }, (_, index) => BigInt(registers.get(index) ?? 0));
  const end = runBare(vcpu, CODE, gpr);
  assert.ok(vcpu.compiledCode.liveRegions > 4, 'the loop is compiled');
  return end.gpr[0]!;
}

test('a region does not go on in code that is not mapped there any more', () => {
  const remap = [0x48, 0x89, 0x75, 0x00, 0x0f, 0x01, 0x3f]; // mov [rbp], rsi; invlpg [rdi]
  assert.equal(run(remap), BigInt(ROUNDS * (BEFORE + AFTER)));
});

test('a region does not go on in code that has changed', () => {
  const write = [0xc6, 0x47, 0x03, AFTER]; // mov byte [rdi + 3], AFTER
  assert.equal(run(write), BigInt(ROUNDS * (BEFORE + AFTER)));
});
