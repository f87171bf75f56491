import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disassemble } from '@hanok/x86';
import { CHAIN_CODE } from './call-chain.ts';

test('the code of a chain is what its comments say, and its jumps lead to where they say', () => {
  const lines: string[] = [];
  for (let at = 0; at < CHAIN_CODE.length; ) {
    const { text, lengthBytes } = disassemble(CHAIN_CODE.subarray(at), { mode: 64, address: BigInt(at) });
    lines.push(`${at}: ${text}`);
    at += lengthBytes;
  }
  assert.deepEqual(lines, [
    '0: push rbx', '1: mov rbx,rdi', '4: mov rax,QWORD PTR [rbx]', '7: test rax,rax', '10: je 0x37',
    '12: mov rdi,QWORD PTR [rbx+0x8]', '16: mov rdi,QWORD PTR [rdi]', '19: mov rsi,QWORD PTR [rbx+0x10]', '23: mov rsi,QWORD PTR [rsi]',
    '26: mov rdx,QWORD PTR [rbx+0x18]', '30: mov rdx,QWORD PTR [rdx]', '33: mov rcx,QWORD PTR [rbx+0x20]', '37: mov rcx,QWORD PTR [rcx]',
    '40: call rax', '42: mov rdx,QWORD PTR [rbx+0x28]', '46: mov QWORD PTR [rdx],rax', '49: add rbx,0x30', '53: jmp 0x4',
    '55: xor eax,eax', '57: pop rbx', '58: ret',
  ]);
});
