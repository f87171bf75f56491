import { type FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { Decoder } from '@hanok/x86';
import { alwaysRaises } from '../always-raised.ts';
import { MEMORY_MAX_PAGES } from '../machine-memory.ts';
import { type RecordedCode, recordedSource } from './recorded-code.ts';
import type { RegionArchive } from './region-archive.ts';
import { MemoryUses } from './memory-uses.ts';
import { regionBlocks } from './region-blocks.ts';
import type { CompileRequest, CompiledModule } from './region-compiler.ts';
import { importCallees } from './region-imports.ts';
import { RegionWriter } from './region-writer.ts';
import { CodeRuns, entryKey } from './saved-region.ts';
import { TemplateCache } from './template-cache.ts';
import type { RegionCallees } from './template-writer.ts';
import type { UnsettledRegions } from './unsettled-regions.ts';
import { VectorConstants } from './virtual-locals.ts';

/** Where regions come from: the guest's RAM, the helpers they call; and the archive for those that are new. */
export interface RegionModuleOptions {
  readonly ram: Uint8Array;
  readonly helperNames: readonly string[];
  readonly archive?: RegionArchive | undefined;
}

/** Writes regions, several to a WebAssembly module. */
export class RegionModuleBuilder {
  readonly #options: RegionModuleOptions;
  readonly #templates: TemplateCache;
  readonly #constants = new VectorConstants();
  readonly #uses: MemoryUses;
  readonly #decoder = new Decoder();

  constructor(options: RegionModuleOptions) {
    this.#options = options;
    const helperNumbers = new Map(options.helperNames.map((name, index) => [name, index]));
    const helperNumber = (name: string) => {
      const number = helperNumbers.get(name);
      if (number === undefined) throw new Error(`no helper ${name} for an instruction that names it`);
      return number;
    };
    this.#uses = new MemoryUses({ constants: this.#constants, helperNumber });
    this.#templates = new TemplateCache({ callees: importCallees(this.#newModule()), constants: this.#constants, helperNumber });
  }

  /** Compiles regions; what cannot be compiled (any more) has no instructions and no export. */
  build(requests: readonly CompileRequest[], unsettled?: UnsettledRegions): CompiledModule {
    const module = this.#newModule();
    const callees = importCallees(module);
    const target = { module, callees, unsettled };
    const regions = requests.map(({ id, slot, code }) => ({ id, instructionCount: this.#write(target, code, id, slot) }));
    return { regions, module: new WebAssembly.Module(module.toBytes() as Uint8Array<ArrayBuffer>) };
  }

  #newModule(): ModuleBuilder {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { minPages: 1, maxPages: MEMORY_MAX_PAGES, shared: true });
    return module;
  }

  #function({ module }: Target, id: number): FunctionBuilder {
    const f = module.function(module.type(['i32'], ['i32']));
    module.export(`r${id}`, 'func', f.index);
    return f;
  }

  #write(target: Target, code: RecordedCode, id: number, slot: number): number {
    const { ram } = this.#options;
    const runs = new CodeRuns();
    const region = regionBlocks(recordedSource(code, ram, this.#decoder, (tag, row) => alwaysRaises(row, tag) === undefined), code.entry, code.instructionsMax, runs);
    if (region.blocks.length === 0) return 0;
    const f = this.#function(target, id);
    const writer = new RegionWriter(f, target.callees, this.#templates, this.#constants, this.#uses);
    writer.write(region, { ramBase: ram.byteOffset, slot, isGrouped: code.isGrouped });
    const instructionCount = region.blocks.reduce((sum, { instructions }) => sum + instructions.length, 0);
    if (target.unsettled && writer.isPortable && code.isGrouped) {
      const { entry, blockTag, isGrown } = code;
      const key = entryKey(ram, code.pages.get(0)! + entry);
      const { localTypes: locals, places } = writer;
      target.unsettled.add(id, { entry, blockTag, key, instructionCount, isGrown, pages: [...region.pages.keys()], runs: runs.runs(), locals, hints: f.code.hints, places, code: f.code.buffer.toBytes() });
    }
    return instructionCount;
  }
}

/** What regions are written into. */
interface Target {
  readonly module: ModuleBuilder;
  readonly callees: RegionCallees;
  readonly unsettled: UnsettledRegions | undefined;
}
