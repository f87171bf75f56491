import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodePages } from './code-pages.ts';

const RAM_BYTES = 64 << 20;
const PAGE = 5000;

function pages(vcpuCount: number): { codePages: CodePages; woken: number[]; taken: (vcpu: number) => number[] } {
  const woken: number[] = [];
  const codePages = new CodePages(new SharedArrayBuffer(CodePages.sizeBytes(RAM_BYTES, vcpuCount)), 0, RAM_BYTES, vcpuCount, (vcpu) => woken.push(vcpu));
  const taken = (vcpu: number) => {
    const dropped: number[] = [];
    codePages.takeWritten(vcpu, (page) => dropped.push(page));
    return dropped;
  };
  return { codePages, woken, taken };
}

test('a translator learns of others that may write, a writer tells translators', () => {
  const { codePages, woken, taken } = pages(3);
  assert.equal(codePages.allowWrites(PAGE, 1), true);
  assert.equal(codePages.mark(PAGE, 0), true, 'vCPU 1 may write');
  const writers: number[] = [];
  codePages.takeWriters(PAGE, (vcpu) => writers.push(vcpu));
  assert.deepEqual(writers, [1]);
  assert.equal(codePages.allowWrites(PAGE, 1), false, 'the page holds code');
  assert.equal(codePages.mark(PAGE, 2), false, 'nobody may write any more');
  assert.equal(codePages.beforeWrite(PAGE, 1), false, 'the writer has no code of its own there');
  assert.deepEqual(woken, [0, 2]);
  assert.equal(codePages.has(PAGE), false);
  assert.deepEqual(taken(0), [PAGE]);
  assert.deepEqual(taken(0), []);
  assert.deepEqual(taken(2), [PAGE]);
  assert.equal(codePages.mark(PAGE, 0), true, 'the writer still may write what it was about to write');
});

test('a vCPU that writes its own code is told to drop it itself', () => {
  const { codePages, woken, taken } = pages(2);
  assert.equal(codePages.mark(PAGE, 0), false);
  assert.equal(codePages.beforeWrite(PAGE, 0), true);
  assert.deepEqual(woken, []);
  assert.deepEqual(taken(0), []);
  codePages.unmark(PAGE, 0);
  assert.equal(codePages.allowWrites(PAGE, 0), true);
});

test('devices tell all who translated any page they wrote', () => {
  const { codePages, woken, taken } = pages(2);
  for (const page of [3, 4, RAM_BYTES / 4096 - 1]) codePages.mark(page, 1);
  codePages.mark(4, 0);
  codePages.deviceWrote(3 * 4096 + 4000, 200);
  codePages.deviceWrote(RAM_BYTES - 1, 1);
  assert.deepEqual(woken, [1, 0, 1, 1]);
  assert.deepEqual(taken(0), [4]);
  assert.deepEqual(taken(1), [3, 4, RAM_BYTES / 4096 - 1]);
});

test('a single vCPU needs no word about writers', () => {
  const { codePages } = pages(1);
  assert.equal(codePages.allowWrites(PAGE, 0), true);
  assert.equal(codePages.mark(PAGE, 0), false);
  assert.equal(codePages.isMarked(PAGE, 0), true);
});
