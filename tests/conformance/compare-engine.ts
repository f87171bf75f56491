import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_INSNS, type Insn, type Row } from '@hanok/x86';
import { createInterpreterDriver } from './emulated.ts';
import { exclusionOf, missingFeature } from './exclusions.ts';
import type { CaseMode } from './forms.ts';
import { hostFlags } from './host.ts';
import { NativeDriver, nativeOracleUnavailable } from './native.ts';
import { describeRow, Oracle, type RowReport } from './oracle.ts';

const DEFAULT_CASES = 40;
/** Of the cases of compiled code, each of which compiles a module, one in so many is run. */
const COMPILED_SHARE = 5;

function numberFrom(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} is "${text}"; give a whole number`);
  return value;
}

/** Instructions by name, since several declarations may share one. */
function byName(): Map<string, Insn[]> {
  const only = process.env['HANOK_ORACLE_ONLY']?.split(',');
  const names = new Map<string, Insn[]>();
  for (const insn of ALL_INSNS) if (!only || only.includes(insn.name)) names.set(insn.name, [...(names.get(insn.name) ?? []), insn]);
  return names;
}

interface Totals {
  rows: number;
  forms: number;
  cases: number;
  exceptions: number;
  differingRows: string[];
  readonly excluded: Map<string, string[]>;
}

/** Whether a mode has the row at all (SDM vol. 2, the columns "64-Bit Mode" and "Compat/Leg Mode"). */
function existsIn(row: Row, mode: CaseMode): boolean {
  return mode === 64 ? !row.options.not64 : !row.options.only64 && row.rexW !== true;
}

/** Runs all rows of one name and returns what disagreed. */
function checkInstruction(oracle: Oracle, insns: readonly Insn[], mode: CaseMode, flags: ReadonlySet<string>, totals: Totals): RowReport[] {
  const failures: RowReport[] = [];
  for (const row of insns.flatMap((insn) => insn.rows)) {
    if (!existsIn(row, mode)) continue;
    const missing = missingFeature(row.insn, flags);
    const reason = exclusionOf(row) ?? (missing && `this host's processor lacks ${missing}`);
    if (reason) {
      totals.excluded.set(reason, [...(totals.excluded.get(reason) ?? []), `${row.insn.name} [${row.text}]`]);
      continue;
    }
    const report = oracle.check(row);
    assert.ok(report.cases > 0, `${row.insn.name} [${row.text}] has no case: give it a form in forms.ts or a reason in exclusions.ts`);
    totals.rows++;
    totals.forms += report.forms;
    totals.cases += report.cases;
    totals.exceptions += report.exceptions;
    if (report.mismatches > 0) failures.push(report);
  }
  totals.differingRows.push(...failures.map(({ row }) => `${row.insn.name} [${row.text}]`));
  return failures;
}

function summary(totals: Totals): string {
  const excluded = [...totals.excluded].map(([reason, rows]) => `${rows.length} rows not compared: ${reason}`);
  const differing = totals.differingRows.length === 0 ? 'none differ' : `${totals.differingRows.length} differ: ${totals.differingRows.join(', ')}`;
  return [`${totals.rows} rows, ${totals.forms} forms, ${totals.cases} cases, ${totals.exceptions} of them exceptions; ${differing}`, ...excluded].join('\n');
}

export interface Engine {
  readonly mode: CaseMode;
  readonly compiled: boolean;
}

/**
 * Every instruction that programs can run, on the emulated processor and on the host's own, from the same states.
 * HANOK_ORACLE_SEED repeats a run, HANOK_ORACLE_CASES sets the cases a form, HANOK_ORACLE_ONLY names instructions.
 */
export function compareEngine({ mode, compiled }: Engine): void {
  const unavailable = nativeOracleUnavailable();
  if (unavailable) {
    test('conformance with the host processor: not applicable', (t) => t.diagnostic(unavailable));
    return;
  }
  const seed = numberFrom('HANOK_ORACLE_SEED', 1);
  const cases = numberFrom('HANOK_ORACLE_CASES', DEFAULT_CASES);
  const casesPerForm = compiled ? Math.ceil(cases / COMPILED_SHARE) : cases;
  const reference = new NativeDriver();
  const flags = hostFlags();
  const subject = createInterpreterDriver({ compiled });
  const name = `${subject.name}, ${mode}-bit mode`;
  const oracle = new Oracle({ reference, subject, seed, casesPerForm, mode });
  const totals: Totals = { rows: 0, forms: 0, cases: 0, exceptions: 0, differingRows: [], excluded: new Map() };
  test(`${name}: conformance with the host processor, HANOK_ORACLE_SEED=${seed}, ${casesPerForm} cases a form`, async (t) => {
    for (const [instruction, insns] of byName()) {
      await t.test(instruction, () => {
        const failures = checkInstruction(oracle, insns, mode, flags, totals);
        assert.equal(failures.length, 0, failures.map(describeRow).join('\n'));
      });
    }
    for (const line of summary(totals).split('\n')) t.diagnostic(`${name}: ${line}`);
  });
}
