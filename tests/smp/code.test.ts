import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENGINES, INVALID_OPCODE, type Program, runPrograms, UD2 } from './programs.ts';

const READERS = 2;
const REWRITES = 400;
const WRITER = 0x5_0000;
const READER = 0x5_1000;
const FUNCTION = 0x6_0000;
/** The number of the last rewrite, then how far each reader is. */
const FLAGS = 0x6_8000;
const RDI = 7;
const PAUSE = [0xf3, 0x90];

const CODE = new Map([
  // MOV [RSI+1], EAX; MOV [RBX], EAX; wait until each reader's number is EAX; INC EAX; DEC ECX; JNZ
  [WRITER, [0x89, 0x46, 0x01, 0x89, 0x03, ...PAUSE, 0x39, 0x43, 0x08, 0x75, 0xf9, ...PAUSE, 0x39, 0x43, 0x10, 0x75, 0xf9, 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xe7, ...UD2]],
  // wait until [RBX] is EDX; CALL RSI; count in EDI where EAX is not EDX; MOV [RBP], EDX; INC EDX; DEC ECX; JNZ
  [READER, [...PAUSE, 0x39, 0x13, 0x75, 0xfa, 0xff, 0xd6, 0x39, 0xd0, 0x74, 0x02, 0xff, 0xc7, 0x89, 0x55, 0x00, 0xff, 0xc2, 0xff, 0xc9, 0x75, 0xe9, ...UD2]],
  // MOV EAX, imm32; RET
  [FUNCTION, [0xb8, 0, 0, 0, 0, 0xc3]],
]);

for (const { name, hotCount } of ENGINES) {
  test(`a vCPU calls what another has just written, ${name}`, { timeout: 120_000 }, async () => {
    const writer: Program = { address: WRITER, registers: { rax: 1, rcx: REWRITES, rbx: FLAGS, rsi: FUNCTION } };
    const readers = Array.from({ length: READERS }, (_, index): Program => ({
      address: READER,
      registers: { rcx: REWRITES, rdx: 1, rbx: FLAGS, rsp: 0x7_1000 + index * 0x1000, rbp: FLAGS + 8 * (index + 1), rsi: FUNCTION },
    }));
    const { ends, ram } = await runPrograms(CODE, [writer, ...readers], hotCount);
    for (const { vector, gpr } of ends) {
      assert.equal(vector, INVALID_OPCODE);
      assert.equal(gpr[RDI], 0n, 'stale calls');
    }
    assert.equal(ram.readU32(FLAGS), REWRITES);
  });
}
