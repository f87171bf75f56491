import { BlockIndex } from '../block-index.ts';
import { NO_SLOT, REGION_WORDS } from '../layout.ts';
import { ArchiveIndex, type ArchiveTables, type Candidate } from './archive-index.ts';
import type { VcpuCode } from './vcpu-code.ts';

const PAGE_BYTES = 4096;
/** How often a block is looked for whose pages are not all mapped. */
const TRIES_MAX = 3;
/** Links at most: a guest that moves its code about must not fill the host's memory. Those that are forgotten lead through the lookup. */
const LINKS_MAX = REGION_WORDS.count;

/** A region of the archive where this machine has its code: its place in the table, and where in RAM its pages start. */
export interface FoundRegion {
  readonly tableIndex: number;
  readonly pageStarts: readonly number[];
  readonly isGrown: boolean;
}

/** A word that is to name the block at some address, as long as its region is in use there. */
interface Link {
  readonly region: number;
  /** Which use of the region it is: it may be given up, and used elsewhere. */
  readonly use: number;
  readonly word: number;
}

/** Regions of the archive that a vCPU enters: each where the code it was made from lies, at one place at a time. */
export class ArchivedCode {
  readonly #ram: Uint8Array;
  readonly #words: Int32Array;
  #index: ArchiveIndex | undefined;
  #firstIndex = 0;
  #regionCount = 0;
  /** By their numbers, those that are in use. */
  readonly #uses = new Map<number, number>();
  #nextUse = 1;
  /** By the blocks they lead to. */
  readonly #links = new BlockIndex<Link[]>();
  #linkCount = 0;
  /** Tries in vain, by Enter slots. */
  readonly #tries = new Map<number, number>();

  /** The words are those of a vCPU whose block begins at `blockAddress`. */
  constructor(ram: Uint8Array, blockAddress: number) {
    this.#ram = ram;
    this.#words = new Int32Array(ram.buffer, blockAddress + REGION_WORDS.offset, REGION_WORDS.count);
  }

  /** Whether it is known what is in the archive. */
  get isOpen(): boolean {
    return this.#index !== undefined;
  }
  /** From now on there are `regionCount` regions, from an index of the table on. */
  open(tables: ArchiveTables, regionCount: number, firstIndex: number): void {
    this.#index = new ArchiveIndex(tables);
    this.#firstIndex = firstIndex;
    this.#regionCount = regionCount;
  }

  /** Whether the archive may have the code at a guest-physical address. */
  mayHave(gpa: number, blockTag: number): boolean {
    return this.#regionCount > 0 && this.#index!.has(this.#ram, gpa, blockTag);
  }
  isWorthTrying(slot: number): boolean {
    return (this.#tries.get(slot) ?? 0) < TRIES_MAX;
  }

  /** The region for the block of an Enter slot, ready to be entered; undefined where there is none, or not yet. */
  find(slot: number, source: VcpuCode): FoundRegion | undefined {
    const { found, areMapped } = this.#search(source, () => true);
    if (!found) this.#tries.set(slot, areMapped ? TRIES_MAX : (this.#tries.get(slot) ?? 0) + 1);
    return found;
  }

  /** A larger region for a block that has one. */
  findGrown(source: VcpuCode): FoundRegion | undefined {
    return this.#regionCount > 0 ? this.#search(source, ({ isGrown }) => isGrown).found : undefined;
  }

  #search(source: VcpuCode, suits: (candidate: Candidate) => boolean): { readonly found: FoundRegion | undefined; readonly areMapped: boolean } {
    const { entryGpa, blockTag } = source;
    const pageStart = (page: number) => source.pageStart(page);
    let areMapped = true;
    for (const candidate of this.#index!.candidates(this.#ram, entryGpa, blockTag)) {
      if (this.#uses.has(candidate.number) || !candidate.beginsAt(entryGpa % PAGE_BYTES, blockTag) || !suits(candidate)) continue;
      if (!isMapped(candidate, pageStart)) areMapped = false;
      else if (candidate.hasCode(this.#ram, pageStart)) return { found: this.#use(candidate, source), areMapped };
    }
    return { found: undefined, areMapped };
  }

  #use(region: Candidate, source: VcpuCode): FoundRegion {
    const { number, firstWord, pageCount, linkCount } = region;
    const use = this.#nextUse++;
    this.#uses.set(number, use);
    const pageStarts: number[] = [];
    for (let index = 0; index < pageCount; index++) {
      const start = source.pageStart(region.page(index));
      pageStarts.push(start);
      this.#words[firstWord + index] = this.#ram.byteOffset + start;
    }
    for (let index = 0; index < linkCount; index++) {
      const offset = region.link(index);
      const word = firstWord + pageCount + index;
      this.#words[word] = source.slotOf(offset) || NO_SLOT;
      this.#noteLink(source, offset, { region: number, use, word });
    }
    return { tableIndex: this.#firstIndex + number, pageStarts, isGrown: region.isGrown };
  }

  #noteLink(source: VcpuCode, offset: number, link: Link): void {
    const start = source.pageStart(Math.floor(offset / PAGE_BYTES));
    if (start < 0) return;
    const gpa = start + (offset & (PAGE_BYTES - 1));
    if (this.#linkCount++ === LINKS_MAX) this.#forgetLinks();
    const known = this.#links.get(gpa, source.blockTag);
    if (known) known.push(link);
    else this.#links.set(gpa, source.blockTag, [link]);
  }

  /** A block was decoded: regions that lead to it go on in it from now on. */
  leadTo(slot: number, gpa: number, blockTag: number): void {
    const links = this.#links.get(gpa, blockTag);
    if (!links) return;
    const used = links.filter(({ region, use }) => this.#uses.get(region) === use);
    for (const { word } of used) this.#words[word] = slot;
    this.#linkCount -= links.length - used.length;
    links.splice(0, links.length, ...used);
  }

  /** Whether a place of the table is one of the archive's; its region may then be used elsewhere. */
  release(tableIndex: number): boolean {
    const number = tableIndex - this.#firstIndex;
    if (number < 0 || number >= this.#regionCount) return false;
    this.#uses.delete(number);
    return true;
  }

  clear(): void {
    this.#tries.clear();
    this.#forgetLinks();
  }

  #forgetLinks(): void {
    this.#links.clear();
    this.#linkCount = 0;
  }
}

function isMapped(region: Candidate, pageStart: (page: number) => number): boolean {
  for (let index = 0; index < region.pageCount; index++) if (pageStart(region.page(index)) < 0) return false;
  return true;
}
