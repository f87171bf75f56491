import type { BarGroup } from './chart.ts';
import { formatTable, geometricMean, median } from './statistics.ts';

/** Of one workload the number it printed, and of each run of it the nanoseconds of its rounds. */
export interface WorkloadResult {
  readonly column: string;
  readonly name: string;
  readonly result: string;
  readonly runsNs: readonly (readonly number[])[];
}

/** Results of all workloads; of several engines the first is the native one and the last is ours. */
export interface EngineResults {
  readonly name: string;
  /** No machine: another build of the program, run by the host. */
  readonly isNative?: boolean;
  readonly workloads: readonly WorkloadResult[];
}

/** Reads the lines `workload COLUMN NAME RESULT NS…`. */
export function parseResults(engine: string, lines: readonly string[]): WorkloadResult[] {
  const failure = lines.find((line) => line.startsWith('failed'));
  if (failure) throw new Error(`${engine}: ${failure}`);
  return lines.flatMap((line) => {
    const [kind, column, name, result, ...rounds] = line.trim().split(' ');
    if (kind !== 'workload') return [];
    if (!rounds.length || !rounds.every((ns) => /^\d+$/.test(ns))) throw new Error(`${engine}: "${line}" is no result; something else wrote to the serial port: run it again`);
    return [{ column: column!, name: name!, result: result!, runsNs: [rounds.map(Number)] }];
  });
}

/** The same engines in several turns, as if each had run once. */
export function joinTurns(turns: readonly (readonly EngineResults[])[]): EngineResults[] {
  return turns[0]!.map((engine, index) => ({
    ...engine,
    workloads: engine.workloads.map((one) => ({ ...one, runsNs: turns.flatMap((turn) => counterpart(turn[index]!, one).runsNs) })),
  }));
}

/** The first round of a run warms up; the median of the others counts. */
const warmNs = ({ runsNs }: WorkloadResult) => median(runsNs.flatMap((rounds) => (rounds.length > 1 ? rounds.slice(1) : rounds)));
const firstNs = ({ runsNs }: WorkloadResult) => median(runsNs.map((rounds) => rounds[0]!));

/** The same workload's result of another engine; throws where it did not compute the same. */
function counterpart(engine: EngineResults, { name, result }: WorkloadResult): WorkloadResult {
  const found = engine.workloads.find((one) => one.name === name);
  if (found?.result !== result) throw new Error(`${engine.name}: ${name} gave ${found?.result ?? 'nothing'}, native ${result}`);
  return found;
}

const slowdown = (engine: EngineResults, native: WorkloadResult) => warmNs(counterpart(engine, native)) / warmNs(native);
const meanSlowdown = (engine: EngineResults, natives: readonly WorkloadResult[]) => geometricMean(natives.map((native) => slowdown(engine, native)));
const columnsOf = ({ workloads }: EngineResults) => [...new Set(workloads.map(({ column }) => column))].map((column) => [column, workloads.filter((one) => one.column === column)] as const);

/** Geometric means of the columns and of all, for a chart of the machines. */
export function chartGroups([native, ...guests]: readonly EngineResults[]): BarGroup[] {
  const group = (title: string, chosen: readonly WorkloadResult[]) => ({ title, bars: guests.filter(({ isNative }) => !isNative).map((engine) => ({ label: engine.name, slowdown: meanSlowdown(engine, chosen) })) });
  return [...columnsOf(native!).map(([column, chosen]) => group(column, chosen)), group('all', native!.workloads)];
}

/** Prints each workload's time in milliseconds and times native speed, per engine; then geometric means by column. */
export function printReport(engines: readonly EngineResults[]): void {
  const [native, ...guests] = engines as [EngineResults, ...EngineResults[]];
  const warmUp = (engine: EngineResults, one: WorkloadResult) => {
    const found = counterpart(engine, one);
    return firstNs(found) / warmNs(found);
  };
  const machines = guests.filter(({ isNative }) => !isNative);
  const [ours, references] = [machines.at(-1)!, machines.slice(0, -1)];
  const header = ['workload', 'native ms', ...guests.map(({ name }) => `${name} x`), ...references.map(({ name }) => `${ours.name}/${name}`), ...machines.map(({ name }) => `${name} first/warm`)];
  const figures = (chosen: readonly WorkloadResult[]) => [
    ...guests.map((engine) => meanSlowdown(engine, chosen)),
    ...references.map((engine) => meanSlowdown(ours, chosen) / meanSlowdown(engine, chosen)),
    ...machines.map((engine) => geometricMean(chosen.map((one) => warmUp(engine, one)))),
  ];
  const row = (label: string, nativeMs: string, chosen: readonly WorkloadResult[]) => [label, nativeMs, ...figures(chosen).map((figure) => figure.toFixed(2))];
  const rows = native.workloads.map((one) => row(`${one.column} ${one.name}`, (warmNs(one) / 1e6).toFixed(1), [one]));
  const means = columnsOf(native).map(([column, chosen]) => row(column, '', chosen));
  process.stdout.write(formatTable([header, ...rows, header.map(() => ''), ...means, row('all', '', native.workloads)]));
}
