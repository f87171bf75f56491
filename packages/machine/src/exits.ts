/** What a guest can do that needs the hypervisor. The order is the layout of the shared counters. */
export const EXIT_KINDS = [
  'port read',
  'port write',
  'mmio read',
  'mmio write',
  'hypercall',
  'cpuid',
  'msr read',
  'msr write',
  'control register',
  'descriptor table',
  'tlb invalidate',
  'page fault',
  'exception',
  'software interrupt',
  'interrupt',
  'halt',
  'tlb miss',
  'self-modifying code',
] as const;

export type ExitKind = (typeof EXIT_KINDS)[number];

/** Counts of exits in shared memory: one writer (the vCPU's thread), any reader. */
export class ExitCounters {
  static readonly sizeBytes = EXIT_KINDS.length * 8;
  readonly #counts: Float64Array;

  constructor(buffer: ArrayBufferLike, offsetBytes = 0) {
    this.#counts = new Float64Array(buffer, offsetBytes, EXIT_KINDS.length);
  }

  static indexOf(kind: ExitKind): number {
    return EXIT_KINDS.indexOf(kind);
  }

  count(index: number, times = 1): void {
    this.#counts[index]! += times;
  }

  /** The counts so far, by name. */
  read(): { kind: ExitKind; count: number }[] {
    return EXIT_KINDS.map((kind, index) => ({ kind, count: this.#counts[index]! }));
  }
}
