import type { InterpreterExports } from '../interpreter.ts';
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
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_GROWTH });
  readonly #memory: WebAssembly.Memory;
  readonly #free: number[] = [];
  #next = FIRST_INDEX;
  #imports: Record<string, unknown> = {};
  #moduleCount = 0;
  #regionCount = 0;
  #instructionCount = 0;

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

  get counts(): CompiledCode {
    return { modules: this.#moduleCount, regions: this.#regionCount, instructions: this.#instructionCount, liveRegions: this.#next - FIRST_INDEX - this.#free.length };
  }

  #place(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#next === this.table.length) this.table.grow(TABLE_GROWTH);
    return this.#next++;
  }

  /** Frees a region whose code is gone. */
  release(tableIndex: number): void {
    this.table.set(tableIndex, null);
    this.#free.push(tableIndex);
  }
}
