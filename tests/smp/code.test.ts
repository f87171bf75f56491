import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { buildInterpreter, vcpuBlockAddress } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { createSharedMachine, pageCountOf, RAM_BYTES } from './bare-vcpu.ts';
import type { CodeWorkerData } from './code-worker.ts';

const INVALID_OPCODE = 6;
const READERS = 2;
const VCPUS = READERS + 1;
const REWRITES = 400n;
const WRITER = 0x5_0000;
const READER = 0x5_1000;
const FUNCTION = 0x6_0000;
/** The number of the last rewrite, then how far each reader is. */
const FLAGS = 0x6_8000;
const UD2 = [0x0f, 0x0b];
const PAUSE = [0xf3, 0x90];

/** MOV [RSI+1], EAX; MOV [RBX], EAX; wait until each reader's number is EAX; INC EAX; DEC ECX; JNZ */
const WRITER_CODE = [
  0x89, 0x46, 0x01, 0x89, 0x03,
  ...PAUSE, 0x39, 0x43, 0x08, 0x75, 0xf9,
  ...PAUSE, 0x39, 0x43, 0x10, 0x75, 0xf9,
  0xff, 0xc0, 0xff, 0xc9, 0x75, 0xe7, ...UD2,
];
/** Wait until [RBX] is EDX; CALL RSI; count in EDI where EAX is not EDX; MOV [RBP], EDX; INC EDX; DEC ECX; JNZ */
const READER_CODE = [
  ...PAUSE, 0x39, 0x13, 0x75, 0xfa,
  0xff, 0xd6, 0x39, 0xd0, 0x74, 0x02, 0xff, 0xc7,
  0x89, 0x55, 0x00, 0xff, 0xc2, 0xff, 0xc9, 0x75, 0xe9, ...UD2,
];
/** MOV EAX, imm32; RET */
const FUNCTION_CODE = [0xb8, 0, 0, 0, 0, 0xc3];

const { bytes, ...image } = buildInterpreter(pageCountOf(VCPUS));
const interpreter = { image, module: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>) };

for (const hotCount of [1 << 30, 20]) {
  test(`a vCPU calls what another has just written, ${hotCount === 20 ? 'compiled' : 'interpreted'}`, { timeout: 120_000 }, async () => {
    const shared = createSharedMachine(VCPUS);
    const ram = new GuestMemory(shared.memory, vcpuBlockAddress(VCPUS), RAM_BYTES);
    for (const [address, code] of [[WRITER, WRITER_CODE], [READER, READER_CODE], [FUNCTION, FUNCTION_CODE]] as const) ram.write(address, Uint8Array.from(code));
    const run = (vcpu: number) => {
      const isWriter = vcpu === 0;
      const gpr = [isWriter ? 1 : 0, REWRITES, isWriter ? 0 : 1, FLAGS, 0x7_0000 + vcpu * 0x1000, FLAGS + 8 * vcpu, FUNCTION, 0, ...Array<number>(8).fill(0)].map(BigInt);
      const data: CodeWorkerData = { shared, interpreter, vcpu, hotCount, address: isWriter ? WRITER : READER, gpr };
      const worker = new Worker(new URL('./code-worker.ts', import.meta.url), { workerData: data });
      return new Promise<{ vector: number; rdi: bigint }>((resolve, reject) => worker.once('message', resolve).once('error', reject));
    };
    const ends = await Promise.all(Array.from({ length: VCPUS }, (_, vcpu) => run(vcpu)));
    for (const { vector, rdi } of ends) {
      assert.equal(vector, INVALID_OPCODE);
      assert.equal(rdi, 0n, 'stale calls');
    }
    assert.equal(ram.readU32(FLAGS), Number(REWRITES));
  });
}
