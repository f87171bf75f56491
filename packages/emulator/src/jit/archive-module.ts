import { Code, type FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { REGION_WORDS } from '../layout.ts';
import { MEMORY_MAX_PAGES } from '../machine-memory.ts';
import { importCallees } from './region-imports.ts';
import { decodeRegion, linksOf, type Place, type SavedRegion } from './saved-region.ts';
import { PLACE_BYTES } from './template-code.ts';

/** The parameter of each region. */
const CPU_PARAMETER = 0;
const I32_CONST_BYTES = 1;

/**
 * The module of encoded regions of an archive, the first of which has its words from `firstWord` on. It is the same for
 * all machines: what differs from one to another, and from vCPU to vCPU, is read from words of the vCPU's block (REGION_WORDS), where modules that a machine compiles itself have constants.
 * Instantiated, it puts its functions into the table `regions`, from the index `firstRegion` on.
 */
export function writeArchiveModule(regions: readonly Uint8Array[], firstWord: number): Uint8Array {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { minPages: 1, maxPages: MEMORY_MAX_PAGES, shared: true });
  importCallees(module);
  const table = module.importTable('env', 'regions', { min: 0 });
  const first = module.importGlobal('env', 'firstRegion', 'i32', false);
  const type = module.type(['i32'], ['i32']);
  let word = firstWord;
  const functions = regions.map((region) => {
    const f = module.function(type);
    word += writeRegion(f, decodeRegion(region), word);
    return f.index;
  });
  module.elements(table, new Code().globalGet(first), functions);
  return module.toBytes();
}

/** Writes a region with its words from `firstWord` on; how many it has. */
function writeRegion(f: FunctionBuilder, { locals, pages, places, hints, code: body }: SavedRegion, firstWord: number): number {
  for (const type of locals) f.local(type);
  const { code } = f;
  const links = linksOf(places);
  const wordOf = ({ kind, of }: Place) => firstWord + (kind === 'page' ? pages.indexOf(of) : pages.length + links.indexOf(of));
  let from = 0;
  let hint = 0;
  const copy = (to: number) => {
    const shift = code.sizeBytes - from;
    code.buffer.bytes(body.subarray(from, to));
    for (; hint < hints.length && hints[hint]!.offset < to; hint++) code.hintAt(hints[hint]!.offset + shift, hints[hint]!.likely);
  };
  for (const place of places) {
    copy(place.at - I32_CONST_BYTES);
    code.localGet(CPU_PARAMETER).memory('i32.load', REGION_WORDS.offset + 4 * wordOf(place));
    from = place.at + PLACE_BYTES;
  }
  copy(body.length);
  return pages.length + links.length;
}
