import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CompileRequest } from '@hanok/emulator';
import type { TestCase } from './driver.ts';
import { createInterpreterDriver } from './emulated.ts';
import { FX, LAYOUT } from './layout.ts';
import { RBX, WINDOW_MIDDLE } from './program.ts';

const RAX = 0;
const RCX = 1;
const ROUNDS = 1200;
const CODE = Uint8Array.of(
  0x48, 0x01, 0x43, 0xf8, // again: add [rbx - 8], rax
  0x48, 0x29, 0x03, // sub [rbx], rax
  0xff, 0xc9, // dec ecx
  0x75, 0xf5, // jnz again
);

/** Which of the requests for a loop with accesses on either side of the end of a page say that they are grouped. */
function groupedRequests(isScattered: boolean): boolean[] {
  const requests: CompileRequest[] = [];
  const driver = createInterpreterDriver({ compiled: true, isScattered, onRequest: (request) => void requests.push(request) });
  const fx = new Uint8Array(FX.sizeBytes);
  new DataView(fx.buffer).setUint32(FX.mxcsr, 0x1f80, true);
  const gpr = new BigUint64Array(16);
  [gpr[RAX], gpr[RCX], gpr[RBX]] = [3n, BigInt(ROUNDS), BigInt(LAYOUT.windowBase + WINDOW_MIDDLE)];
  const program: TestCase = {
    mode: 64, code: CODE, codeAddress: LAYOUT.codeBase, exits: [LAYOUT.codeBase + CODE.length], gpr, rflags: 0, fx, memory: new Uint8Array(LAYOUT.windowBytes),
  };
  const { memory } = driver.run(program);
  const view = new DataView(memory.buffer);
  assert.equal(view.getBigUint64(WINDOW_MIDDLE - 8, true), BigInt(3 * ROUNDS));
  assert.equal(view.getBigInt64(WINDOW_MIDDLE, true), BigInt(-3 * ROUNDS));
  return requests.map(({ code }) => 'isGrouped' in code && code.isGrouped);
}

test('where accesses cannot be translated together again and again, code is compiled without', () => {
  assert.equal(groupedRequests(true).at(-1), false);
});

test('pages that follow each other in RAM are as good as one', () => {
  assert.equal(groupedRequests(false).includes(false), false);
});
