import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildInterpreter, type CompiledModule, type RegionCompiler, RegionModuleBuilder, REQUESTS_MAX, machineMemory } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { createBareVcpu, createSharedMachine, RAM_BYTES, runBare } from '../smp/bare-vcpu.ts';

const CODE = 0x10000;
const FUNCTIONS = 400;
const FUNCTION_BYTES = 64;
const ROUNDS = 300;
const UNDEFINED_OPCODE = 6;

const { bytes, ...image } = buildInterpreter();
const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);

/** Calls functions through a table of their distances, ROUNDS times; RAX adds up what they add. */
function program(): { code: Uint8Array; main: number; sum: bigint } {
  const code = new Uint8Array(FUNCTIONS * FUNCTION_BYTES + 64);
  const view = new DataView(code.buffer);
  let sum = 0n;
  for (let index = 0; index < FUNCTIONS; index++) {
    const at = index * FUNCTION_BYTES;
    code.set([0x48, 0x05], at); // add rax, imm32
    view.setUint32(at + 2, index * 3 + 1, true);
    code[at + 6] = 0xc3; // ret
    sum += BigInt(index * 3 + 1);
  }
  const main = FUNCTIONS * FUNCTION_BYTES;
  code.set(
    [
      0xbb, 0, 0, 0, 0, // again: mov ebx, CODE
      0xbe, 0, 0, 0, 0, // mov esi, FUNCTIONS
      0xff, 0xd3, // next: call rbx
      0x48, 0x83, 0xc3, FUNCTION_BYTES, // add rbx, FUNCTION_BYTES
      0xff, 0xce, // dec esi
      0x75, 0xf6, // jnz next
      0xff, 0xc9, // dec ecx
      0x75, 0xe8, // jnz again
      0x0f, 0x0b, // ud2
    ],
    main,
  );
  view.setUint32(main + 1, CODE, true);
  view.setUint32(main + 6, FUNCTIONS, true);
  return { code, main: CODE + main, sum: sum * BigInt(ROUNDS) };
}

function run(instructionsMax: number, compiler?: RegionCompiler) {
  const shared = createSharedMachine(1);
  const { code, main, sum } = program();
  new GuestMemory(shared.memory, machineMemory(1, RAM_BYTES).ramAddress, RAM_BYTES).write(CODE, code);
  const vcpu = createBareVcpu(shared, 0, { image, module }, { hotCount: 20, doublingsMax: 0, batchRegions: 4, batchSlices: 1, instructionsMax }, compiler);
  const gpr = Array<bigint>(16).fill(0n);
  gpr[1] = BigInt(ROUNDS);
  gpr[4] = 0x8000n;
  const end = runBare(vcpu, main, gpr);
  assert.equal(end.vector, UNDEFINED_OPCODE);
  assert.equal(end.gpr[0], sum);
  return vcpu.compiledCode;
}

test('compiled code stays within its limit, and the guest does not notice', () => {
  const free = run(1_000_000);
  assert.ok(free.liveRegions > 100, `${free.liveRegions} regions without a limit to reach`);
  const limited = run(200);
  assert.ok(limited.liveRegions <= 100, `${limited.liveRegions} regions of two instructions or more within 200 instructions`);
  assert.ok(limited.regions > limited.liveRegions, 'some were dropped');
});

test('requests to a compiler that does not answer are few', () => {
  let requestCount = 0;
  run(1_000_000, { request: () => void requestCount++, take: () => undefined, settle: () => {}, archive: undefined });
  assert.ok(FUNCTIONS > REQUESTS_MAX);
  assert.equal(requestCount, REQUESTS_MAX);
});

test('what was compiled of code that has changed meanwhile is thrown away', () => {
  const FIRST = 1000;
  const SECOND = 2_000_000;
  const [OLD, NEW] = [3, 5];
  // On a page of its own: what is compiled of the loop must go when the function alone has changed.
  const CALLED = CODE + 0x1000;
  const OPERAND = CALLED + 3;
  const shared = createSharedMachine(1);
  const memory = new GuestMemory(shared.memory, machineMemory(1, RAM_BYTES).ramAddress, RAM_BYTES);
  memory.write(CODE, Uint8Array.of(
    0xe8, 0xfb, 0x0f, 0, 0, // again: call CALLED
    0xff, 0xc9, // dec ecx
    0x75, 0xf7, // jnz again
    0x85, 0xd2, // test edx, edx
    0x75, 0x02, // jnz +2
    0x0f, 0x0b, // ud2
    0xc6, 0x43, 0x03, NEW, // mov byte [rbx + 3], NEW
    0x87, 0xd1, // xchg ecx, edx
    0x31, 0xd2, // xor edx, edx
    0xeb, 0xe7, // jmp again
  ));
  memory.write(CALLED, Uint8Array.of(0x48, 0x83, 0xc0, OLD, 0xc3)); // add rax, OLD; ret
  const ram = new Uint8Array(shared.memory.buffer as ArrayBufferLike, machineMemory(1, RAM_BYTES).ramAddress, RAM_BYTES);
  const builder = new RegionModuleBuilder({ ram, ...image });
  const [old, later]: [CompiledModule[], CompiledModule[]] = [[], []];
  let [oldCount, slices] = [0, 0];
  const compiler: RegionCompiler = {
    archive: undefined,
    settle: () => {},
    request: (request) => void (ram[OPERAND] === OLD ? old : later).push(builder.build([request])),
    take() {
      if (ram[OPERAND] === OLD) return undefined;
      if (old.length > 0) oldCount++;
      // Old code that was taken would run for a while.
      return old.shift() ?? (++slices > 20 ? later.shift() : undefined);
    },
  };
  const vcpu = createBareVcpu(shared, 0, { image, module }, { hotCount: 20, doublingsMax: 0, batchRegions: 1, batchSlices: 1 }, compiler);
  const gpr = Array<bigint>(16).fill(0n);
  [gpr[1], gpr[2], gpr[3], gpr[4]] = [BigInt(FIRST), BigInt(SECOND), BigInt(CALLED), 0x8000n];
  const end = runBare(vcpu, CODE, gpr);
  assert.equal(end.gpr[0], BigInt(FIRST * OLD + SECOND * NEW));
  assert.ok(oldCount > 0, 'something was compiled of the old code');
  assert.ok(vcpu.compiledCode.liveRegions > 0, 'the new code was compiled');
});
