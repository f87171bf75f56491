import type { KernelSymbols } from '@hanok/boot';
import { type ActivityName, activityName, type CompiledCode } from '@hanok/emulator';
import type { SampledPlace, SamplerResult } from './sampler.ts';

/** Where a machine's time went while it was profiled. */
export interface MachineProfile {
  readonly durationNs: number;
  readonly sampleCount: number;
  readonly places: readonly ProfilePlace[];
  /** Of each vCPU in order of time: indices of `places`, and the time each sample stands for. */
  readonly vcpus: readonly { readonly places: readonly number[]; readonly weightsNs: readonly number[] }[];
  /** Of all vCPUs together. */
  readonly compiledCode: CompiledCode;
  /** Whether the kernel's symbol table was found in its memory. */
  readonly hasSymbols: boolean;
}

/** Something a vCPU did, somewhere in the guest's code, and how long in all. */
export interface ProfilePlace {
  readonly activity: ActivityName;
  readonly ns: number;
  /** Where the block of code begins that ran; undefined where the vCPU ran none. */
  readonly code?: ProfileCode;
}

export interface ProfileCode {
  /** Linear address. */
  readonly address: bigint;
  /** `kernel`, or of user code the page tables' guest-physical address: one a process. */
  readonly space: 'kernel' | `user ${string}`;
  /** A symbol of the kernel's image, else the page. */
  readonly name: string;
  /** From where the name begins. */
  readonly offset: number;
}

const PAGE_BYTES = 4096n;
const KERNEL_HIGH = -1;

/** Gives names to what was sampled. */
export function describeProfile(sampled: SamplerResult, helperNames: readonly string[], symbols: KernelSymbols | undefined, compiledCode: CompiledCode): MachineProfile {
  const places = sampled.places.map((place): ProfilePlace => {
    const activity = activityName(place.activity, helperNames);
    const code = activity === 'not running' || activity === 'halted' ? undefined : describeCode(place, symbols);
    return { activity, ns: place.ns, ...(code ? { code } : {}) };
  });
  return { ...sampled, places, compiledCode, hasSymbols: symbols !== undefined };
}

function describeCode({ high, low, pageTables }: SampledPlace, symbols: KernelSymbols | undefined): ProfileCode | undefined {
  const address = (BigInt(high >>> 0) << 32n) | BigInt(low);
  if (address === 0n) return undefined;
  const space = high < 0 ? 'kernel' : (`user 0x${(pageTables * 4096).toString(16)}` as const);
  const symbol = high === KERNEL_HIGH ? symbols?.find(low) : undefined;
  if (symbol) return { address, space, ...symbol };
  const page = address - (address % PAGE_BYTES);
  return { address, space, name: `0x${page.toString(16)}`, offset: Number(address - page) };
}
