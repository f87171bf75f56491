import type { Code, ModuleBuilder } from '@hanok/wasm';
import { Vector } from '@hanok/x86';
import { ACTIVITY_WORD } from './activity.ts';
import { NEAR_LIMIT_BYTES } from './code-limit.ts';
import { emitRip } from './rip-emit.ts';
import { pushHashPlace } from './hash-place.ts';
import { BREAK_FAULT } from './helper.ts';
import type { Handler, ImportIndices } from './interpreter.ts';
import { type Callees, type Flow, Lowering } from './ir.ts';
import { countEntry } from './count-entry.ts';
import { BLOCK_HASH, CPU, CROSS, ENTER, NO_REGIONS, REGION_END, RUN_END, SLOT, SPECIAL, STATUS, TLB } from './layout.ts';
import { pushTlbOffset } from './memory-emit.ts';

interface Parts {
  readonly callees: Callees;
  readonly imports: ImportIndices;
  readonly walkForFetch: number;
  readonly coldType: number;
  readonly table: number;
  /** The function that runs regions one after another. */
  readonly chain: number;
  /** Whether generated code says what it does, for a profile. */
  readonly recordsActivity: boolean;
}

/**
 * Locals of the main function; 0 is its parameter. Within the loop over a block's slots only `slot` changes from one to the next,
 * so that V8 has nothing else to move at each instruction: what is needed between blocks is in memory.
 */
interface Locals {
  readonly cpu: number;
  readonly slot: number;
  /** Slot of a direct branch that waits to be told its target's slot, or 0. */
  readonly link: number;
  readonly tlb: number;
  readonly status: number;
  readonly address: number;
  readonly hash: number;
  readonly rip: number;
  readonly linear: number;
  readonly tag: number;
  /** Nonzero while the next block is to be interpreted even where it is compiled. */
  readonly interpret: number;
}

/**
 * The main function: run(cpu, budget) → RUN_END. One loop finds the block at RIP, an inner one executes its decoded
 * instructions through a jump table. Between blocks it checks the budget, which counts instructions, and the flag that
 * others raise for attention: who sees what another vCPU wrote sees its flag too, before it enters translated code.
 */
export function writeRunFunction(module: ModuleBuilder, hot: readonly Handler[], parts: Parts): void {
  const f = module.function(module.type(['i32', 'i32'], ['i32']));
  f.name = 'run';
  module.export('run', 'func', f.index);
  const { code } = f;
  const i32 = () => f.local('i32');
  const i64 = () => f.local('i64');
  const locals: Locals = {
    cpu: 0, slot: i32(), link: i32(), tlb: i32(), status: i32(), address: i32(), hash: i32(), rip: i64(), linear: i64(), tag: i64(), interpret: i32(),
  };
  code.localGet(locals.cpu).localGet(1).memory('i32.store', CPU.budget);
  loadRip(code, locals);
  code.loop();
  const lookup = code.depth;
  writeLookup(code, locals, parts, lookup);
  code.loop();
  const next = code.depth;
  code.i32(0).localSet(locals.link).i32(0).localSet(locals.interpret);
  const labels = { fault: 0, jump: 0, taken: 0, advance: 0 };
  for (const name of ['fault', 'jump', 'taken', 'advance'] as const) {
    code.block();
    labels[name] = code.depth;
  }
  const flow: Flow = {
    fault: (c) => void c.br(c.depth - labels.fault),
    jump: (c) => void c.localSet(locals.rip).br(c.depth - labels.jump),
    branch: (c) => void c.br(c.depth - labels.taken),
    leaveOnStatus: () => {
      throw new Error('a handler of the main function calls no helper');
    },
    interruptWindow: (c) => void endBudget(c.localGet(0).memory('i32.load', CPU.interruptPending).if(), locals).op('end'),
  };
  const lowering = new Lowering(code, (type) => f.local(type), flow, parts.callees, locals.cpu, locals.slot, locals.tlb);
  writeDispatch(code, locals, parts, hot, lowering, labels, lookup);
  code.op('end'); // advance
  code.localGet(locals.slot).i32(SLOT.sizeBytes).op('i32.add').localSet(locals.slot).br(code.depth - next);
  code.op('end'); // taken
  writeTaken(code, locals, next, lookup);
  code.op('end'); // jump
  countExecuted(code, locals);
  code.br(code.depth - lookup);
  code.op('end'); // fault
  code.localGet(locals.slot).call(parts.imports.raise).localSet(locals.status);
  countExecuted(code, locals);
  resume(code, locals, lookup);
  code.op('end').op('end').op('unreachable');
}

const loadRip = (code: Code, l: Locals) => code.localGet(l.cpu).memory('i64.load', CPU.rip).localSet(l.rip);

function leave(code: Code, reason: number): void {
  code.i32(reason).op('return');
}

/** After the host changed RIP: stops when it said so, else looks the new RIP up. */
function resume(code: Code, l: Locals, lookup: number): void {
  code.localGet(l.status).i32(2).op('i32.eq').if();
  leave(code, RUN_END.Stop);
  code.op('end');
  code.i32(0).localSet(l.link);
  loadRip(code, l);
  code.br(code.depth - lookup);
}

/** Says that a run of slots begins to execute at the one on the stack. */
function storeStart(code: Code, l: Locals): void {
  code.localSet(l.slot).localGet(l.cpu).localGet(l.slot).memory('i32.store', CPU.startSlot);
}

const pushBudget = (code: Code, l: Locals) => code.localGet(l.cpu).memory('i32.load', CPU.budget);

/** budget -= instructions from where the run began to `slot`, both included. */
function countExecuted(code: Code, l: Locals): void {
  code.localGet(l.cpu);
  pushBudget(code, l).localGet(l.slot).localGet(l.cpu).memory('i32.load', CPU.startSlot).op('i32.sub').i32(5).op('i32.shr_u').op('i32.sub').i32(1).op('i32.sub').memory('i32.store', CPU.budget);
}

/** One more instruction may run: a slot that stands for none was counted, or is about to be. */
function giveBack(code: Code, l: Locals): void {
  code.localGet(l.cpu);
  pushBudget(code, l).i32(1).op('i32.add').memory('i32.store', CPU.budget);
}

const endBudget = (code: Code, l: Locals) => code.localGet(l.cpu).i32(0).memory('i32.store', CPU.budget);

const storeRip = (code: Code, l: Locals) => code.localGet(l.cpu).localGet(l.rip).memory('i64.store', CPU.rip);

/** Says for a profile which block begins. */
const recordBlock = (code: Code, l: Locals) => code.localGet(l.cpu).localGet(l.slot).memory('i32.store', CPU.block);
const recordActivity = (code: Code, l: Locals, word: number) => code.localGet(l.cpu).i32(word).memory('i32.store', CPU.activity);

function writeLookup(code: Code, l: Locals, { imports, walkForFetch, recordsActivity }: Parts, lookup: number): void {
  pushBudget(code, l).i32(0).op('i32.le_s').localGet(l.cpu).memory('i32.atomic.load', CPU.attention).op('i32.or').if();
  storeRip(code, l);
  leave(code, RUN_END.Budget);
  code.op('end');
  // Near the limit of the code segment each instruction is looked at; in 64-bit mode there is none.
  code.localGet(l.rip).i64(NEAR_LIMIT_BYTES).op('i64.add').localGet(l.cpu).memory('i64.load', CPU.codeLimit).op('i64.gt_u').if();
  storeRip(code, l);
  leave(code, RUN_END.NearLimit);
  code.op('end');
  code.localGet(l.cpu).localGet(l.cpu).memory('i32.load', CPU.tlb).op('i32.add').localSet(l.tlb);
  code.localGet(l.rip).localGet(l.cpu).memory('i64.load', CPU.codeBase).op('i64.add');
  code.localGet(l.cpu).memory('i64.load', CPU.codeMask).op('i64.and').localSet(l.linear);
  pushTlbOffset(code.localGet(l.linear));
  code.localGet(l.tlb).op('i32.add').localSet(l.hash);
  code.localGet(l.hash).memory('i64.load', TLB.tagExecute).localGet(l.linear).i64(-4096).op('i64.and').op('i64.ne').if();
  code.localGet(l.cpu).localGet(l.linear).call(walkForFetch).op('i32.eqz').if();
  storeRip(code, l);
  pushHalves(code, l).call(imports.fetchMiss).localTee(l.status).if();
  resume(code, l, lookup);
  code.op('end').op('end').op('end');
  code.localGet(l.linear).op('i32.wrap_i64').localGet(l.hash).memory('i32.load', TLB.addendExecute).op('i32.add').localSet(l.address);
  code.localGet(l.address).op('i64.extend_i32_u').localGet(l.cpu).memory('i64.load32_u', CPU.blockTag).i64(32).op('i64.shl').op('i64.or').localSet(l.tag);
  pushHashPlace(code, l.cpu, l.address, BLOCK_HASH).localSet(l.hash);
  code.localGet(l.hash).memory('i64.load', BLOCK_HASH.offset).localGet(l.tag).op('i64.eq').if();
  code.localGet(l.hash).memory('i32.load', BLOCK_HASH.offset + 8).localSet(l.slot);
  code.op('else');
  storeRip(code, l);
  code.localGet(l.address);
  pushHalves(code, l).call(imports.decode).localTee(l.slot).i32(0).op('i32.le_s').if();
  code.i32(1).localGet(l.slot).op('i32.sub').localSet(l.status);
  resume(code, l, lookup);
  code.op('end').i32(0).localSet(l.link).op('end');
  code.localGet(l.link).if().localGet(l.link).localGet(l.slot).memory('i32.store', SLOT.displacement).i32(0).localSet(l.link).op('end');
  code.localGet(l.cpu).localGet(l.rip).localGet(l.linear).i64(4095).op('i64.and').op('i64.sub').memory('i64.store', CPU.codePage);
  code.localGet(l.interpret).if();
  code.i32(0).localSet(l.interpret);
  code.localGet(l.slot).memory('i32.load16_u', SLOT.handler).i32(SPECIAL.Enter).op('i32.eq').if();
  code.localGet(l.slot).i32(SLOT.sizeBytes).op('i32.add').localSet(l.slot).op('end').op('end');
  storeStart(code.localGet(l.slot), l);
  if (recordsActivity) recordBlock(code, l);
}

/** The top of a block: runs its region where there is one, or counts towards getting one. */
function writeEnter(code: Code, l: Locals, { imports, chain, recordsActivity }: Parts, lookup: number): void {
  if (recordsActivity) recordBlock(code, l);
  code.localGet(l.cpu).memory('i32.load', CPU.regionBudget).i32(NO_REGIONS).op('i32.eq').hint(false).if().localGet(l.slot).call(imports.entered).op('end');
  code.localGet(l.slot).memory('i32.load', ENTER.region).localTee(l.address).if();
  pushBudget(code, l).localGet(l.cpu).memory('i32.load', CPU.regionBudget).op('i32.gt_s').if();
  countEntry(code, l.slot, l.address, imports.grow);
  if (recordsActivity) recordActivity(code, l, ACTIVITY_WORD.Compiled);
  code.localGet(l.cpu).localGet(l.address).call(chain).localSet(l.status);
  if (recordsActivity) recordActivity(code, l, ACTIVITY_WORD.Interpreter);
  code.localGet(l.status).i32(REGION_END.Stop).op('i32.eq').if();
  leave(code, RUN_END.Stop);
  code.op('end');
  code.localGet(l.status).localSet(l.interpret).i32(0).localSet(l.link);
  loadRip(code, l).br(code.depth - lookup);
  code.op('end').op('else');
  code.localGet(l.slot).localGet(l.slot).memory('i32.load', ENTER.countdown).i32(1).op('i32.sub').localTee(l.address).memory('i32.store', ENTER.countdown);
  code.localGet(l.address).op('i32.eqz').if().localGet(l.slot).call(imports.hot).op('end').op('end');
}

const pushHalves = (code: Code, l: Locals) =>
  code.localGet(l.linear).op('i32.wrap_i64').localGet(l.linear).i64(32).op('i64.shr_u').op('i32.wrap_i64');

/** A direct branch: straight to its target's slot where that is known, else through the lookup, which fills it in. */
function writeTaken(code: Code, l: Locals, next: number, lookup: number): void {
  countExecuted(code, l);
  code.localGet(l.slot).memory('i32.load', SLOT.displacement).localTee(l.address).if();
  pushBudget(code, l).i32(0).op('i32.gt_s').localGet(l.cpu).memory('i32.atomic.load', CPU.attention).op('i32.eqz').op('i32.and').if();
  storeStart(code.localGet(l.address), l);
  code.br(code.depth - next);
  code.op('end').op('end');
  emitRip(code, l.cpu, l.slot, true);
  code.localGet(l.slot).memory('i64.load', SLOT.immediate).op('i64.add').localSet(l.rip);
  // Only within the page may the target be remembered: the mapping of another page can change.
  code.localGet(l.slot).i32(0).localGet(l.rip).localGet(l.cpu).memory('i64.load', CPU.codePage).op('i64.sub').i64(4096).op('i64.lt_u').op('select').localSet(l.link);
  code.br(code.depth - lookup);
}

function writeDispatch(code: Code, l: Locals, parts: Parts, hot: readonly Handler[], lowering: Lowering, labels: Record<string, number>, lookup: number): void {
  const specials = Object.keys(SPECIAL).length;
  const count = specials + hot.length;
  code.block(); // everything else: cold
  for (let index = count - 1; index >= 0; index--) code.block();
  code.localGet(l.slot).memory('i32.load16_u', SLOT.handler);
  code.brTable(Array.from({ length: count }, (_, index) => index), count);
  for (let index = 0; index < specials; index++) {
    code.op('end');
    writeSpecial(code, l, parts, lowering, labels, index, lookup);
  }
  for (const handler of hot) {
    code.op('end');
    lowering.releaseLocals();
    lowering.block(handler.emitter.root);
    code.br(code.depth - labels['advance']!);
  }
  code.op('end');
  code.localGet(l.cpu).localGet(l.slot).localGet(l.slot).memory('i32.load16_u', SLOT.handler).i32(count).op('i32.sub');
  code.callIndirect(parts.coldType, parts.table).localTee(l.status).op('i32.eqz').brIf(code.depth - labels['advance']!);
  code.localGet(l.status).i32(STATUS.Fault).op('i32.eq').brIf(code.depth - labels['fault']!);
  code.localGet(l.status).i32(STATUS.NextSoon).op('i32.eq').if();
  endBudget(code, l).br(code.depth - labels['advance']!).op('end');
  loadRip(code, l);
  code.localGet(l.status).i32(STATUS.JumpSoon).op('i32.eq').if();
  endBudget(code, l).br(code.depth - labels['jump']!).op('end');
  code.localGet(l.status).i32(STATUS.Jump).op('i32.eq').brIf(code.depth - labels['jump']!);
  countExecuted(code, l);
  leave(code, RUN_END.Stop);
}

/** Goes on where the second page of the instruction behind `slot` is still where it was when it was decoded. */
function writeCross(code: Code, l: Locals, { imports, walkForFetch }: Parts, labels: Record<string, number>): void {
  code.block(); // left where the host has to look
  code.localGet(l.cpu).memory('i64.load', CPU.codePage).localGet(l.cpu).memory('i64.load', CPU.codeBase).op('i64.add').i64(4096).op('i64.add');
  pushTlbOffset(code.localGet(l.cpu).memory('i64.load', CPU.codeMask).op('i64.and').localTee(l.linear));
  code.localGet(l.tlb).op('i32.add').localTee(l.hash).memory('i64.load', TLB.tagExecute).localGet(l.linear).op('i64.ne').if();
  code.localGet(l.cpu).localGet(l.linear).call(walkForFetch).op('i32.eqz').brIf(1).op('end');
  code.localGet(l.linear).op('i32.wrap_i64').localGet(l.hash).memory('i32.load', TLB.addendExecute).op('i32.add');
  code.localGet(l.slot).memory('i32.load', CROSS.page).op('i32.eq').brIf(code.depth - labels['advance']!);
  code.op('end');
  code.localGet(l.slot).call(imports.cross).brIf(code.depth - labels['advance']!);
}

function writeSpecial(code: Code, l: Locals, parts: Parts, lowering: Lowering, labels: Record<string, number>, index: number, lookup: number): void {
  const raise = (vector: number, errorCode: number) => {
    code.localGet(l.cpu).i32(vector).memory('i32.store', CPU.faultVector).localGet(l.cpu).i32(errorCode).memory('i32.store', CPU.faultErrorCode);
    lowering.flow.fault(code);
  };
  const again = () => {
    emitRip(code, l.cpu, l.slot, false);
    code.localSet(l.rip);
    // These slots stand for no instruction: one less is counted.
    giveBack(code, l);
    code.br(code.depth - labels['jump']!);
  };
  switch (index) {
    case SPECIAL.Continue:
      giveBack(code, l);
      code.br(code.depth - labels['taken']!);
      break;
    case SPECIAL.Relookup:
      again();
      break;
    case SPECIAL.Cross:
      writeCross(code, l, parts, labels);
      again();
      break;
    case SPECIAL.Enter:
      writeEnter(code, l, parts, lookup);
      code.localGet(l.cpu).localGet(l.slot).i32(SLOT.sizeBytes).op('i32.add').memory('i32.store', CPU.startSlot).br(code.depth - labels['advance']!);
      break;
    case SPECIAL.Break:
      giveBack(code, l);
      raise(BREAK_FAULT, 0);
      break;
    case SPECIAL.Undefined:
      raise(Vector.UD, 0);
      break;
    case SPECIAL.NoDevice:
      raise(Vector.NM, 0);
      break;
    default:
      raise(Vector.GP | 0x80000000, 0);
  }
}
