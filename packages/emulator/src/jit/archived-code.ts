import type { ArchiveIndex } from './archive-index.ts';
import type { SavedCode } from './region-archive.ts';
import type { VcpuCode } from './vcpu-code.ts';

const PAGE_BYTES = 4096;
/** How often a block is looked for whose pages are not all mapped. */
const TRIES_MAX = 3;

/** What a vCPU may take from an archive instead of having it compiled. */
export class ArchivedCode {
  readonly #ram: Uint8Array;
  #index: ArchiveIndex | undefined;
  /** Tries in vain, by Enter slots. */
  readonly #tries = new Map<number, number>();

  constructor(ram: Uint8Array) {
    this.#ram = ram;
  }

  /** Whether it is known what is in the archive. */
  get isOpen(): boolean {
    return this.#index !== undefined;
  }
  open(index: ArchiveIndex | undefined): void {
    this.#index ??= index;
  }

  /** Whether the archive may have the code at a guest-physical address. */
  mayHave(gpa: number, blockTag: number): boolean {
    return this.#index?.has(this.#ram, gpa, blockTag) ?? false;
  }
  isWorthTrying(slot: number): boolean {
    return (this.#tries.get(slot) ?? 0) < TRIES_MAX;
  }
  failed(slot: number): void {
    this.#tries.set(slot, (this.#tries.get(slot) ?? 0) + 1);
  }
  /** The archive has other code for this slot. */
  gaveUp(slot: number): void {
    this.#tries.set(slot, TRIES_MAX);
  }
  clear(): void {
    this.#tries.clear();
  }

  /** What to ask for; undefined while pages of all that may be it are not mapped. Gives blocks their slots that it leads to and the archive has too. */
  find(source: VcpuCode): SavedCode | undefined {
    const { entryGpa, blockTag } = source;
    const pages = new Map<number, number>();
    const isMapped = (page: number) => {
      const start = source.pageStart(page);
      if (start >= 0) pages.set(page, start);
      return start >= 0;
    };
    const candidates = this.#index!.candidates(this.#ram, entryGpa, blockTag).filter((candidate) => candidate.pages.every(isMapped));
    if (candidates.length === 0) return undefined;
    const slots = new Map<number, number>();
    for (const link of candidates.flatMap(({ links }) => links)) {
      const slot = source.ensureSlot(link, (gpa) => this.mayHave(gpa, blockTag));
      if (slot) slots.set(link, slot);
    }
    return { candidates: candidates.map(({ position }) => position), entry: entryGpa % PAGE_BYTES, blockTag, pages, slots };
  }
}
