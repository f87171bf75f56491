import type { CompilePolicy } from './compile-policy.ts';

/** How often blocks run in the interpreter before they are worth compiling, which is less and less as a machine gets its regions. */
export class BlockCounts {
  readonly #policy: CompilePolicy;
  readonly #newRegions: number;
  readonly #dropsByPage = new Map<number, number>();
  #known = 0;
  #compiled = 0;

  /** `newRegions` are a machine's, of which each vCPU has its share. */
  constructor(policy: CompilePolicy, vcpuCount: number) {
    this.#policy = policy;
    this.#newRegions = (policy.newRegions ?? 0) / vcpuCount;
  }

  /** Earlier machines left so many regions. */
  foundArchive(regionCount: number): void {
    this.#known = regionCount;
  }
  compiledOne(): void {
    this.#compiled++;
  }
  droppedPage(page: number): void {
    this.#dropsByPage.set(page, this.dropsOf(page) + 1);
  }
  dropsOf(page: number): number {
    return this.#dropsByPage.get(page) ?? 0;
  }

  /** For a block on a page of which nothing was dropped. */
  get usual(): number {
    const { hotCount, unknownFactor = 1, newFactor = 1 } = this.#policy;
    if (this.#known + this.#compiled < this.#newRegions) return hotCount * newFactor;
    return this.#known === 0 ? hotCount * unknownFactor : hotCount;
  }

  /** For a new block on a page. */
  of(page: number): number {
    return this.usual << Math.min(this.dropsOf(page), this.#policy.doublingsMax);
  }
}
