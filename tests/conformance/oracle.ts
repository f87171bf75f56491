import type { Row } from '@hanok/x86';
import { compareResults, type Difference } from './compare.ts';
import { Drafts } from './draft.ts';
import type { ConformanceDriver, TestResult } from './driver.ts';
import { type CaseMode, rowForms } from './forms.ts';
import { generateCase, type GeneratedCase } from './generate.ts';
import { Random } from './random.ts';
import { describeCase } from './report.ts';

export interface RowReport {
  readonly row: Row;
  forms: number;
  cases: number;
  /** Cases in which the reference raised an exception. */
  exceptions: number;
  mismatches: number;
  /** Cases by the part of the state that differs, those with unusual MXCSR or x87 control word apart. */
  readonly aspects: Map<string, number>;
  /** The first case that disagrees, written out. */
  first: string | undefined;
}

export interface OracleOptions {
  readonly reference: ConformanceDriver;
  readonly subject: ConformanceDriver;
  readonly seed: number;
  readonly casesPerForm: number;
  readonly mode: CaseMode;
}

/** Stream of a row: its cases do not depend on which rows ran before. */
function streamOf(row: Row): number {
  let hash = 0x811c9dc5;
  for (const character of `${row.insn.name} ${row.text}`) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  return hash;
}

function runSubject(subject: ConformanceDriver, generated: GeneratedCase): TestResult | string {
  try {
    return subject.run(generated.test);
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

function record(report: RowReport, generated: GeneratedCase, expected: TestResult, actual: TestResult | string): void {
  const differences: Difference[] = typeof actual === 'string'
    ? [{ aspect: 'exception', what: 'the subject failed', expected: 'a result', actual }]
    : compareResults(generated, expected, actual);
  if (differences.length === 0) return;
  report.mismatches++;
  for (const aspect of new Set(differences.map((difference) => difference.aspect))) {
    const key = generated.form.variedControl ? `${aspect} with varied control` : aspect;
    report.aspects.set(key, (report.aspects.get(key) ?? 0) + 1);
  }
  report.first ??= describeCase(generated, expected, differences);
}

/** Compares rows between two drivers. */
export class Oracle {
  readonly #options: OracleOptions;
  readonly #drafts: Drafts;

  constructor(options: OracleOptions) {
    this.#options = options;
    this.#drafts = new Drafts(new Random(options.seed));
  }

  /** Runs all forms of a row. */
  check(row: Row): RowReport {
    const { reference, subject, seed, casesPerForm, mode } = this.#options;
    const random = new Random(seed, streamOf(row));
    const report: RowReport = { row, forms: 0, cases: 0, exceptions: 0, mismatches: 0, aspects: new Map(), first: undefined };
    for (const form of rowForms(row, mode)) {
      report.forms++;
      for (let count = 0; count < casesPerForm; count++) {
        const generated = generateCase(random, this.#drafts, form);
        const expected = reference.run(generated.test);
        report.cases++;
        if (expected.exception) report.exceptions++;
        record(report, generated, expected, runSubject(subject, generated));
      }
    }
    return report;
  }
}

/** One line about a row that disagrees, and its first case. */
export function describeRow(report: RowReport): string {
  const aspects = [...report.aspects].map(([aspect, count]) => `${aspect} ${count}`).join(', ');
  return `${report.row.insn.name} [${report.row.text}]: ${report.mismatches} of ${report.cases} cases differ (${aspects})\n${report.first}`;
}

