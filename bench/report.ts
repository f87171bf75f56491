import { formatTable, geometricMean, median } from './statistics.ts';

/** Nanoseconds of each round of one workload, and the number it printed. */
export interface WorkloadResult {
  readonly column: string;
  readonly name: string;
  readonly result: string;
  readonly roundsNs: readonly number[];
}

export interface EngineResults {
  readonly name: string;
  readonly workloads: readonly WorkloadResult[];
}

/** Reads the lines `workload COLUMN NAME RESULT NS…`. */
export function parseResults(engine: string, lines: readonly string[]): WorkloadResult[] {
  const failure = lines.find((line) => line.startsWith('failed'));
  if (failure) throw new Error(`${engine}: ${failure}`);
  return lines.flatMap((line) => {
    const [kind, column, name, result, ...rounds] = line.trim().split(' ');
    return kind === 'workload' ? [{ column: column!, name: name!, result: result!, roundsNs: rounds.map(Number) }] : [];
  });
}

/** The first round warms up; the median of the others counts. */
const warmNs = ({ roundsNs }: WorkloadResult) => median(roundsNs.length > 1 ? roundsNs.slice(1) : roundsNs);

/** Prints each workload's time in milliseconds and times native speed, per engine; then geometric means by column. */
export function printReport(engines: readonly EngineResults[]): void {
  const [native, ...guests] = engines as [EngineResults, ...EngineResults[]];
  const find = (engine: EngineResults, { name, result }: WorkloadResult) => {
    const found = engine.workloads.find((one) => one.name === name);
    if (found?.result !== result) throw new Error(`${engine.name}: ${name} gave ${found?.result ?? 'nothing'}, native ${result}`);
    return found;
  };
  const slowdown = (engine: EngineResults, one: WorkloadResult) => warmNs(find(engine, one)) / warmNs(one);
  const warmUp = (engine: EngineResults, one: WorkloadResult) => {
    const found = find(engine, one);
    return found.roundsNs[0]! / warmNs(found);
  };
  const [reference, ours] = [guests[0]!, guests.at(-1)!];
  const header = ['workload', 'native ms', ...guests.map(({ name }) => `${name} x`), `${ours.name}/${reference.name}`, ...guests.map(({ name }) => `${name} first/warm`)];
  const summary = (label: string, chosen: readonly WorkloadResult[]) => {
    const means = guests.map((engine) => geometricMean(chosen.map((one) => slowdown(engine, one))));
    const warm = guests.map((engine) => geometricMean(chosen.map((one) => warmUp(engine, one))));
    return [label, '', ...means.map((mean) => mean.toFixed(2)), (means.at(-1)! / means[0]!).toFixed(2), ...warm.map((ratio) => ratio.toFixed(2))];
  };
  const rows = native.workloads.map((one) => {
    const ratios = guests.map((engine) => slowdown(engine, one));
    return [`${one.column} ${one.name}`, (warmNs(one) / 1e6).toFixed(1), ...ratios.map((ratio) => ratio.toFixed(2)), (ratios.at(-1)! / ratios[0]!).toFixed(2), ...guests.map((engine) => warmUp(engine, one).toFixed(2))];
  });
  const columns = [...new Set(native.workloads.map(({ column }) => column))];
  const means = columns.map((column) => summary(column, native.workloads.filter((one) => one.column === column)));
  process.stdout.write(formatTable([header, ...rows, [], ...means, summary('all', native.workloads)].map((row) => (row.length ? row : header.map(() => '')))));
}
