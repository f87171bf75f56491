import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildInterpreter, type CompileRequest, machineMemory, OwnThreadCompiler } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { GROUP_MISSES_MAX } from '../../packages/emulator/src/group-access.ts';
import { createBareVcpu, createSharedMachine, RAM_BYTES, runBare } from '../smp/bare-vcpu.ts';

const POLICY = { hotCount: 5, doublingsMax: 0, batchRegions: 1, batchSlices: 1 };
const CODE = 0x10000;
/** Two linear pages whose places in RAM do not follow each other, and the tables that say so. */
const PAGES = 0x200000;
const [DIRECTORY, TABLE] = [0x3000, 0x5000];
const [FIRST, SECOND] = [0x20000, 0x30000];
const PRESENT_WRITABLE = 3;
const PAGE_BYTES = 4096;
const [RAX, RCX, RBX, RSI] = [0, 1, 3, 6];

const { bytes, ...image } = buildInterpreter();
const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);

/** Whether the requests for a loop say that its two accesses are grouped; every `period` rounds, a power of two, they lie on two pages, `times` in all. */
function groupedRequests(period: number, times: number): boolean[] {
  const shared = createSharedMachine(1);
  const ram = new GuestMemory(shared.memory, machineMemory(1, RAM_BYTES).ramAddress, RAM_BYTES);
  ram.writeU64(DIRECTORY + 8, BigInt(TABLE | PRESENT_WRITABLE));
  for (const [index, page] of [FIRST, SECOND].entries()) ram.writeU64(TABLE + 8 * index, BigInt(page | PRESENT_WRITABLE));
  ram.write(CODE, Uint8Array.of(
    0x48, 0x89, 0xf2, // again: mov rdx, rsi
    0xf7, 0xc1, ...new Uint8Array(Uint32Array.of(period - 1).buffer), // test ecx, period - 1
    0x48, 0x0f, 0x44, 0xd3, // cmovz rdx, rbx
    0x48, 0x01, 0x42, 0xf8, // add [rdx - 8], rax
    0x48, 0x29, 0x02, // sub [rdx], rax
    0xff, 0xc9, // dec ecx
    0x75, 0xe8, // jnz again
    0x0f, 0x0b, // ud2
  ));
  const requests: CompileRequest[] = [];
  const compiler = new OwnThreadCompiler({ ram: new Uint8Array(shared.memory.buffer, ram.baseBytes, RAM_BYTES), ...image }, POLICY);
  const request = compiler.request.bind(compiler);
  compiler.request = (asked) => {
    requests.push(asked);
    request(asked);
  };
  const gpr = Array.from({ length: 16 }, () => 0n);
  [gpr[RAX], gpr[RCX], gpr[RBX], gpr[RSI]] = [3n, BigInt(times * period), BigInt(PAGES + PAGE_BYTES), BigInt(PAGES + 64)];
  runBare(createBareVcpu(shared, 0, { image, module }, POLICY, compiler), CODE, gpr);
  assert.equal(ram.readU64(FIRST + PAGE_BYTES - 8), BigInt(3 * times));
  assert.equal(BigInt.asIntN(64, ram.readU64(SECOND)!), BigInt(-3 * times));
  return requests.map(({ code }) => code.isGrouped);
}

test('a region in which accesses lie on two pages all the time is compiled without groups', () => {
  assert.deepEqual(groupedRequests(1, 10_000), [true, false]);
});

test('where they seldom do, it stays as it is, however long it runs', () => {
  assert.deepEqual(groupedRequests(0x4000, 3 * GROUP_MISSES_MAX), [true]);
});
