import type { RegionArchive } from './region-archive.ts';
import type { Settlement } from './region-compiler.ts';
import type { SavedRegion } from './saved-region.ts';

/** Compiled regions of one vCPU that go into the archive, if their code was not written while they were compiled. */
export class UnsettledRegions {
  readonly #archive: RegionArchive;
  readonly #regions = new Map<number, SavedRegion>();

  constructor(archive: RegionArchive) {
    this.#archive = archive;
  }

  add(id: number, region: SavedRegion): void {
    this.#regions.set(id, region);
  }

  settle({ kept, dropped }: Settlement): void {
    for (const id of kept) {
      const region = this.#regions.get(id);
      if (region) this.#archive.add(region);
    }
    for (const id of [...kept, ...dropped]) this.#regions.delete(id);
  }
}
