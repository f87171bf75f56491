import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_INSNS, ALL_ROWS } from '@hanok/x86';
import { Drafts } from './draft.ts';
import { exclusionOf } from './exclusions.ts';
import { rowForms } from './forms.ts';
import { generateCase } from './generate.ts';
import { EXIT_BYTES, LAYOUT } from './layout.ts';
import { Random } from './random.ts';
import { UNDEFINED_RULES } from './undefined-flags.ts';
import { AMD_RULES } from './vendor-differences.ts';

test('what the manual leaves undefined is listed for instructions that exist, with its source', () => {
  const names = new Set(ALL_INSNS.map((insn) => insn.name));
  const rules = [...UNDEFINED_RULES, ...AMD_RULES];
  const unknown = rules.flatMap((rule) => rule.names).filter((name) => !names.has(name));
  assert.deepEqual(unknown, []);
  for (const rule of rules) assert.match(rule.cites, /SDM|APM/);
});

test('every row has forms or a reason to have none', () => {
  const bare = ALL_ROWS.filter((row) => exclusionOf(row) === undefined && rowForms(row, 64).length + rowForms(row, 32).length === 0).map((row) => row.text);
  assert.deepEqual(bare, []);
});

test('a case comes from its seed alone, and its exits leave the code room', () => {
  const rows = ALL_ROWS.filter((row) => exclusionOf(row) === undefined);
  const generate = (seed: number) => {
    const random = new Random(seed);
    const drafts = new Drafts(random);
    return rows.flatMap((row) => rowForms(row).map((form) => generateCase(random, drafts, form).test));
  };
  const cases = generate(7);
  assert.deepEqual(generate(7).map((item) => Buffer.from(item.code).toString('hex')), cases.map((item) => Buffer.from(item.code).toString('hex')));
  for (const item of cases) {
    const parts = [[item.codeAddress, item.code.length], ...item.exits.map((exit) => [exit, EXIT_BYTES])].sort((a, b) => a[0]! - b[0]!) as [number, number][];
    parts.forEach(([start, length], index) => {
      assert.ok(start >= LAYOUT.codeBase && start + length <= (parts[index + 1]?.[0] ?? LAYOUT.codeBase + LAYOUT.codeBytes));
    });
  }
});
