import type { MachineProfile, ProfileCode } from '@hanok/vmm';
import { exitTable } from './exit-table.ts';

/** Rows of the lists of what took longest. */
const ROWS_MAX = 20;
type Counts = readonly { readonly kind: string; readonly count: number }[];

/** What `--profile` prints: time by activity, the symbols and the compiled regions that took longest, and counts. */
export function profileTable(profile: MachineProfile, exits: Counts, instructionCount: number): string {
  const { places, compiledCode, sampleCount, durationNs, vcpus } = profile;
  const totalNs = places.reduce((sum, { ns }) => sum + ns, 0);
  const row = ([name, ns]: readonly [string, number]): string => `${((100 * ns) / Math.max(1, totalNs)).toFixed(1).padStart(6)}% ${(ns / 1e9).toFixed(3).padStart(9)} s  ${name}`;
  const list = (title: string, rows: readonly (readonly [string, number])[]): string[] => (rows.length > 0 ? ['', title, ...rows.map(row)] : []);
  const codeTimes = (isWanted: (activity: string) => boolean, nameOf: (code: ProfileCode) => string) =>
    longest(places.flatMap(({ activity, code, ns }) => (code && isWanted(activity) ? [[nameOf(code), ns] as const] : []))).slice(0, ROWS_MAX);
  const { modules, regions, instructions, liveRegions } = compiledCode;
  return [
    `${(durationNs / 1e9).toFixed(2)} s of ${vcpus.length} vCPU${vcpus.length === 1 ? '' : 's'}, ${sampleCount} samples of each${profile.hasSymbols ? '' : '; no kernel symbols were found'}`,
    ...list('time by what the vCPUs did', longest(places.map(({ activity, ns }) => [activity, ns]))),
    ...list('guest code that took longest, with all that was done for it', codeTimes(() => true, ({ space, name }) => `${space} ${name}`)),
    ...list('compiled regions that took longest', codeTimes((activity) => activity === 'compiled code', regionName)),
    '',
    `compiled: ${regions} regions of ${instructions} instructions in ${modules} modules; ${liveRegions} regions at the end`,
    '',
    exitTable(exits, instructionCount),
  ].join('\n');
}

function regionName({ space, name, offset, address }: ProfileCode): string {
  return `0x${address.toString(16)}  ${space} ${name}+0x${offset.toString(16)}`;
}

/** Adds up what has the same name; the longest first. */
function longest(times: readonly (readonly [string, number])[]): [string, number][] {
  const sums = new Map<string, number>();
  for (const [name, ns] of times) sums.set(name, (sums.get(name) ?? 0) + ns);
  return [...sums].sort((a, b) => b[1] - a[1]);
}
