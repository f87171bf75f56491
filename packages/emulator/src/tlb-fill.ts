import type { Code, ModuleBuilder } from '@hanok/wasm';
import { CPU, FILL_LOG, GLOBAL_ENTRY, TLB, TLB_TABLE_BYTES } from './layout.ts';
import { pushTlbOffset } from './memory-emit.ts';
import { MANY_PLACES, WRITER_PLACE, WRITERS_BYTES } from './write-entries.ts';

const PAGE_BYTES = 4096;
/** The half of a page's word in `CodePages` that says who has translated code of it. */
const CODE = 0xffff;

/** What `fill TLB` is told of a translation. */
export const FILL = { fetch: 1, global: 2, writable: 4 } as const;

const CPU_LOCAL = 0;

/**
 * Defines (cpu, linear, guest-physical page in RAM, FILL bits) → the entry, less `TLB.tagExecute` for a fetch: the one place where
 * TLB entries are made. The right to write is given where the page holds no translated code.
 */
export function defineTlbFill(module: ModuleBuilder): number {
  const f = module.function(module.type(['i32', 'i64', 'i32', 'i32'], ['i32']));
  f.name = 'fill TLB';
  const [cpu, linear, page, bits] = [CPU_LOCAL, 1, 2, 3];
  const entry = f.local('i32');
  const at = f.local('i32');
  const word = f.local('i32');
  const { code } = f;
  count(code, CPU.fillCount);
  pushTlbOffset(code.localGet(linear));
  code.localGet(cpu).localGet(cpu).memory('i32.load', CPU.tlb).op('i32.add').op('i32.add').localTee(entry);
  code.localGet(bits).i32(FILL.fetch).op('i32.and').if('i32').i32(TLB.tagExecute).op('else').i32(0).op('end').op('i32.add').localSet(at);
  code.localGet(linear).i64(-PAGE_BYTES).op('i64.and').localSet(linear);
  code.localGet(page).localGet(bits).i32(FILL.global).op('i32.and').if('i32').i32(GLOBAL_ENTRY | 0).op('else').i32(0).op('end').op('i32.or').localSet(word);
  code.block(); // left where the entry is of this very translation, and keeps what it allows
  code.localGet(at).memory('i32.load', TLB.page).localGet(word).op('i32.eq');
  const isTagged = (tag: number) => code.localGet(at).memory('i64.load', tag).localGet(linear).op('i64.eq');
  isTagged(TLB.tagRead);
  isTagged(TLB.tagWrite).op('i32.or').op('i32.and').brIf(0);
  for (const tag of [TLB.tagRead, TLB.tagWrite]) code.localGet(at).i64(-1).memory('i64.store', tag);
  code.localGet(at).localGet(page).i32(12).op('i32.shl').localGet(cpu).memory('i32.load', CPU.ramAddress).op('i32.add').localGet(linear).op('i32.wrap_i64').op('i32.sub').memory('i32.store', TLB.addend);
  code.localGet(at).localGet(word).memory('i32.store', TLB.page);
  code.localGet(bits).i32(FILL.global).op('i32.and').if();
  log(code, at, word, CPU.loggedGlobalFills, FILL_LOG.global);
  code.op('else');
  log(code, at, word, CPU.loggedLocalFills, FILL_LOG.local);
  code.op('end').op('end');
  code.localGet(at).localGet(linear).memory('i64.store', TLB.tagRead);
  code.localGet(bits).i32(FILL.fetch | FILL.writable).op('i32.and').i32(FILL.writable).op('i32.ne').if().localGet(entry).op('return').op('end');
  allowWrites(code, page, word, () => void code.localGet(entry).op('return'));
  code.localGet(at).localGet(linear).memory('i64.store', TLB.tagWrite);
  pushTlbOffset(code.localGet(linear)).localSet(at);
  noteWriter(code, page, at, word);
  code.localGet(entry);
  return f.index;
}

function count(code: Code, field: number): void {
  code.localGet(CPU_LOCAL).localGet(CPU_LOCAL).memory('i32.load', field).i32(1).op('i32.add').memory('i32.store', field);
}

/** Appends an entry to a part of FILL_LOG unless it is full. */
function log(code: Code, at: number, temporary: number, counter: number, entries: number): void {
  code.localGet(CPU_LOCAL).memory('i32.load', counter).localTee(temporary).i32(FILL_LOG.entryCount).op('i32.lt_u').if();
  code.localGet(CPU_LOCAL).localGet(temporary).i32(2).op('i32.shl').op('i32.add').localGet(at).i32(2).op('i32.shr_u').memory('i32.store', entries);
  code.localGet(CPU_LOCAL).localGet(temporary).i32(1).op('i32.add').memory('i32.store', counter).op('end');
}

/** As `CodePages.allowWrites`: says that this vCPU may write the page, and does `refused` where it holds translated code. */
function allowWrites(code: Code, page: number, word: number, refused: () => void): void {
  const pushPage = () => code.localGet(page).i32(2).op('i32.shl').localGet(CPU_LOCAL).memory('i32.load', CPU.codePages).op('i32.add');
  pushPage().memory('i32.atomic.load').localTee(word).i32(CODE).op('i32.and').if();
  refused();
  code.op('end');
  code.localGet(CPU_LOCAL).memory('i32.load', CPU.writerBit).localGet(word).i32(-1).op('i32.xor').op('i32.and').if();
  pushPage().localGet(CPU_LOCAL).memory('i32.load', CPU.writerBit).memory('i32.atomic.rmw.or').i32(CODE).op('i32.and').if();
  refused();
  code.op('end').op('end');
}

/** Notes in `WriteEntries` where in the tables the page may be written by; a place that has become another page's counts no more. */
function noteWriter(code: Code, page: number, place: number, known: number): void {
  const places = [0, 4];
  const pushNote = () => code.localGet(page).i32(Math.log2(WRITERS_BYTES)).op('i32.shl').localGet(CPU_LOCAL).memory('i32.load', CPU.writeEntries).op('i32.add');
  const pushPlace = () => code.localGet(place).i32(WRITER_PLACE).op('i32.add');
  code.block(); // left when it is noted
  for (const offset of places) {
    pushNote().memory('i32.load', offset);
    pushPlace().op('i32.eq').brIf(0);
  }
  pushNote().memory('i32.load').i32(MANY_PLACES).op('i32.eq').brIf(0);
  for (const offset of places) {
    pushNote().memory('i32.load', offset).localTee(known).if('i32');
    code.i32(0);
    for (let table = 0; table < TLB.tableCount; table++) pushWrites(code, page, known, TLB.offset + table * TLB_TABLE_BYTES - WRITER_PLACE);
    code.op('else').i32(0).op('end').op('i32.eqz').if();
    pushNote();
    pushPlace().memory('i32.store', offset).br(1).op('end');
  }
  pushNote().i32(MANY_PLACES).memory('i32.store').op('end');
}

/** Adds to what is on the stack whether the entry of one table at a place lets the page be written. */
function pushWrites(code: Code, page: number, place: number, offset: number): void {
  const entry = () => code.localGet(CPU_LOCAL).localGet(place).op('i32.add');
  entry().memory('i32.load', offset + TLB.page).i32(GLOBAL_ENTRY - 1).op('i32.and').localGet(page).op('i32.eq');
  entry().memory('i64.load', offset + TLB.tagWrite).i64(-1).op('i64.ne').op('i32.and').op('i32.or');
}

/** Defines (cpu, halves of the linear address, page, FILL bits): the same for the host, which has no i64. */
export function defineHostFill(module: ModuleBuilder, fill: number): number {
  const f = module.function(module.type(['i32', 'i32', 'i32', 'i32', 'i32'], []));
  f.name = 'fill TLB for the host';
  f.code.localGet(0).localGet(1).op('i64.extend_i32_u').localGet(2).op('i64.extend_i32_u').i64(32).op('i64.shl').op('i64.or').localGet(3).localGet(4).call(fill).op('drop');
  return f.index;
}
