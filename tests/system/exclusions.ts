/** What another emulator is known to do otherwise than the manual: by guest and test, with the manual's words. */
export interface Exclusion {
  readonly machine: 'qemu' | 'bochs';
  readonly guest: string;
  /** Name of the test; absent where the whole guest cannot run there. */
  readonly test?: string;
  readonly reason: string;
}

const RSVD = 'sets RSVD without P; SDM vol. 3A §4.7: bit 3 can be set only if bit 0 is also set';
const RMW = 'reports the read of a read-modify-write first; a write access it is by SDM vol. 3A §4.7 (W/R), as Bochs and processors have it';
const MOVED = 'runs its old copy of an instruction over a page\'s end; SDM vol. 3A §4.10.4.1: INVLPG drops what was cached';

export const EXCLUSIONS: readonly Exclusion[] = [
  { machine: 'qemu', guest: 'long-paging', test: 'not present', reason: RMW },
  { machine: 'qemu', guest: 'long-page-ends', test: 'modifying over the page\'s end', reason: RMW },
  ...['reserved bits', 'large bit in a PML4 entry', 'NX is reserved without NXE', 'reserved bits of a 2-MiB page', '1-GiB page'].map((test) => ({ machine: 'qemu', guest: 'long-paging', test, reason: RSVD }) as const),
  { machine: 'qemu', guest: 'long-paging', test: 'non-canonical stack', reason: 'raises #GP; SDM vol. 3A §6.15, "#SS": a stack address that is not canonical raises #SS' },
  { machine: 'bochs', guest: 'long-page-ends', test: 'its second page moves', reason: MOVED },
  { machine: 'bochs', guest: 'long-page-ends', test: 'its second page is not for code', reason: MOVED },
];
