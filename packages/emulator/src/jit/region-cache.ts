import type { InterpreterExports } from '../interpreter.ts';
import type { ArchivePart } from './region-archive.ts';
import type { CompiledModule } from './region-compiler.ts';

/** How much was compiled: modules, regions and guest instructions in all, and the regions that are still there. */
export interface CompiledCode {
  readonly modules: number;
  readonly regions: number;
  readonly instructions: number;
  readonly liveRegions: number;
}

/** Index 0 of the table stands for no region. */
const FIRST_INDEX = 1;
const TABLE_GROWTH = 1024;

/** Keeps compiled regions in the table that the interpreter calls through. */
export class RegionCache {
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: FIRST_INDEX });
  readonly #memory: WebAssembly.Memory;
  readonly #free: number[] = [];
  #imports: Record<string, unknown> = {};
  #moduleCount = 0;
  #regionCount = 0;
  #instructionCount = 0;
  #liveCount = 0;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  /** Functions of the interpreter's module and the host that regions call. */
  connect(exports: InterpreterExports, regionHelper: (number: number, pageOffset: number, lengthAndSegment: number, argumentCount: number) => number): void {
    this.#imports = { ...exports, memory: this.#memory, regionHelper };
  }

  /** Puts the regions of a module that are still wanted into the table; `install` is told each one's place. */
  add({ module, regions }: CompiledModule, isWanted: (id: number) => boolean, install: (id: number, tableIndex: number, instructionCount: number, moduleNumber: number) => void): void {
    this.#moduleCount++;
    let exports: WebAssembly.Instance['exports'] | undefined;
    for (const { id, instructionCount } of regions) {
      this.#regionCount++;
      this.#instructionCount += instructionCount;
      if (instructionCount === 0 || !isWanted(id)) continue;
      exports ??= new WebAssembly.Instance(module, { env: this.#imports }).exports;
      const place = this.#place();
      this.table.set(place, exports[`r${id}`]);
      install(id, place, instructionCount, this.#moduleCount);
    }
  }

  /** Puts all regions of an archive into the table: the index of the first. */
  addArchive(parts: readonly ArchivePart[]): number {
    const first = this.table.grow(parts.reduce((sum, { regionCount }) => sum + regionCount, 0));
    let firstRegion = first;
    for (const { module, regionCount } of parts) {
      new WebAssembly.Instance(module, { env: { ...this.#imports, regions: this.table, firstRegion } });
      firstRegion += regionCount;
    }
    return first;
  }

  /** The archive's regions are not among them. */
  get counts(): CompiledCode {
    return { modules: this.#moduleCount, regions: this.#regionCount, instructions: this.#instructionCount, liveRegions: this.#liveCount };
  }

  #place(): number {
    if (this.#free.length === 0) {
      const first = this.table.grow(TABLE_GROWTH);
      for (let index = first + TABLE_GROWTH - 1; index >= first; index--) this.#free.push(index);
    }
    this.#liveCount++;
    return this.#free.pop()!;
  }

  /** Frees a region whose code is gone. */
  release(tableIndex: number): void {
    this.table.set(tableIndex, null);
    this.#free.push(tableIndex);
    this.#liveCount--;
  }
}
