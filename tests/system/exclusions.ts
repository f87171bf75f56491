/** What another emulator is known to do otherwise than the manual: by guest and test, with the manual's words. */
export interface Exclusion {
  readonly machine: 'qemu' | 'bochs';
  readonly guest: string;
  /** Name of the test; absent where the whole guest cannot run there. */
  readonly test?: string;
  readonly reason: string;
}

export const EXCLUSIONS: readonly Exclusion[] = [
];
