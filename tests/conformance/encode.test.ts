import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insn, type Row, row } from '@hanok/x86';
import { encode, type InstructionChoice, type MemoryChoice, type OperandChoice } from './encode.ts';

// Expected bytes are those GNU as gives for the text beside them.

const ADDRESS = 0x7000_0c00;

function one(encoding: string, operands: string, options = {}): Row {
  return insn('TEST', { rows: [row(encoding, operands, options)], body: () => {} }).rows[0]!;
}

const register = (number: number, highByte = false): OperandChoice => ({ kind: 'register', number, highByte });
const immediate = (value: bigint): OperandChoice => ({ kind: 'immediate', value });
const implied: OperandChoice = { kind: 'implied' };
const memory = (choice: Partial<MemoryChoice>): OperandChoice => ({
  kind: 'memory',
  memory: { base: undefined, index: undefined, scale: 1, displacement: 0, displacementBytes: 0, ripRelative: false, ...choice },
});

function bytes(target: Row, bits: 16 | 32 | 64, operands: OperandChoice[], more: Partial<InstructionChoice> = {}): string | undefined {
  const choice: InstructionChoice = { row: target, mode: 64, bits, addressBits: 64, lock: false, repeat: 0, segment: 0, emptyRex: false, padding: 0, operands, ...more };
  const code = encode(choice, ADDRESS);
  return code && Buffer.from(code).toString('hex');
}

const ADD_BYTE = one('00', 'Eb,Gb', { lock: true });
const ADD = one('01', 'Ev,Gv', { lock: true });

test('registers, operand sizes and REX', () => {
  assert.equal(bytes(ADD, 64, [register(0), register(3)]), '4801d8'); // add rax, rbx
  assert.equal(bytes(ADD, 16, [register(9), register(3)]), '664101d9'); // add r9w, bx
  assert.equal(bytes(ADD, 32, [register(1), register(15)]), '4401f9'); // add ecx, r15d
  assert.equal(bytes(ADD_BYTE, 32, [register(4, true), register(7, true)]), '00fc'); // add ah, bh
  assert.equal(bytes(ADD_BYTE, 32, [register(4), register(7)]), '4000fc'); // add spl, dil
  assert.equal(bytes(ADD_BYTE, 32, [register(4, true), register(8)]), undefined); // ah with r8b does not exist
});

test('addressing forms', () => {
  const add = (choice: Partial<MemoryChoice>, more = {}) => bytes(ADD, 32, [memory(choice), register(2)], more);
  assert.equal(add({ base: 3 }), '0113'); // add [rbx], edx
  assert.equal(add({ base: 5 }), '015500'); // add [rbp+0], edx
  assert.equal(add({ base: 13 }), '41015500'); // add [r13+0], edx
  assert.equal(add({ base: 4 }), '011424'); // add [rsp], edx
  assert.equal(add({ base: 12, displacement: -8, displacementBytes: 1 }), '41015424f8'); // add [r12-8], edx
  assert.equal(add({ base: 0, index: 14, scale: 8, displacement: 0x1234, displacementBytes: 4 }), '420194f034120000'); // add [rax+r14*8+0x1234], edx
  assert.equal(add({ index: 1, scale: 4, displacement: 0x70010000, displacementBytes: 4 }), '01148d00000170'); // add [rcx*4+0x70010000], edx
  assert.equal(add({ displacement: 0x70010000, displacementBytes: 4 }), '01142500000170'); // add ds:0x70010000, edx
  assert.equal(add({ displacement: ADDRESS + 6 + 0x10, ripRelative: true }), '011510000000'); // add [rip+0x10], edx
  assert.equal(add({ base: 3 }, { addressBits: 32, segment: 0x65, lock: true }), 'f0656701' + '13'); // lock add gs:[ebx], edx
  assert.equal(add({ base: 3, index: 4 }), undefined); // RSP is no index
});

test('immediates of every size, and RIP-relative addresses behind them', () => {
  assert.equal(bytes(one('B8+r', 'Zv,Iv'), 64, [register(8), immediate(0x1122334455667788n)]), '49b88877665544332211'); // movabs r8, …
  assert.equal(bytes(one('81 /5', 'Ev,Iz'), 64, [register(0), immediate(0xffff_ffffn)]), '4881e8ffffffff'); // sub rax, -1
  assert.equal(bytes(one('81 /5', 'Ev,Iz'), 16, [register(0), immediate(0x1234n)]), '6681e83412'); // sub ax, 0x1234
  const relative = memory({ displacement: ADDRESS + 7 + 0x20, ripRelative: true });
  assert.equal(bytes(one('C1 /4', 'Ev,Ib'), 32, [relative, immediate(3n)]), 'c1252000000003'); // shl dword [rip+0x20], 3
  assert.equal(bytes(one('A1', 'rAX,Ov'), 64, [implied, immediate(0x70010000n)]), '48a10000017000000000'); // movabs rax, [0x70010000]
  assert.equal(bytes(one('A1', 'rAX,Ov'), 32, [implied, immediate(0x70010000n)], { addressBits: 32 }), '67a100000170');
});

test('mandatory prefixes, opcode maps, default operand sizes', () => {
  assert.equal(bytes(one('NP 0F 58', 'Vps,Wps'), 32, [register(9), register(1)]), '440f58c9'); // addps xmm9, xmm1
  assert.equal(bytes(one('66 0F 3A 0F', 'Vx,Wx,Ib'), 16, [register(0), register(8), immediate(4n)]), '66410f3a0fc004'); // palignr xmm0, xmm8, 4
  assert.equal(bytes(one('F3 0F B8', 'Gv,Ev'), 64, [register(0), register(1)]), 'f3480fb8c1'); // popcnt rax, rcx
  assert.equal(bytes(one('F2 0F 38 F1', 'Gd,Ev'), 16, [register(0), register(1)]), '66f20f38f1c1'); // crc32 eax, cx
  assert.equal(bytes(one('50+r', 'Zv', { default64: true }), 64, [register(12)]), '4154'); // push r12
  assert.equal(bytes(one('50+r', 'Zv', { default64: true }), 16, [register(12)]), '664154'); // push r12w
  assert.equal(bytes(one('FF /4', 'Ev', { force64: true }), 64, [register(0)]), 'ffe0'); // jmp rax
  assert.equal(bytes(one('75', 'Jb', { force64: true }), 64, [immediate(-5n)]), '75fb'); // jne .-3
  assert.equal(bytes(one('A4', 'AL', { repeat: true }), 32, [implied], { repeat: 0xf3 }), 'f3a4'); // rep movsb
  assert.equal(bytes(one('0F 01 D0', ''), 32, []), '0f01d0'); // xgetbv
});
