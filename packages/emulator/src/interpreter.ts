import { type Code, type FunctionBuilder, ModuleBuilder } from '@hanok/wasm';
import { ALL_ROWS, type ExactFloat, type Row, Vector, type X87Quick } from '@hanok/x86';
import { defineCopyForward, defineFillForward } from './bulk-memory.ts';
import { defineDecodeKnown } from './decode-known.ts';
import { Emitter } from './emitter.ts';
import { emitRip } from './rip-emit.ts';
import { defineFlagFunctions } from './flag-emit.ts';
import { defineExactFloats } from './float/exact-floats.ts';
import { EXACT_FLOATS } from './float/names.ts';
import { FORM_INDEX_COUNT, formKey, formsOf } from './forms.ts';
import { type Callees, type Flow, Lowering } from './ir.ts';
import { CPU, SEGMENT_INDEX, SLOT, SPECIAL, STATUS, segmentField } from './layout.ts';
import { MEMORY_MAX_PAGES } from './machine-memory.ts';
import { emitSlowAddress } from './memory-emit.ts';
import { type Form, SlotOperands } from './operands.ts';
import { defineChain } from './region-chain.ts';
import { defineLeaveRegion } from './jit/leave-region.ts';
import { defineJumpRegions } from './jit/jump-regions.ts';
import { defineLinkRegions } from './jit/link-regions.ts';
import { routineFunctions } from './routines.ts';
import { writeRunFunction } from './run-function.ts';
import { defineWalks } from './page-walk-emit.ts';
import { defineFetchAddress, defineSlowAccess } from './slow-access.ts';
import { defineGroupAccess } from './group-access.ts';
import { defineHostFill, defineTlbFill } from './tlb-fill.ts';
import { defineTimeStamp } from './time-stamp.ts';
import { defineX87Quick } from './x87/quick/functions.ts';
import { X87_QUICK } from './x87/quick/names.ts';

/** A handler: the code of one form, or a special one. */
export interface Handler {
  readonly form: Form;
  readonly emitter: Emitter;
  readonly name: string;
}

/** How the decoder finds handlers in the interpreter's module. */
export interface InterpreterTables {
  /** Per row (in the order of ALL_ROWS) a table by `formIndexOf`; 0xffff where there is no such form. */
  readonly handlers: readonly Uint16Array[];
  readonly helperNames: readonly string[];
  readonly hotCount: number;
}

/** The interpreter as a module, and its tables. */
export interface InterpreterImage extends InterpreterTables {
  readonly bytes: Uint8Array;
}

const SPECIAL_COUNT = Object.keys(SPECIAL).length;

function buildHandler(form: Form, helperNumber: (name: string) => number): Handler {
  const trial = new Emitter(form.mode64, helperNumber);
  const trialOperands = new SlotOperands(trial, form);
  form.row.insn.body(trial, trialOperands);
  const emitter = new Emitter(form.mode64, helperNumber);
  form.row.insn.body(emitter, new SlotOperands(emitter, form, trialOperands.access));
  return { form, emitter, name: `${form.row.insn.name} ${form.row.text}` };
}

/** Handlers worth a place in the main function; the rest are functions of their own, called through a table. */
function isHot({ form, emitter }: Handler): boolean {
  if (emitter.usesHelper || form.locked || !form.mode64 || form.addressBits !== 64 || form.bits === 16) return false;
  return !form.row.operands.some(({ kind }) => 'VWUPQNT'.includes(kind));
}

/** Builds the interpreter from the instruction rows; with `recordsActivity` one that an `ActivityReader` understands. */
export function buildInterpreter(recordsActivity = false): InterpreterImage {
  const helperNames: string[] = [];
  const helperNumber = (name: string) => {
    const known = helperNames.indexOf(name);
    return known >= 0 ? known : helperNames.push(name) - 1;
  };
  const byKey = new Map<string, Handler>();
  for (const row of ALL_ROWS) {
    for (const { form } of formsOf(row)) {
      const key = formKey(form);
      if (!byKey.has(key)) byKey.set(key, buildHandler(form, helperNumber));
    }
  }
  const hot = [...byKey].filter(([, handler]) => isHot(handler));
  const cold = [...byKey].filter(([, handler]) => !isHot(handler));
  const numbers = new Map([...hot, ...cold].map(([key], index) => [key, SPECIAL_COUNT + index]));
  return {
    bytes: buildModule(hot.map(([, handler]) => handler), cold.map(([, handler]) => handler), recordsActivity),
    handlers: ALL_ROWS.map((row) => rowTable(row, numbers)),
    helperNames,
    hotCount: SPECIAL_COUNT + hot.length,
  };
}

function rowTable(row: Row, numbers: ReadonlyMap<string, number>): Uint16Array {
  const table = new Uint16Array(FORM_INDEX_COUNT).fill(0xffff);
  for (const { form, indices } of formsOf(row)) for (const index of indices) table[index] = numbers.get(formKey(form))!;
  return table;
}

/** Functions of the host that generated code calls. */
export interface EngineImports {
  /** Handles a fetch that misses the TLB: 0 goes on, 1 continues at the state block's RIP, 2 stops. */
  fetchMiss(linearLow: number, linearHigh: number): number;
  /** Decodes the block at this address of the wasm memory; its first slot, 0 to continue at the state block's RIP, or -1 to stop. */
  decode(address: number, linearLow: number, linearHigh: number): number;
  /** Checks that the second page of a page-crossing instruction is still where it was: 1 goes on. */
  cross(slot: number): number;
  /** Delivers the exception that the state block names, raised by the instruction in `slot`: 2 stops. */
  raise(slot: number): number;
  /** Runs a helper; a STATUS. */
  helper(number: number, slot: number, argumentCount: number): number;
  /** Slow memory access: an address in wasm memory, or 0 with an exception in the state block. */
  read(linearLow: number, linearHigh: number, sizeBytes: number): number;
  write(linearLow: number, linearHigh: number, sizeBytes: number): number;
  modify(linearLow: number, linearHigh: number, sizeBytes: number): number;
  /** A LOCKed access that is not plain: begins (as `modify`) and ends it. */
  lock(linearLow: number, linearHigh: number, sizeBytes: number): number;
  unlock(linearLow: number, linearHigh: number, sizeBytes: number): number;
  /** Linear address of an offset in a segment outside 64-bit mode, or -1 with an exception in the state block. */
  segmentLinear(segment: number, offset: number, sizeAndWrite: number): number;
  /** Machine time. */
  nowNs(): number;
  /** The block of this Enter slot has run often enough to be compiled. */
  hot(slot: number): void;
  /** The groups of accesses in the region of an Enter slot miss too often. */
  ungroup(slot: number): void;
  /** The region of an Enter slot has been entered from others so often that a larger one is worth while. */
  grow(slot: number): void;
  entered(slot: number): void;
  /** Slow memory access of compiled code: as above, but 0 wherever the interpreter must run the instruction. */
  regionRead(linearLow: number, linearHigh: number, sizeBytes: number): number;
  regionWrite(linearLow: number, linearHigh: number, sizeBytes: number): number;
  regionModify(linearLow: number, linearHigh: number, sizeBytes: number): number;
  regionLock(linearLow: number, linearHigh: number, sizeBytes: number): number;
  /** Address in wasm memory of the page that code at a linear address is fetched from, or 0 where that would fault. */
  regionFetch(linearLow: number, linearHigh: number): number;
}

/** Functions that compiled regions import, and those that the host calls. */
export interface InterpreterExports {
  run(cpu: number, budget: number): number;
  /** See `defineDecodeKnown`. */
  decodeKnown(cpu: number, address: number, pageEnd: number, slot: number, count: number, looks: number): number;
  fillTlb(cpu: number, linearLow: number, linearHigh: number, page: number, bits: number): void;
  readonly regionRead: unknown;
  readonly regionWrite: unknown;
  readonly regionModify: unknown;
  readonly regionLock: unknown;
  readonly fetchAddress: unknown;
  readonly leaveRegion: unknown;
  readonly groupRead: unknown;
  readonly groupWrite: unknown;
  readonly linkRegions: unknown;
  readonly jumpRegions: unknown;
  readonly flagsImage: unknown;
  readonly copyForward: unknown;
  readonly fillForward: unknown;
  readonly timeStamp: unknown;
  /** Exact floating-point operations in the order of EXACT_FLOATS, and then X87_QUICK. */
  readonly floats: unknown;
  readonly flagCF: unknown;
  readonly flagPF: unknown;
  readonly flagAF: unknown;
  readonly flagSF: unknown;
  readonly flagOF: unknown;
  readonly flagL: unknown;
}

export interface ImportIndices {
  readonly fetchMiss: number;
  readonly decode: number;
  readonly cross: number;
  readonly raise: number;
  readonly hot: number;
  readonly grow: number;
  readonly entered: number;
}

function buildModule(hot: readonly Handler[], cold: readonly Handler[], recordsActivity: boolean): Uint8Array {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { minPages: 1, maxPages: MEMORY_MAX_PAGES, shared: true });
  const i32s = (count: number) => Array.from({ length: count }, () => 'i32' as const);
  const host = (name: keyof EngineImports, parameters: number) => module.importFunction('engine', name, module.type(i32s(parameters), ['i32']));
  const grow = module.importFunction('engine', 'grow', module.type(['i32'], []));
  const imports = { grow, entered: module.importFunction('engine', 'entered', module.type(['i32'], [])), fetchMiss: host('fetchMiss', 2), decode: host('decode', 3), cross: host('cross', 1), raise: host('raise', 1), hot: module.importFunction('engine', 'hot', module.type(['i32'], [])) };
  const helper = host('helper', 3);
  const [read, write, modify, lock, unlock] = [host('read', 3), host('write', 3), host('modify', 3), host('lock', 3), host('unlock', 3)];
  const regionAccesses = ([['regionRead', 'read'], ['regionWrite', 'write'], ['regionModify', 'modify'], ['regionLock', 'lock']] as const).map(([name, access]) => ({ name, access, target: host(name, 3) }));
  const regionFetch = host('regionFetch', 2);
  const ungroup = module.importFunction('engine', 'ungroup', module.type(['i32'], []));
  const nowNs = module.importFunction('engine', 'nowNs', module.type([], ['f64']));
  const regionTable = module.importTable('engine', 'regions', { min: 1 });
  const segmentLinear = module.importFunction('engine', 'segmentLinear', module.type(i32s(3), ['f64']));
  const floats = defineExactFloats(module);
  const x87 = defineX87Quick(module);
  const fill = defineTlbFill(module);
  const walks = defineWalks(module, fill, recordsActivity);
  const partial = {
    helper,
    slowRead: defineSlowAccess(module, 'slow read', 'read', walks, read),
    slowWrite: defineSlowAccess(module, 'slow write', 'write', walks, write),
    slowModify: defineSlowAccess(module, 'slow modify', 'modify', walks, modify),
    slowLock: defineSlowAccess(module, 'slow lock', 'lock', walks, lock),
    slowUnlock: defineSlowAccess(module, 'slow unlock', 'other', walks, unlock),
    segmentLinear: defineSegmentLinear(module, segmentLinear),
    ...defineFlagFunctions(module),
    exactFloat: (code: Code, name: ExactFloat) => void code.call(floats.get(name)!),
    x87: (code: Code, name: X87Quick) => void code.call(x87.get(name)!),
    copyForward: defineCopyForward(module),
    fillForward: defineFillForward(module),
    timeStamp: defineTimeStamp(module, nowNs),
  };
  const slowAddress = module.function(module.type(['i32', 'i32'], ['i64']));
  const callees: Callees = { ...partial, slowAddress: slowAddress.index, routine: routineFunctions(module) };
  emitSlowAddress(new Lowering(slowAddress.code, (type) => slowAddress.local(type), coldFlow(slowAddress, undefined), callees, 0, 1, -1));
  const coldType = module.type(['i32', 'i32'], ['i32']);
  const functions = cold.map((handler) => defineCold(module, coldType, handler, callees));
  const table = module.defineTable({ min: Math.max(1, functions.length) });
  const floatTable = module.defineTable({ min: EXACT_FLOATS.length + X87_QUICK.length });
  module.elements(floatTable, 0, [...EXACT_FLOATS.map((name) => floats.get(name)!), ...X87_QUICK.map((name) => x87.get(name)!)]);
  module.export('floats', 'table', floatTable);
  module.elements(table, 0, functions);
  writeRunFunction(module, hot, { callees, imports, walkForFetch: walks.fetch, coldType, table, chain: defineChain(module, regionTable, grow, recordsActivity), recordsActivity });
  for (const { name, access, target } of regionAccesses) module.export(name, 'func', defineSlowAccess(module, name, access, walks, target));
  for (const [name, index] of Object.entries(callees.flag)) module.export(`flag${name}`, 'func', index);
  module.export('fetchAddress', 'func', defineFetchAddress(module, walks, regionFetch));
  module.export('fillTlb', 'func', defineHostFill(module, fill));
  for (const [name, index] of Object.entries(defineGroupAccess(module, walks, ungroup))) module.export(name, 'func', index);
  module.export('decodeKnown', 'func', defineDecodeKnown(module));
  module.export('leaveRegion', 'func', defineLeaveRegion(module));
  module.export('linkRegions', 'func', defineLinkRegions(module, regionTable, grow, recordsActivity));
  module.export('jumpRegions', 'func', defineJumpRegions(module, regionTable, grow, recordsActivity));
  for (const name of ['flagsImage', 'copyForward', 'fillForward', 'timeStamp'] as const) module.export(name, 'func', callees[name]);
  return module.toBytes();
}

/** (cpu, offset, segment, size and write) → linear or -1; flat segments need no check. */
function defineSegmentLinear(module: ModuleBuilder, host: number): number {
  const f = module.function(module.type(['i32', 'i64', 'i32', 'i32'], ['i64']));
  f.name = 'segment linear';
  f.code.localGet(0).memory('i32.load', CPU.flatSegments).localGet(2).op('i32.shr_u').i32(1).op('i32.and').if();
  f.code.localGet(1).op('return').op('end');
  f.code.localGet(2).localGet(1).op('i32.wrap_i64').localGet(3).call(host).op('i64.trunc_f64_s');
  return f.index;
}

/** Control flow of a handler that is a function (cpu, slot) → STATUS. */
function coldFlow(f: FunctionBuilder, form: Form | undefined): Flow & { atEnd(code: Code): void } {
  const leave = (code: Code, status: number) => void code.i32(status).op('return');
  let target = -1;
  /** Nonzero when an interrupt waits that the instruction lets in. */
  let soon = -1;
  const jump = (code: Code) => {
    if (target < 0) target = f.local('i64');
    code.localSet(target).localGet(0).localGet(target).memory('i64.store', CPU.rip);
    pushStatus(code, soon, STATUS.Jump, STATUS.JumpSoon);
    code.op('return');
  };
  /** A branch beyond the code segment's limit raises #GP(0) at the branch. */
  const checkLimit = (code: Code) => {
    if (target < 0) target = f.local('i64');
    code.localTee(target).localGet(0).memory('i64.load32_u', segmentField(SEGMENT_INDEX.CS, 'limit')).op('i64.gt_u').if();
    code.localGet(0).i32(Vector.GP | 0x80000000).memory('i32.store', CPU.faultVector).localGet(0).i32(0).memory('i32.store', CPU.faultErrorCode);
    leave(code, STATUS.Fault);
    code.op('end').localGet(target);
  };
  return {
    fault: (code) => leave(code, STATUS.Fault),
    jump,
    branch(code) {
      emitRip(code, 0, 1, true);
      code.localGet(1).memory('i64.load', SLOT.immediate).op('i64.add');
      if (form && !form.mode64) {
        code.i64((1n << BigInt(form.bits)) - 1n).op('i64.and');
        checkLimit(code);
      }
      jump(code);
    },
    leaveOnStatus(code) {
      const status = f.local('i32');
      code.localTee(status).if().localGet(status).op('return').op('end');
    },
    interruptWindow: (code) => {
      if (soon < 0) soon = f.local('i32');
      code.localGet(0).memory('i32.load', CPU.interruptPending).localSet(soon);
    },
    atEnd: (code) => pushStatus(code, soon, STATUS.Next, STATUS.NextSoon),
  };
}

/** Pushes a status; the second one where the local `soon`, if there is one, says so. */
function pushStatus(code: Code, soon: number, ordinary: number, early: number): void {
  if (soon < 0) code.i32(ordinary);
  else code.i32(early).i32(ordinary).localGet(soon).op('select');
}

function defineCold(module: ModuleBuilder, type: number, handler: Handler, callees: Callees): number {
  const f = module.function(type);
  f.name = handler.name;
  const flow = coldFlow(f, handler.form);
  new Lowering(f.code, (valueType) => f.local(valueType), flow, callees, 0, 1, -1).block(handler.emitter.root);
  flow.atEnd(f.code);
  return f.index;
}

