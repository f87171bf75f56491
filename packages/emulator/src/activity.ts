import type { VcpuBus } from '@hanok/machine';
import { Vector } from '@hanok/x86';
import type { Event } from './helpers/interrupts.ts';
import type { EngineImports } from './interpreter.ts';
import { CPU, SLOT, vcpuBlockAddress } from './layout.ts';

/**
 * What a vCPU's thread may be doing. The order is that of the numbers in the vCPU's activity word; helpers follow, each
 * with a number of its own.
 */
const ACTIVITIES = [
  'not running', 'interpreter', 'compiled code', 'between slices', 'halted', 'yielding', 'decoding', 'finding regions', 'compiling regions', 'TLB miss', 'page fault',
  'exception', 'interrupt', 'local APIC', 'port read', 'port write', 'mmio read', 'mmio write', 'segment check', 'clock',
] as const;
export type Activity = (typeof ACTIVITIES)[number];

const numberOf = (activity: Activity) => ACTIVITIES.indexOf(activity);
/** Generated code writes these. */
export const ACTIVITY_WORD = { Interpreter: numberOf('interpreter'), Compiled: numberOf('compiled code'), TlbMiss: numberOf('TLB miss') } as const;
const FIRST_HELPER = ACTIVITIES.length;
/** How the activity of a helper, which does what generated code cannot, is called in front of its name. */
export const HELPER_ACTIVITY = 'instruction';

/** What each function that generated code calls does. Helpers have numbers of their own. */
const IMPORT_ACTIVITIES: Readonly<Record<Exclude<keyof EngineImports, 'helper'>, Activity>> = {
  fetchMiss: 'TLB miss', read: 'TLB miss', write: 'TLB miss', modify: 'TLB miss', lock: 'TLB miss', unlock: 'TLB miss',
  regionFetch: 'TLB miss', regionRead: 'TLB miss', regionWrite: 'TLB miss', regionModify: 'TLB miss', regionLock: 'TLB miss',
  decode: 'decoding', cross: 'decoding', nowNs: 'clock', hot: 'finding regions', ungroup: 'finding regions', grow: 'finding regions', entered: 'finding regions', raise: 'exception', segmentLinear: 'segment check',
};

export type ActivityName = Activity | `${typeof HELPER_ACTIVITY} ${string}`;

/** The name of an activity word, whatever its value. */
export function activityName(word: number, helperNames: readonly string[]): ActivityName {
  return ACTIVITIES[word] ?? `${HELPER_ACTIVITY} ${helperNames[word - FIRST_HELPER] ?? 'unknown'}`;
}

/** What delivering an event is. */
export const deliveryActivity = ({ vector, isException = true }: Event): Activity => (!isException ? 'interrupt' : vector === Vector.PF ? 'page fault' : 'exception');

type Call = (a: number, b: number, c: number, d: number) => number;

/** Told what a vCPU's thread does. */
export interface ActivityRecorder {
  /** Does `work`, which is this; whatever it is part of goes on afterwards. */
  during<T>(activity: Activity, work: () => T): T;
  /** A function of up to four numbers that is this activity. */
  recording<F extends (...numbers: never[]) => unknown>(activity: Activity, call: F): F;
  /** A function whose first argument is a helper's number. */
  recordingHelper<F extends (number: number, ...numbers: never[]) => unknown>(call: F): F;
  recordingImports(imports: EngineImports): EngineImports;
  recordingBus(bus: VcpuBus): VcpuBus;
}

/** Of a machine that is not profiled: costs nothing. */
export const NO_RECORDER: ActivityRecorder = {
  during: (_activity, work) => work(),
  recording: (_activity, call) => call,
  recordingHelper: (call) => call,
  recordingImports: (imports) => imports,
  recordingBus: (bus) => bus,
};

/** Keeps a vCPU's activity word, for who samples it from another thread (`ActivityReader`). */
export class ActivityWord implements ActivityRecorder {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(memory: WebAssembly.Memory, vcpu: number) {
    this.#words = new Int32Array(memory.buffer as ArrayBufferLike);
    this.#at = (vcpuBlockAddress(vcpu) + CPU.activity) / 4;
  }

  during<T>(activity: Activity, work: () => T): T {
    const before = this.#words[this.#at]!;
    this.#words[this.#at] = numberOf(activity);
    const result = work();
    this.#words[this.#at] = before;
    return result;
  }

  recording<F extends (...numbers: never[]) => unknown>(activity: Activity, call: F): F {
    return this.#recording(() => numberOf(activity), call as unknown as Call) as unknown as F;
  }

  recordingHelper<F extends (number: number, ...numbers: never[]) => unknown>(call: F): F {
    return this.#recording((number) => FIRST_HELPER + number, call as unknown as Call) as unknown as F;
  }

  #recording(word: (first: number) => number, call: Call): Call {
    const words = this.#words;
    const at = this.#at;
    return (a, b, c, d) => {
      const before = words[at]!;
      words[at] = word(a);
      const result = call(a, b, c, d);
      words[at] = before;
      return result;
    };
  }

  recordingImports(imports: EngineImports): EngineImports {
    const recorded = Object.entries(IMPORT_ACTIVITIES).map(([name, activity]) => [name, this.recording(activity, imports[name as keyof EngineImports])]);
    return { ...(Object.fromEntries(recorded) as EngineImports), helper: this.recordingHelper(imports.helper) };
  }

  recordingBus(bus: VcpuBus): VcpuBus {
    return {
      readPort: (port, width) => this.during('port read', () => bus.readPort(port, width)),
      writePort: (port, value, width) => this.during('port write', () => bus.writePort(port, value, width)),
      readMmio: (gpa, width) => this.during('mmio read', () => bus.readMmio(gpa, width)),
      writeMmio: (gpa, value, width) => this.during('mmio write', () => bus.writeMmio(gpa, value, width)),
    };
  }
}

/** What a vCPU is doing, seen from another thread. */
export class ActivityReader {
  /** The activity word. */
  activity = 0;
  /** Halves of the linear address where the block that runs begins. */
  blockHigh = 0;
  blockLow = 0;
  /** Guest-physical page of the page tables. */
  pageTables = 0;
  readonly #view: DataView;
  readonly #base: number;

  constructor(memory: WebAssembly.Memory, vcpu: number) {
    this.#view = new DataView(memory.buffer);
    this.#base = vcpuBlockAddress(vcpu);
  }

  /** Looks at one moment; the block is tried again where the vCPU goes on meanwhile, and then may be wrong. */
  look(): void {
    const view = this.#view;
    const base = this.#base;
    for (let attempt = 0; attempt < 3; attempt++) {
      const slot = view.getUint32(base + CPU.block, true);
      this.activity = view.getUint32(base + CPU.activity, true);
      this.blockHigh = view.getInt32(base + CPU.codePage + 4, true);
      this.blockLow = (view.getUint32(base + CPU.codePage, true) + (slot === 0 ? 0 : view.getUint16(slot + SLOT.pageOffset, true))) >>> 0;
      this.pageTables = view.getUint32(base + CPU.cr3, true) >>> 12;
      if (slot === view.getUint32(base + CPU.block, true)) return;
    }
  }
}
