import type { RecordedCode } from './recorded-code.ts';
import { type CompiledArchive, NO_ARCHIVE } from './region-archive.ts';
import { RegionModuleBuilder, type RegionModuleOptions } from './region-module-builder.ts';
import { UnsettledRegions } from './unsettled-regions.ts';

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
  /** What became of all regions that were compiled and taken, by their ids: those that proved right may be kept for other machines, others must not. */
  settle(outcome: Settlement): void;
  /** Regions that need not be compiled, once they are there. */
  readonly archive: CompiledArchive | undefined;
}

/** Regions that had their code to the end of a slice, and those whose code was written meanwhile. */
export interface Settlement {
  readonly kept: readonly number[];
  readonly dropped: readonly number[];
}

/** How many regions are compiled together: so many, or those there are after so many slices. */
export interface Batches {
  readonly batchRegions: number;
  readonly batchSlices: number;
}

/** Compiles in the vCPU's own thread. */
export class OwnThreadCompiler implements RegionCompiler {
  readonly archive: CompiledArchive;
  readonly #builder: RegionModuleBuilder;
  readonly #unsettled: UnsettledRegions;
  readonly #batches: Batches;
  #waiting: CompileRequest[] = [];
  #slices = 0;

  constructor(options: RegionModuleOptions, batches: Batches) {
    const { archive = NO_ARCHIVE } = options;
    this.archive = archive.compile();
    this.#builder = new RegionModuleBuilder(options);
    this.#unsettled = new UnsettledRegions(archive);
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
    return this.#builder.build(requests, this.#unsettled);
  }

  settle(outcome: Settlement): void {
    this.#unsettled.settle(outcome);
  }
}
