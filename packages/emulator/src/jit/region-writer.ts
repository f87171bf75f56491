import type { FunctionBuilder } from '@hanok/wasm';
import type { ValueType } from '@hanok/x86';
import { Lowering } from '../ir.ts';
import { pushCodeWhereabouts } from '../code-epoch.ts';
import { CPU, ENTER, REGION_END, TLB } from '../layout.ts';
import { emitMiss, pushTlbOffset } from '../memory-emit.ts';
import { NO_FLOW } from '../routines.ts';
import { offsetOf } from './call-contexts.ts';
import { GROWN_INSTRUCTIONS_MAX } from './control-flow.ts';
import { loadX87 } from './load-x87.ts';
import { type CompiledInstruction, markDeadFlags, type RegionBlocks } from './region-blocks.ts';
import type { AccessGroup } from './access-groups.ts';
import type { MemoryUses } from './memory-uses.ts';
import { RIP_REGISTER } from './instruction-memory.ts';
import { registerBit } from './register-bits.ts';
import { onStack, RegionCode } from './region-code.ts';
import { type FlagState, RegionFlags } from './region-flags.ts';
import { RegionRegisters } from './region-registers.ts';
import { RegisterWidths } from './register-widths.ts';
import { type Edge, structure, type StructuredBlock } from './structure.ts';
import type { TemplateCache } from './template-cache.ts';
import type { Place } from './saved-region.ts';
import type { Reload } from './template-code.ts';
import type { InstructionTemplate, RegionCallees } from './template-writer.ts';
import { LOCAL, RegionLocals, temporaryName, type VectorConstants } from './virtual-locals.ts';

const { Lookup, Interpret } = REGION_END;
const PAGE_BYTES = 4096;

/** Where registers must be loaded again, once all that the region loads are known. */
interface PlacedReload extends Reload {
  readonly available: number;
  readonly stackOffset: number;
}

/** What differs from one machine to another; and whether accesses to memory are grouped. */
export interface RegionPlace {
  readonly ramBase: number;
  /** The Enter slot. */
  readonly slot: number;
  readonly isGrouped: boolean;
}

/** Writes the function of one region: (cpu) → REGION_END. */
export class RegionWriter {
  readonly #function: FunctionBuilder;
  readonly #locals: RegionLocals;
  readonly #body: RegionCode;
  readonly #registers = new RegionRegisters();
  readonly #flags = new RegionFlags();
  readonly #widths = new RegisterWidths();
  readonly #lowering: Lowering;
  readonly #callees: RegionCallees;
  readonly #templates: TemplateCache;
  readonly #constants: VectorConstants;
  readonly #uses: MemoryUses;
  readonly #reloads: PlacedReload[] = [];
  /** Where the function names what only this machine has. */
  readonly places: Place[] = [];
  /** Of the region that is being written: its pages, and the slots it may go on at; and where RAM lies. */
  #pages: RegionBlocks['pages'] = new Map();
  #slots: RegionBlocks['slots'] = new Map();
  #ramBase = 0;
  /** Where it is entered. */
  #own = { offset: 0, slot: 0 };
  readonly #labels = new Map<StructuredBlock, number>();
  readonly #flagsAtEntry = new Map<StructuredBlock, FlagState>();
  /** Registers available where a block ends, and so wherever it dominates. */
  readonly #availableAtEnd = new Map<StructuredBlock, number>();
  #loopDepth = 0;
  /** Instructions of the block before the present one. */
  #before = 0;
  /** By how much TOP of the x87 has moved since the entry, here and where blocks begin. */
  #stackOffset = 0;
  readonly #stackOffsetAtEntry = new Map<StructuredBlock, number>();

  constructor(f: FunctionBuilder, callees: RegionCallees, templates: TemplateCache, constants: VectorConstants, uses: MemoryUses) {
    this.#uses = uses;
    this.#function = f;
    this.#callees = callees;
    this.#templates = templates;
    this.#constants = constants;
    this.#locals = new RegionLocals((type) => f.local(type));
    this.#body = new RegionCode(this.#locals, 8192);
    this.#lowering = new Lowering(this.#body, noLocal, NO_FLOW, callees, LOCAL.cpu, -1, LOCAL.tlb);
  }

  write({ blocks, pages, slots }: RegionBlocks, { ramBase, slot, isGrouped }: RegionPlace): void {
    this.#pages = pages;
    this.#slots = slots;
    this.#ramBase = ramBase;
    this.#own = { offset: blocks[0]!.start, slot };
    const ordered = structure(blocks);
    const entry = ordered[0]!;
    if (isGrouped) this.#uses.group(ordered);
    for (const { instructions } of blocks) markDeadFlags(instructions);
    this.#stackOffsetAtEntry.set(entry, 0);
    this.#tree(entry);
    this.#body.op('unreachable');
    this.#begin(blocks[0]!.start);
    this.#splice();
  }

  /** What every entry does: loads what stays the same while the region runs, and what its loops read. */
  #begin(entry: number): void {
    const code = new RegionCode(this.#locals);
    const { cpu } = LOCAL;
    code.localGet(cpu).localGet(cpu).memory('i32.load', CPU.tlb).op('i32.add').localSet(LOCAL.tlb);
    code.localGet(cpu).memory('i64.load', CPU.codePage).localSet(LOCAL.codePage);
    code.localGet(cpu).memory('i32.load', CPU.budget).localSet(LOCAL.budget);
    for (const { name, bytes } of this.#constants.among(this.#locals)) code.v128(bytes).localSet(name);
    this.#registers.loadAtEntry(code, this.#locals);
    this.#checkPages(code, entry);
    this.#function.code.append(code);
    this.places.push(...code.places);
  }

  /** Whether the code is right in every module that has the same imports, once its places are. */
  get isPortable(): boolean {
    return !this.#body.callsRoutines;
  }
  get localTypes(): readonly ValueType[] {
    return this.#locals.types;
  }

  /** Other pages than the entry's must still be where they were when the region was made. */
  #checkPages(code: RegionCode, entry: number): void {
    if (this.#pages.size === 1) return;
    const whereabouts = temporaryName('i64', 1)!;
    const pushSlot = () => code.placed('slot', this.#own.offset, this.#own.slot);
    pushCodeWhereabouts(code, LOCAL.cpu, LOCAL.codePage);
    code.localSet(whereabouts);
    pushSlot().memory('i64.load', ENTER.checked).localGet(whereabouts).op('i64.ne').hint(false).if();
    for (const [page, start] of this.#pages) if (page !== 0) this.#checkPage(code, entry, page, start);
    pushSlot().localGet(whereabouts).memory('i64.store', ENTER.checked).op('end');
  }

  #checkPage(code: RegionCode, entry: number, page: number, start: number): void {
    const { cpu, codePage } = LOCAL;
    const linear = temporaryName('i64', 0)!;
    const tlbEntry = temporaryName('i32', 0)!;
    pushTlbOffset(code.localGet(codePage).i64(page * PAGE_BYTES).op('i64.add').localTee(linear));
    code.localGet(LOCAL.tlb).op('i32.add').localTee(tlbEntry).memory('i64.load', TLB.tagExecute).localGet(linear).op('i64.eq').if('i32');
    code.localGet(linear).op('i32.wrap_i64').localGet(tlbEntry).memory('i32.load', TLB.addendExecute).op('i32.add');
    code.op('else').localGet(cpu).localGet(linear).call(this.#callees.fetchAddress).op('end');
    code.placed('page', page, this.#ramBase + start).op('i32.ne').if();
    code.localGet(cpu).localGet(codePage).i64(entry).op('i64.add').memory('i64.store', CPU.rip);
    code.i32(Interpret).op('return').op('end');
  }

  /** Appends the body with the loads it lacks. */
  #splice(): void {
    const { code } = this.#function;
    const body = this.#body;
    const bytes = body.buffer.toBytes();
    let from = 0;
    let hint = 0;
    let place = 0;
    const copy = (to: number) => {
      const shift = code.sizeBytes - from;
      code.buffer.bytes(bytes.subarray(from, to));
      for (; hint < body.hints.length && body.hints[hint]!.offset < to; hint++) code.hintAt(body.hints[hint]!.offset + shift, body.hints[hint]!.likely);
      for (; place < body.places.length && body.places[place]!.at < to; place++) this.places.push({ ...body.places[place]!, at: body.places[place]!.at + shift });
      from = to;
    };
    for (const { at, onlyX87, available, stackOffset } of this.#reloads) {
      copy(at);
      const loads = new RegionCode(this.#locals);
      if (onlyX87) loadX87(loads, this.#locals, stackOffset);
      else this.#registers.loadAgain(loads, this.#locals, available, stackOffset);
      code.append(loads);
    }
    copy(body.sizeBytes);
  }

  /** A block and all that it dominates. */
  #tree(block: StructuredBlock): void {
    const code = this.#body;
    const merges = block.children.filter(({ isMerge }) => isMerge).toReversed();
    if (block.isLoopHeader) {
      code.loop();
      this.#loopDepth++;
      this.#labels.set(block, code.depth);
    }
    for (const merge of merges) {
      code.block();
      this.#labels.set(merge, code.depth);
    }
    this.#block(block);
    for (const merge of merges.toReversed()) {
      code.op('end');
      this.#tree(merge);
    }
    if (!block.isLoopHeader) return;
    code.op('end');
    this.#loopDepth--;
  }

  #block(block: StructuredBlock): void {
    const meets = block.isLoopHeader || block.isMerge;
    this.#flags.state = meets ? 'dynamic' : (this.#flagsAtEntry.get(block) ?? 'memory');
    if (meets) this.#widths.forget();
    this.#registers.available = block.order === 0 ? 0 : this.#availableAtEnd.get(block.dominator!)!;
    this.#before = 0;
    this.#stackOffset = this.#stackOffsetAtEntry.get(block) ?? 0;
    let template: InstructionTemplate | undefined;
    for (const instruction of block.code.instructions) {
      template = this.#place(instruction);
      if (!template) {
        this.#endBlock(block);
        this.#exit(instruction.pageOffset, Interpret, this.#before);
        return;
      }
      this.#before++;
    }
    this.#endBlock(block);
    const last = block.code.instructions.at(-1)!;
    if (template!.jumpTarget >= 0) this.#leaveFor(block, template!.jumpTarget);
    else if (last.traits.endsRegion) this.#exit(last.pageOffset + last.decoded.lengthBytes, Lookup, this.#before);
    else this.#finish(block, template!.condition);
  }
  #endBlock(block: StructuredBlock): void {
    this.#availableAtEnd.set(block, this.#registers.available);
  }

  /** Writes one instruction; undefined where it cannot be part of this region. */
  #place(instruction: CompiledInstruction): InstructionTemplate | undefined {
    const template = this.#templates.find(instruction, this.#flags.state, this.#widths);
    if (!template) return undefined;
    const before = this.#stackOffset;
    if (!this.#locals.haveRoom([...groupNames(instruction), ...template.names.map((name) => onStack(name, before))])) return undefined;
    const body = this.#body;
    const registers = this.#registers;
    for (const group of instruction.groups?.begin ?? []) this.#translate(group, instruction);
    registers.provide(body, template.needs, this.#loopDepth > 0);
    registers.available |= template.written;
    const { available } = registers;
    const stackOffset = (before + template.stackMove) & 7;
    for (const { at, onlyX87 } of template.reloads) this.#reloads.push({ at: body.sizeBytes + at, onlyX87, available, stackOffset });
    body.place(template, instruction, this.#before, before, this.#callees.routine);
    this.#stackOffset = stackOffset;
    this.#flags.state = template.flagsAfter;
    this.#widths.apply(template.widthsWritten);
    return template;
  }

  /** Finds where a group of accesses lies; where that is not to be had at once, the interpreter does them. */
  #translate({ register, displacement, sizeBytes, writes, pointer }: AccessGroup, instruction: CompiledInstruction): void {
    const code = this.#body;
    const isRip = register === RIP_REGISTER;
    const linear = temporaryName('i64', 0)!;
    const seen = temporaryName('i64', 1)!;
    const entry = temporaryName('i32', 0)!;
    const address = LOCAL.pointer + pointer;
    if (!isRip) this.#registers.provide(code, registerBit(register), this.#loopDepth > 0);
    code.localGet(isRip ? LOCAL.codePage : LOCAL.general + register);
    if (displacement !== 0) code.i64(displacement).op('i64.add');
    pushTlbOffset(code.localTee(linear)).localGet(LOCAL.tlb).op('i32.add').localSet(entry);
    code.localGet(linear).op('i32.wrap_i64').localGet(entry).memory('i32.load', TLB.addend).op('i32.add').localSet(address);
    code.localGet(linear).i64(sizeBytes - 1).op('i64.add').i64(-PAGE_BYTES).op('i64.and').localGet(entry).memory('i64.load', writes ? TLB.tagWrite : TLB.tagRead).localTee(seen).op('i64.ne').hint(false).if();
    emitMiss(code, LOCAL.cpu, seen);
    code.localGet(LOCAL.cpu).localGet(linear).i32(sizeBytes).placed('slot', this.#own.offset, this.#own.slot).call(writes ? this.#callees.groupWrite : this.#callees.groupRead).localTee(address).op('i32.eqz').hint(false).if();
    this.#exit(instruction.pageOffset, Interpret, this.#before);
    code.op('end').op('end');
  }

  #finish(block: StructuredBlock, condition: number): void {
    const code = this.#body;
    const count = this.#before;
    code.localGet(LOCAL.budget).i32(count).op('i32.sub').localSet(LOCAL.budget);
    if (!block.target) this.#follow(block, block.next ?? { exit: endOf(block) });
    else if (condition < 0) this.#follow(block, block.target);
    else {
      const flags = this.#flags.state;
      const widths = this.#widths.save();
      const stackOffset = this.#stackOffset;
      code.localGet(condition).if();
      this.#follow(block, block.target);
      code.op('else');
      this.#flags.state = flags;
      this.#widths.restore(widths);
      this.#stackOffset = stackOffset;
      this.#follow(block, block.next!);
      code.op('end');
    }
  }

  /** A jump whose target only the guest knows: behind a call of this region, or out of it. */
  #leaveFor(block: StructuredBlock, target: number): void {
    const code = this.#body;
    code.localGet(LOCAL.budget).i32(this.#before).op('i32.sub').localSet(LOCAL.budget);
    const flags = this.#flags.state;
    const widths = this.#widths.save();
    const stackOffset = this.#stackOffset;
    for (const site of block.returns) {
      code.localGet(target).localGet(LOCAL.codePage).i64(offsetOf(site.code.start)).op('i64.add').op('i64.eq').if();
      this.#flags.state = flags;
      this.#widths.restore(widths);
      this.#stackOffset = stackOffset;
      this.#follow(block, { block: site });
      code.op('end');
    }
    this.#flags.spill(this.#lowering, flags);
    code.localGet(LOCAL.cpu).localGet(target).localGet(LOCAL.budget).returnCall(this.#callees.jumpRegions);
  }

  #follow(from: StructuredBlock, edge: Edge): void {
    const code = this.#body;
    if ('exit' in edge) {
      const interpret = from.code.endsUncompilable && edge === from.next;
      if (interpret) this.#exit(edge.exit, Interpret, 0);
      else this.#link(edge.exit);
      return;
    }
    const { block } = edge;
    const isBack = block.order <= from.order;
    if (block.isMerge || block.isLoopHeader) this.#flags.recordKind(this.#lowering, this.#flags.state);
    if (isBack) {
      code.localGet(LOCAL.budget).i32(GROWN_INSTRUCTIONS_MAX).op('i32.le_s').hint(false).if();
      this.#exit(offsetOf(block.code.start), Lookup, 0);
      code.op('end');
    }
    this.#meetStack(block);
    if (isBack || block.isMerge) code.br(code.depth - this.#labels.get(block)!);
    else {
      this.#flagsAtEntry.set(block, this.#flags.state);
      this.#tree(block);
    }
  }

  /** Where TOP has moved otherwise than on the first path to a block, the x87's locals change their places. */
  #meetStack(block: StructuredBlock): void {
    const stackOffset = this.#stackOffsetAtEntry.get(block);
    if (stackOffset === undefined) this.#stackOffsetAtEntry.set(block, this.#stackOffset);
    else if (stackOffset !== this.#stackOffset) this.#reloads.push({ at: this.#body.sizeBytes, onlyX87: true, available: 0, stackOffset });
  }

  /** Leaves for a page offset, straight for the region there if its slot is known. */
  #link(pageOffset: number): void {
    const code = this.#body;
    const slot = this.#slots.get(pageOffset);
    if (slot === undefined) {
      this.#exit(pageOffset, Lookup, 0);
      return;
    }
    this.#flags.spill(this.#lowering, this.#flags.state);
    code.localGet(LOCAL.cpu).placed('slot', pageOffset, slot).i64(pageOffset).localGet(LOCAL.budget).returnCall(this.#callees.linkRegions);
  }

  /** Leaves for a page offset; `executed` instructions are still to be counted. */
  #exit(pageOffset: number, end: number, executed: number): void {
    const code = this.#body;
    if (this.#flags.state === 'dynamic') {
      code.localGet(LOCAL.cpu).i64(pageOffset).i32(executed).localGet(LOCAL.budget).i32(end);
      this.#flags.pushAll(code, 'dynamic');
      code.call(this.#callees.leaveRegion).op('return');
      return;
    }
    this.#flags.store(this.#lowering, this.#flags.state);
    code.localGet(LOCAL.cpu).localGet(LOCAL.codePage).i64(pageOffset).op('i64.add').memory('i64.store', CPU.rip);
    this.#return(end, executed);
  }

  #return(end: number, executed: number): void {
    const code = this.#body;
    code.localGet(LOCAL.cpu).localGet(LOCAL.budget);
    if (executed > 0) code.i32(executed).op('i32.sub');
    code.memory('i32.store', CPU.budget).i32(end).op('return');
  }
}

/** Locals that the groups of an instruction need beside its own. */
function groupNames({ groups }: CompiledInstruction): number[] {
  if (!groups || groups.begin.length === 0) return [];
  const registers = groups.begin.flatMap(({ register, pointer }) => [register === RIP_REGISTER ? LOCAL.codePage : LOCAL.general + register, LOCAL.pointer + pointer]);
  return [temporaryName('i64', 0)!, temporaryName('i64', 1)!, temporaryName('i32', 0)!, ...registers];
}

function endOf({ code }: StructuredBlock): number {
  const { pageOffset, decoded } = code.instructions.at(-1)!;
  return pageOffset + decoded.lengthBytes;
}

function noLocal(): never {
  throw new Error('the code between instructions needs no temporaries');
}
