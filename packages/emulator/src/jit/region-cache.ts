import { ModuleBuilder } from '@hanok/wasm';
import { Decoder } from '@hanok/x86';
import type { InterpreterExports } from '../interpreter.ts';
import { EXACT_FLOATS, exactFloatFunctionType } from '../float/names.ts';
import { routineFunctions } from '../routines.ts';
import { X87_QUICK, x87QuickFunctionType } from '../x87/quick/names.ts';
import { type CodeSource, discover, type Discovered } from './control-flow.ts';
import { RegionWriter } from './region-writer.ts';
import { TemplateCache } from './template-cache.ts';
import type { RegionCallees } from './template-writer.ts';
import { VectorConstants } from './virtual-locals.ts';

/** Code found worth compiling: the Enter slot of its first block, and what was discovered from there. */
export interface RegionRequest {
  readonly slot: number;
  readonly code: Discovered;
}

/** How much was compiled: modules, regions and guest instructions in all, and the regions that are still there. */
export interface CompiledCode {
  readonly modules: number;
  readonly regions: number;
  readonly instructions: number;
  readonly liveRegions: number;
}

const FLAGS = ['CF', 'PF', 'AF', 'SF', 'OF'] as const;
/** Index 0 of the table stands for no region. */
const FIRST_INDEX = 1;
const TABLE_GROWTH = 1024;

/** Compiles regions in batches, one module each, and keeps them in the table the interpreter calls through. */
export class RegionCache {
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_GROWTH });
  readonly #memory: WebAssembly.Memory;
  readonly #maxPages: number;
  readonly #templates: TemplateCache;
  readonly #constants = new VectorConstants();
  readonly #ram: Uint8Array;
  readonly #decoder = new Decoder();
  readonly #free: number[] = [];
  #next = FIRST_INDEX;
  #imports: Record<string, unknown> = {};
  #moduleCount = 0;
  #regionCount = 0;
  #instructionCount = 0;

  constructor(memory: WebAssembly.Memory, maxPages: number, ram: Uint8Array, helperNames: readonly string[]) {
    this.#memory = memory;
    this.#maxPages = maxPages;
    this.#ram = ram;
    const helperNumbers = new Map(helperNames.map((name, index) => [name, index]));
    const helperNumber = (name: string) => {
      const number = helperNumbers.get(name);
      if (number === undefined) throw new Error(`no helper ${name} for an instruction that names it`);
      return number;
    };
    // What regions import stands in the same places in all their modules.
    const callees = importCallees(this.#newModule());
    this.#templates = new TemplateCache({ callees, constants: this.#constants, helperNumber });
  }

  /** Functions of the interpreter's module and the host that regions call. */
  connect(exports: InterpreterExports, regionHelper: (number: number, pageOffset: number, lengthAndSegment: number, argumentCount: number) => number): void {
    this.#imports = { ...exports, memory: this.#memory, regionHelper };
  }

  /** Finds the code of a region; undefined where its first instruction cannot be compiled. */
  discover(source: Omit<CodeSource, 'ram' | 'decoder'>, entry: number): Discovered | undefined {
    const code = discover({ ...source, ram: this.#ram, decoder: this.#decoder }, entry);
    return code.blocks[0]?.start === entry ? code : undefined;
  }

  /** Compiles regions; `install` is told each one's place in the table. */
  compile(requests: readonly RegionRequest[], install: (request: RegionRequest, tableIndex: number) => void): void {
    this.#moduleCount++;
    const module = this.#newModule();
    const callees = importCallees(module);
    requests.forEach(({ code }, index) => this.#write(module, callees, code, index));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes() as Uint8Array<ArrayBuffer>), { env: this.#imports });
    requests.forEach((request, index) => {
      const place = this.#place();
      this.table.set(place, instance.exports[`r${index}`]);
      install(request, place);
    });
  }

  #newModule(): ModuleBuilder {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { minPages: 1, maxPages: this.#maxPages, shared: true });
    return module;
  }

  #write(module: ModuleBuilder, callees: RegionCallees, code: Discovered, index: number): void {
    const f = module.function(module.type(['i32'], ['i32']));
    module.export(`r${index}`, 'func', f.index);
    new RegionWriter(f, callees, this.#templates, this.#constants).write(code, this.#ram.byteOffset);
    this.#regionCount++;
    for (const { instructions } of code.blocks) this.#instructionCount += instructions.length;
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

function importCallees(module: ModuleBuilder): RegionCallees {
  const access = module.type(['i32', 'i64', 'i32'], ['i32']);
  const host = (name: string, type: number) => module.importFunction('env', name, type);
  const slowRead = host('regionRead', access);
  const slowWrite = host('regionWrite', access);
  const slowModify = host('regionModify', access);
  const slowLock = host('regionLock', access);
  const fetchAddress = host('fetchAddress', module.type(['i32', 'i64'], ['i32']));
  const flagType = module.type(['i32'], ['i32']);
  const [CF, PF, AF, SF, OF] = FLAGS.map((name) => host(`flag${name}`, flagType)) as [number, number, number, number, number];
  const L = host('flagL', flagType);
  const flagsImage = host('flagsImage', module.type(['i32'], ['i64']));
  const bulk = module.type(['i32', 'i64', 'i64', 'i64', 'i32'], ['i64']);
  const [copyForward, fillForward] = [host('copyForward', bulk), host('fillForward', bulk)];
  const regionHelper = host('regionHelper', module.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
  const leaveRegion = host('leaveRegion', module.type(['i32', 'i64', 'i32', 'i32', 'i32', 'i32', 'i64', 'i64', 'i64', 'i32'], ['i32']));
  const routine = routineFunctions(module);
  const floats = module.importTable('env', 'floats', { min: EXACT_FLOATS.length + X87_QUICK.length });
  const exactFloatTypes = EXACT_FLOATS.map((name) => exactFloatFunctionType(module, name));
  const x87Types = X87_QUICK.map((name) => x87QuickFunctionType(module, name));
  const exactFloat: RegionCallees['exactFloat'] = (code, name) => {
    const index = EXACT_FLOATS.indexOf(name);
    code.i32(index).callIndirect(exactFloatTypes[index]!, floats);
  };
  const x87: RegionCallees['x87'] = (code, name) => {
    const index = X87_QUICK.indexOf(name);
    code.i32(EXACT_FLOATS.length + index).callIndirect(x87Types[index]!, floats);
  };
  return { exactFloat, x87, slowRead, slowWrite, slowModify, slowLock, slowUnlock: -1, flag: { CF, PF, AF, SF, OF, L }, flagsImage, copyForward, fillForward, routine, regionHelper, leaveRegion, fetchAddress, slowAddress: -1, segmentLinear: -1, helper: -1 };
}
