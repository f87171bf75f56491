import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_INSNS } from '@hanok/x86';
import { CPU_MODELS, type CpuModel, DEFAULT_CPU_MODEL } from './cpu-model.ts';

const PLACE = { apicId: 0, vcpuCount: 1 };
const [EBX, ECX, EDX] = [1, 2, 3];

/** CPUID bits by leaf and register, and an instruction of each (SDM vol. 2A tables 3-8 and 3-10). */
const LEVEL_2 = [
  [1, ECX, 0, 'HADDPS'], [1, ECX, 9, 'PSHUFB'], [1, ECX, 13, 'CMPXCHG16B'], [1, ECX, 19, 'PBLENDW'], [1, ECX, 20, 'PCMPISTRI'], [1, ECX, 20, 'CRC32'],
  [1, ECX, 23, 'POPCNT'], [0x80000001, ECX, 0, 'LAHF'],
] as const;
const EXTENSIONS = [
  [1, ECX, 1, 'PCLMULQDQ'], [1, ECX, 22, 'MOVBE'], [1, ECX, 25, 'AESENC'], [7, EBX, 3, 'ANDN'], [7, EBX, 8, 'PEXT'], [7, EBX, 9, 'MOVS'], [7, EDX, 4, 'MOVS'], [7, EBX, 18, 'RDSEED'], [7, EBX, 19, 'ADCX'],
  [7, EBX, 23, 'CLFLUSHOPT'], [7, EBX, 24, 'CLWB'], [7, EBX, 29, 'SHA256RNDS2'], [7, ECX, 22, 'RDPID'], [0x80000001, ECX, 5, 'LZCNT'], [0x80000001, ECX, 8, 'PREFETCHW'],
] as const;

function has(model: CpuModel, [leaf, register, bit]: readonly [number, number, number, string]): boolean {
  return ((model.cpuid(leaf, 0, PLACE)[register]! >>> bit) & 1) === 1;
}

test('each level says what it has, and what it says exists', () => {
  const names = new Set(ALL_INSNS.map(({ name }) => name));
  const expected = { 'x86-64-v1': [false, false], 'x86-64-v2': [true, false], 'x86-64-v2-extended': [true, true] };
  assert.deepEqual([...CPU_MODELS.keys()], Object.keys(expected));
  for (const [name, [level2, extended]] of Object.entries(expected)) {
    const model = CPU_MODELS.get(name)!;
    for (const feature of LEVEL_2) assert.equal(has(model, feature), level2, `${name} ${feature[3]}`);
    for (const feature of EXTENSIONS) assert.equal(has(model, feature), extended, `${name} ${feature[3]}`);
  }
  for (const [, , , instruction] of [...LEVEL_2, ...EXTENSIONS]) assert.ok(names.has(instruction), instruction);
});

test('each model can be told not to follow the branch history, so that Linux need not clear it', () => {
  for (const model of CPU_MODELS.values()) {
    assert.ok(model.cpuid(7, 0, PLACE)[0]! >= 2);
    assert.deepEqual(model.cpuid(7, 1, PLACE), [0, 0, 0, 0]);
    assert.deepEqual(model.cpuid(7, 2, PLACE), [0, 0, 0, 1 << 4]);
  }
});

test('no model claims the AVX state or registers that do not exist', () => {
  for (const model of CPU_MODELS.values()) {
    for (const feature of [[1, ECX, 12, 'FMA'], [1, ECX, 28, 'AVX'], [1, ECX, 29, 'F16C'], [7, EBX, 5, 'AVX2'], [7, EBX, 16, 'AVX512F']] as const) assert.equal(has(model, feature), false, feature[3]);
  }
});

test('the default has everything, and each leaf has 32-bit values', () => {
  assert.equal(DEFAULT_CPU_MODEL.name, 'x86-64-v2-extended');
  for (const leaf of [0, 1, 2, 4, 6, 7, 0xb, 0x15, 0x16, 0x80000000, 0x80000001, 0x80000002, 0x80000008]) {
    for (const value of DEFAULT_CPU_MODEL.cpuid(leaf, 0, PLACE)) assert.ok(Number.isInteger(value) && value >= 0 && value < 2 ** 32, `leaf ${leaf.toString(16)}`);
  }
});
