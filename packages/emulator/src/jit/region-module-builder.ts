import { ModuleBuilder } from '@hanok/wasm';
import { Decoder } from '@hanok/x86';
import { alwaysRaises } from '../always-raised.ts';
import { MEMORY_MAX_PAGES } from '../machine-memory.ts';
import { type RecordedCode, recordedSource } from './recorded-code.ts';
import { regionBlocks } from './region-blocks.ts';
import type { CompileRequest, CompiledModule } from './region-compiler.ts';
import { importCallees } from './region-imports.ts';
import { RegionWriter } from './region-writer.ts';
import { TemplateCache } from './template-cache.ts';
import type { RegionCallees } from './template-writer.ts';
import { VectorConstants } from './virtual-locals.ts';

/** Where regions come from, the guest's RAM, and the helpers they call. */
export interface RegionModuleOptions {
  readonly ram: Uint8Array;
  readonly helperNames: readonly string[];
}

/** Writes regions, several to a WebAssembly module. */
export class RegionModuleBuilder {
  readonly #options: RegionModuleOptions;
  readonly #templates: TemplateCache;
  readonly #constants = new VectorConstants();
  readonly #decoder = new Decoder();

  constructor(options: RegionModuleOptions) {
    this.#options = options;
    const helperNumbers = new Map(options.helperNames.map((name, index) => [name, index]));
    const helperNumber = (name: string) => {
      const number = helperNumbers.get(name);
      if (number === undefined) throw new Error(`no helper ${name} for an instruction that names it`);
      return number;
    };
    this.#templates = new TemplateCache({ callees: importCallees(this.#newModule()), constants: this.#constants, helperNumber });
  }

  /** Compiles regions; what cannot be compiled (any more) has no instructions and no export. */
  build(requests: readonly CompileRequest[]): CompiledModule {
    const module = this.#newModule();
    const callees = importCallees(module);
    const regions = requests.map(({ id, code }) => ({ id, instructionCount: this.#write(module, callees, code, id) }));
    return { regions, module: new WebAssembly.Module(module.toBytes() as Uint8Array<ArrayBuffer>) };
  }

  #newModule(): ModuleBuilder {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { minPages: 1, maxPages: MEMORY_MAX_PAGES, shared: true });
    return module;
  }

  #write(module: ModuleBuilder, callees: RegionCallees, code: RecordedCode, id: number): number {
    const { ram } = this.#options;
    const region = regionBlocks(recordedSource(code, ram, this.#decoder, (tag, row) => alwaysRaises(row, tag) === undefined), code.entry, code.instructionsMax);
    if (region.blocks.length === 0) return 0;
    const f = module.function(module.type(['i32'], ['i32']));
    module.export(`r${id}`, 'func', f.index);
    new RegionWriter(f, callees, this.#templates, this.#constants).write(region, ram.byteOffset);
    return region.blocks.reduce((sum, { instructions }) => sum + instructions.length, 0);
  }
}
