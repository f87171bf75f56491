import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModeBits } from './opcode-match.ts';
import { disassemble } from './disassemble.ts';

// Expected texts are those of GNU objdump 2.40 with -M intel; tests/disassembler compares every row with it.

const ADDRESS = 0x1000n;

function text(bytes: string, mode: ModeBits = 64, address = ADDRESS): string {
  return disassemble(Uint8Array.from(bytes.split(' '), (byte) => Number.parseInt(byte, 16)), { mode, address }).text;
}

test('operands of general registers, memory and immediates', () => {
  assert.equal(text('48 01 d8'), 'add rax,rbx');
  assert.equal(text('00 fc'), 'add ah,bh');
  assert.equal(text('40 00 fc'), 'add spl,dil');
  assert.equal(text('66 83 c0 ff'), 'add ax,0xffff');
  assert.equal(text('c1 e0 ff'), 'shl eax,0xff');
  assert.equal(text('42 01 94 f0 34 12 00 00'), 'add DWORD PTR [rax+r14*8+0x1234],edx');
  assert.equal(text('64 8b 04 25 28 00 00 00'), 'mov eax,DWORD PTR fs:0x28');
  assert.equal(text('8a 82 00 80', 16), 'mov al,BYTE PTR [bp+si-0x8000]');
});

test('addresses of branches and RIP-relative operands', () => {
  assert.equal(text('e8 fb ff ff ff'), 'call 0x1000');
  assert.equal(text('75 10'), 'jne 0x1012');
  assert.equal(text('75 10', 16, 0xffff0n), 'jne 0xf0002');
  assert.equal(text('8b 05 10 00 00 00'), 'mov eax,DWORD PTR [rip+0x10] # 0x1016');
  assert.equal(text('eb fe', 64, 0xffff_ffff_8100_0000n), 'jmp 0xffffffff81000000');
});

test('names by operand size, address size and immediate', () => {
  assert.deepEqual(['66 98', '98', '48 98'].map((bytes) => text(bytes)), ['cbw', 'cwde', 'cdqe']);
  assert.equal(text('48 cf'), 'iretq');
  assert.equal(text('67 e3 00'), 'jecxz 0x1003');
  assert.equal(text('f2 0f c2 c1 07'), 'cmpordsd xmm0,xmm1');
  assert.equal(text('ea 00 00 00 00 10 00', 32), 'jmp 0x10:0x0');
});

test('prefixes', () => {
  assert.equal(text('f3 48 a5'), 'rep movs QWORD PTR es:[rdi],QWORD PTR ds:[rsi]');
  assert.equal(text('f0 48 0f b1 0f'), 'lock cmpxchg QWORD PTR [rdi],rcx');
  assert.equal(text('66 66 2e 0f 1f 84 00 00 00 00 00'), 'data16 cs nop WORD PTR [rax+rax*1+0x0]');
  assert.equal(text('f3 c3'), 'repz ret');
});

test('x87, MMX, control registers', () => {
  assert.equal(text('dc e9'), 'fsub st(1),st');
  assert.equal(text('0f 60 01'), 'punpcklbw mm0,DWORD PTR [rcx]');
  assert.equal(text('44 0f 20 c0'), 'mov rax,cr8');
});

test('VEX: registers and sizes, what makes it undefined, and LES and LDS beside it', () => {
  assert.equal(text('c4 62 e8 f2 d9'), 'andn r11,rdx,rcx');
  assert.equal(text('c4 e2 68 f2 d9', 32), 'andn ebx,edx,ecx');
  assert.equal(text('c4 e3 7b f0 c1 07'), 'rorx eax,ecx,0x7');
  for (const prefix of ['66', 'f2', 'f3', 'f0', '48']) assert.equal(text(`${prefix} c4 e2 68 f2 d9`), '(bad)');
  // Vector length 1, a register in vvvv that the instruction has no place for, an opcode map without a name.
  for (const bytes of ['c4 e2 6c f2 d9', 'c4 e3 73 f0 c1 07', 'c4 e4 68 f2 d9', 'c5 e8 f2']) assert.equal(text(bytes), '(bad)');
  assert.equal(text('c4 01', 32), 'les eax,FWORD PTR [ecx]');
  assert.equal(text('c4 e2 68 f2 d9', 16), '(bad)');
});

test('what is no instruction, or ends early, is (bad) and one byte long', () => {
  for (const bytes of ['0f 04', '06', 'f0 89 c0', '48', 'e8 00 00']) {
    const code = Uint8Array.from(bytes.split(' '), (byte) => Number.parseInt(byte, 16));
    assert.deepEqual(disassemble(code, { mode: 64, address: 0n }), { text: '(bad)', lengthBytes: 1 });
  }
});
