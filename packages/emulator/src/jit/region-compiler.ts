import type { RecordedCode } from './recorded-code.ts';
import { RegionModuleBuilder, type RegionModuleOptions } from './region-module-builder.ts';

/** A region to compile, by a number that its vCPU gives no other. */
export interface CompileRequest {
  readonly id: number;
  /** The Enter slot of its first block. */
  readonly slot: number;
  readonly code: RecordedCode;
}

/** Regions in a module, each exported as `r` and its id; without instructions where nothing could be compiled. */
export interface CompiledModule {
  readonly regions: readonly { readonly id: number; readonly instructionCount: number }[];
  readonly module: WebAssembly.Module;
}

/** Compiles regions for one vCPU, at once or meanwhile. */
export interface RegionCompiler {
  request(request: CompileRequest): void;
  /** Asked after each slice while there are requests: what is ready. */
  take(): CompiledModule | undefined;
}

/** How many regions are compiled together: so many, or those there are after so many slices. */
export interface Batches {
  readonly batchRegions: number;
  readonly batchSlices: number;
}

/** Compiles in the vCPU's own thread. */
export class OwnThreadCompiler implements RegionCompiler {
  readonly #builder: RegionModuleBuilder;
  readonly #batches: Batches;
  #waiting: CompileRequest[] = [];
  #slices = 0;

  constructor(options: RegionModuleOptions, batches: Batches) {
    this.#builder = new RegionModuleBuilder(options);
    this.#batches = batches;
  }

  request(request: CompileRequest): void {
    this.#waiting.push(request);
  }

  take(): CompiledModule | undefined {
    if (this.#waiting.length === 0) return undefined;
    const { batchRegions, batchSlices } = this.#batches;
    if (this.#waiting.length < batchRegions && ++this.#slices < batchSlices) return undefined;
    this.#slices = 0;
    const requests = this.#waiting;
    this.#waiting = [];
    return this.#builder.build(requests);
  }
}
