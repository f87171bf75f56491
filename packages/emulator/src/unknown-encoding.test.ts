import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unknownReporter } from './unknown-encoding.ts';

const AAA = 0x37;

test('the line gives place, bytes and the instructions before', () => {
  const lines: string[] = [];
  const report = unknownReporter((line) => lines.push(line));
  // cpuid; xor ecx,ecx; inc eax; dec eax; then AAA, which 64-bit mode lacks.
  const before = Uint8Array.of(0x0f, 0xa2, 0x31, 0xc9, 0xff, 0xc0, 0xff, 0xc8);
  report({ bytes: Uint8Array.of(AAA, 0x90), address: 0xffff_ffff_8100_0008n, mode: 64, before });
  assert.deepEqual(lines, ['no such instruction at 0xffffffff81000008 in 64-bit mode, #UD where it runs: 37 90; before it: xor ecx,ecx; inc eax; dec eax']);
});

test('an encoding is named once, and a guest cannot fill the log', () => {
  const lines: string[] = [];
  const report = unknownReporter((line) => lines.push(line));
  for (let count = 0; count < 1000; count++) report({ bytes: Uint8Array.of(AAA, count & 0xff, count >> 8), address: 0n, mode: 64, before: new Uint8Array(0) });
  const full = lines.length;
  assert.ok(full > 1 && full < 1000);
  assert.equal(new Set(lines).size, full);
  report({ bytes: Uint8Array.of(AAA, 0, 0), address: 5n, mode: 64, before: new Uint8Array(0) });
  assert.equal(lines.length, full);
});
