import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENGINES, INVALID_OPCODE, runPrograms, UD2 } from './programs.ts';

const [FIRST, SECOND] = [0x5_0000, 0x5_1000];
const DATA = 0x6_0000;
const [RDI] = [7];
/** Compiled code must have time to be compiled and to run on both threads at once. */
const ROUNDS = { interpreted: 100_000, compiled: 4_000_000 } as const;

/** again: INC dword [RBX]; MOV [RBX+8], ECX; MOV [RBX+16], ECX; INC dword [RBX]; DEC ECX; JNZ again */
const SEQUENCE_WRITER = [0xff, 0x03, 0x89, 0x4b, 0x08, 0x89, 0x4b, 0x10, 0xff, 0x03, 0xff, 0xc9, 0x75, 0xf2, ...UD2];
/** Reads the count, both data and the count again; counts in EDI where an even, unchanged count has different data. */
const SEQUENCE_READER = [
  0x8b, 0x03, 0x8b, 0x53, 0x10, 0x8b, 0x73, 0x08, 0x8b, 0x2b, 0x39, 0xe8, 0x75, 0x10, 0xa9, 0x01, 0x00, 0x00, 0x00, 0x75, 0x09,
  0x41, 0xff, 0xc0, 0x39, 0xf2, 0x74, 0x02, 0xff, 0xc7, 0xff, 0xc9, 0x75, 0xde, ...UD2,
];
/**
 * Peterson's lock: [RBX] = 1; [RSI] = EDX; MFENCE; wait while [RBP] != 0 and [RSI] == EDX; INC dword [R8]; [RBX] = 0.
 * Without the fence a store and the load behind it change places, and both get in.
 */
const PETERSON = [
  0xc7, 0x03, 1, 0, 0, 0, 0x89, 0x16, 0x0f, 0xae, 0xf0, 0x83, 0x7d, 0x00, 0x00, 0x74, 0x08, 0x39, 0x16, 0x75, 0x04, 0xf3, 0x90, 0xeb, 0xf2,
  0x41, 0xff, 0x00, 0xc7, 0x03, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xda, ...UD2,
];

for (const { name, hotCount } of ENGINES) {
  test(`loads stay in order behind loads, stores behind stores, ${name}`, { timeout: 120_000 }, async () => {
    const registers = { rbx: DATA, rcx: ROUNDS[name] };
    const { ends, ram } = await runPrograms(new Map([[FIRST, SEQUENCE_WRITER], [SECOND, SEQUENCE_READER]]), [{ address: FIRST, registers }, { address: SECOND, registers }], hotCount);
    assert.deepEqual(ends.map(({ vector }) => vector), [INVALID_OPCODE, INVALID_OPCODE]);
    assert.equal(ends[1]!.gpr[RDI!], 0n, 'halves of two writes in one snapshot');
    assert.equal(ram.readU32(DATA), ROUNDS[name] * 2);
  });

  test(`MFENCE orders a store before a later load, ${name}`, { timeout: 120_000 }, async () => {
    const rounds = ROUNDS[name] / 40;
    const [flags, turn, counter] = [[DATA, DATA + 0x40], DATA + 0x80, DATA + 0xc0];
    const program = (own: number) => ({ address: FIRST, registers: { rcx: rounds, rbx: flags[own]!, rbp: flags[1 - own]!, rsi: turn, rdx: 1 - own, r8: counter } });
    const { ends, ram } = await runPrograms(new Map([[FIRST, PETERSON]]), [program(0), program(1)], hotCount);
    assert.deepEqual(ends.map(({ vector }) => vector), [INVALID_OPCODE, INVALID_OPCODE]);
    assert.equal(ram.readU32(counter), 2 * rounds);
  });
}
