import { Code, type FunctionBuilder } from '@hanok/wasm';
import type { Value } from '@hanok/x86';
import { type Callees, type Flow, Lowering } from '../ir.ts';
import { CPU, REGION_END, TLB } from '../layout.ts';
import { pushTlbOffset } from '../memory-emit.ts';
import { type CompiledInstruction, type Discovered, REGION_INSTRUCTIONS_MAX } from './control-flow.ts';
import { type FlagState, RegionFlags } from './region-flags.ts';
import { RegionEmitter } from './region-emitter.ts';
import { type Branch, NotCompilable, type RegionExits } from './region-exits.ts';
import { RegionOperands } from './region-operands.ts';
import { RegionState } from './region-state.ts';
import { type Edge, structure, type StructuredBlock } from './structure.ts';

const { Lookup, Interpret } = REGION_END;
const PAGE_BYTES = 4096;
/** What the host's helper call returns: goes on, leaves, leaves with the budget spent, stops. */
export const HELPER_END = { Next: 0, Leave: 1, LeaveSoon: 2, Stop: 3 } as const;
/** Marks a helper call that nothing of the region but its end follows. */
export const LAST_OF_REGION = 0x100;

/** What is the same for all regions of a module. */
export interface RegionCallees extends Callees {
  /** (cpu, linear) → where in wasm memory the page at a linear address lies, fetched from; 0 where that would fault. */
  readonly fetchAddress: number;
  readonly regionHelper: number;
  /** `LEAVE_REGION`. */
  readonly leaveRegion: number;
}

/** Code to be put into the body once all registers of the region are known. */
interface Insertion {
  readonly at: number;
  readonly write: (code: Code) => void;
}

/** Writes the function of one region: (cpu) → REGION_END. */
export class RegionWriter implements Flow, RegionExits {
  flagsHere: FlagState = 'memory';
  readonly #function: FunctionBuilder;
  readonly #body = new Code(4096);
  readonly #state: RegionState;
  readonly #flags: RegionFlags;
  readonly #lowering: Lowering;
  readonly #callees: RegionCallees;
  readonly #helperNumber: (name: string) => number;
  readonly #insertions: Insertion[] = [];
  readonly #labels = new Map<StructuredBlock, number>();
  readonly #flagsAtEntry = new Map<StructuredBlock, FlagState>();
  /** Registers available where a block ends, and so wherever it dominates. */
  readonly #availableAtEnd = new Map<StructuredBlock, number>();
  #loopDepth = 0;
  #instruction: CompiledInstruction | undefined;
  /** Instructions of the block before the present one. */
  #before = 0;

  constructor(f: FunctionBuilder, callees: RegionCallees, helperNumber: (name: string) => number) {
    this.#function = f;
    this.#callees = callees;
    this.#helperNumber = helperNumber;
    this.#state = new RegionState((type) => f.local(type));
    this.#flags = new RegionFlags(this.#state);
    this.#lowering = new Lowering(this.#body, (type) => f.local(type), this, callees, this.#state.cpu, -1, this.#state.tlb);
  }

  write({ blocks, pages }: Discovered, ramBase: number): void {
    this.#tree(structure(blocks)[0]!);
    const { code } = this.#function;
    this.#state.begin(code);
    this.#checkPages(code, pages, ramBase, blocks[0]!.start);
    this.#splice(code);
    code.op('unreachable');
  }

  /** Other pages than the entry's must still be where they were when the region was made. */
  #checkPages(code: Code, pages: ReadonlyMap<number, number>, ramBase: number, entry: number): void {
    const linear = this.#function.local('i64');
    const tlbEntry = this.#function.local('i32');
    for (const [page, start] of pages) {
      if (page === 0) continue;
      pushTlbOffset(code.localGet(this.#state.codePage).i64(page * PAGE_BYTES).op('i64.add').localTee(linear));
      code.localGet(this.#state.tlb).op('i32.add').localTee(tlbEntry).memory('i64.load', TLB.tagExecute).localGet(linear).op('i64.eq').if('i32');
      code.localGet(linear).op('i32.wrap_i64').localGet(tlbEntry).memory('i32.load', TLB.addend).op('i32.add');
      code.op('else').localGet(0).localGet(linear).call(this.#callees.fetchAddress).op('end');
      code.i32(ramBase + start).op('i32.ne').if();
      code.localGet(0).localGet(this.#state.codePage).i64(entry).op('i64.add').memory('i64.store', CPU.rip);
      code.i32(Interpret).op('return').op('end');
    }
  }

  /** Appends the body with what was to be inserted. */
  #splice(code: Code): void {
    let from = 0;
    const body = this.#body;
    const bytes = body.buffer.toBytes();
    const hints = [...body.hints];
    const copy = (to: number) => {
      const shift = code.sizeBytes - from;
      code.buffer.bytes(bytes.subarray(from, to));
      for (const { offset, likely } of hints) if (offset >= from && offset < to) code.hintAt(offset + shift, likely);
      from = to;
    };
    for (const { at, write } of this.#insertions) {
      copy(at);
      write(code);
    }
    copy(body.sizeBytes);
  }

  /** A block and all that it dominates. */
  #tree(block: StructuredBlock): void {
    const { code } = this.#lowering;
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
    if (meets) this.#state.forgetWidths();
    this.#state.available = block.order === 0 ? 0 : this.#availableAtEnd.get(block.dominator!)!;
    let branch: Branch | undefined;
    this.#before = 0;
    for (const instruction of block.code.instructions) {
      const emitter = this.#compile(instruction);
      if (!emitter) {
        this.#endBlock(block);
        this.#exit(instruction.pageOffset, Interpret, this.#before);
        return;
      }
      branch = emitter.branchTaken;
      this.#before++;
      if (emitter.jumpTarget) {
        this.#endBlock(block);
        this.#leaveFor(block, emitter.jumpTarget);
        return;
      }
      if (instruction.traits.endsRegion) {
        this.#endBlock(block);
        this.#exit(instruction.pageOffset + instruction.decoded.lengthBytes, Lookup, this.#before);
        return;
      }
    }
    this.#endBlock(block);
    this.#finish(block, branch);
  }
  #endBlock(block: StructuredBlock): void {
    this.#availableAtEnd.set(block, this.#state.available);
  }

  /** Writes one instruction; undefined where it cannot be part of a region. */
  #compile(instruction: CompiledInstruction): RegionEmitter | undefined {
    const emitter = new RegionEmitter(this.#state, this.#flags, this, instruction, this.#helperNumber);
    const flagsBefore = this.#flags.state;
    const { decoded, traits } = instruction;
    try {
      decoded.row.insn.body(emitter, new RegionOperands(emitter, decoded, traits.access));
    } catch (error) {
      if (!(error instanceof NotCompilable)) throw error;
      this.#flags.state = flagsBefore;
      return undefined;
    }
    this.#instruction = instruction;
    this.#state.provide(this.#lowering.code, emitter.needs, this.#loopDepth > 0);
    this.#state.available |= emitter.written;
    this.#lowering.releaseLocals();
    this.#lowering.block(emitter.root);
    if (emitter.branchTaken?.condition) this.#lowering.local(emitter.branchTaken.condition);
    return emitter;
  }

  #finish(block: StructuredBlock, branch: Branch | undefined): void {
    const { code } = this.#lowering;
    const count = this.#before;
    code.localGet(this.#state.budget).i32(count).op('i32.sub').localSet(this.#state.budget);
    if (!block.target) this.#follow(block, block.next ?? { exit: endOf(block) });
    else if (!branch?.condition) this.#follow(block, block.target);
    else {
      const flags = this.#flags.state;
      const widths = this.#state.width.slice();
      this.#lowering.push(branch.condition).code.if();
      this.#follow(block, block.target);
      code.op('else');
      this.#flags.state = flags;
      this.#state.width.set(widths);
      this.#follow(block, block.next!);
      code.op('end');
    }
  }

  /** A jump whose target only the guest knows: behind a call of this region, or out of it. */
  #leaveFor(block: StructuredBlock, target: Value): void {
    const { code } = this.#lowering;
    const local = this.#lowering.local(target);
    code.localGet(this.#state.budget).i32(this.#before).op('i32.sub').localSet(this.#state.budget);
    const flags = this.#flags.state;
    const widths = this.#state.width.slice();
    for (const site of block.returns) {
      code.localGet(local).localGet(this.#state.codePage).i64(site.code.start).op('i64.add').op('i64.eq').if();
      this.#flags.state = flags;
      this.#state.width.set(widths);
      this.#follow(block, { block: site });
      code.op('end');
    }
    this.#flags.store(this.#lowering, flags);
    code.localGet(0).localGet(local).memory('i64.store', CPU.rip);
    this.#return(Lookup, 0);
  }

  #follow(from: StructuredBlock, edge: Edge): void {
    const { code } = this.#lowering;
    if ('exit' in edge) {
      const interpret = from.code.endsUncompilable && edge === from.next;
      this.#exit(edge.exit, interpret ? Interpret : Lookup, 0);
      return;
    }
    const { block } = edge;
    const isBack = block.order <= from.order;
    if (block.isMerge || block.isLoopHeader) this.#flags.recordKind(this.#lowering, this.#flags.state);
    if (isBack) {
      code.localGet(this.#state.budget).i32(REGION_INSTRUCTIONS_MAX).op('i32.le_s').hint(false).if();
      this.#exit(block.code.start, Lookup, 0);
      code.op('end');
    }
    if (isBack || block.isMerge) code.br(code.depth - this.#labels.get(block)!);
    else {
      this.#flagsAtEntry.set(block, this.#flags.state);
      this.#tree(block);
    }
  }

  /** Leaves for a page offset; `executed` instructions are still to be counted. */
  #exit(pageOffset: number, end: number, executed: number): void {
    const { code } = this.#lowering;
    if (this.#flags.state === 'dynamic') {
      this.#leaveRarely(this.#lowering, pageOffset, end, executed, 'dynamic');
      return;
    }
    this.#flags.store(this.#lowering, this.#flags.state);
    code.localGet(0).localGet(this.#state.codePage).i64(pageOffset).op('i64.add').memory('i64.store', CPU.rip);
    this.#return(end, executed);
  }
  #return(end: number, executed: number): void {
    const { code } = this.#lowering;
    code.localGet(0).localGet(this.#state.budget);
    if (executed > 0) code.i32(executed).op('i32.sub');
    code.memory('i32.store', CPU.budget).i32(end).op('return');
  }
  /** The same with as little code as can be. */
  #leaveRarely(l: Lowering, pageOffset: number, end: number, executed: number, flags: FlagState): void {
    const { code } = l;
    code.localGet(0).i64(pageOffset).i32(executed).localGet(this.#state.budget).i32(end);
    this.#flags.pushAll(l, flags);
    code.call(this.#callees.leaveRegion).op('return');
  }

  interpret(l: Lowering): void {
    this.#leaveRarely(l, this.#instruction!.pageOffset, Interpret, this.#before, this.flagsHere);
  }
  leave(l: Lowering, target: number): void {
    const { code } = l;
    this.#flags.spill(l, this.flagsHere);
    code.localGet(0).localGet(target).memory('i64.store', CPU.rip);
    this.#return(Lookup, this.#before + 1);
  }

  callHelper(l: Lowering, number: number, argumentCount: number): void {
    const { code } = l;
    const { decoded, pageOffset } = this.#instruction!;
    const state = this.#state;
    const status = l.temporary('i32');
    const { available } = state;
    const last = this.#instruction!.traits.endsRegion ? LAST_OF_REGION : 0;
    code.i32(number).i32(pageOffset).i32(decoded.lengthBytes | (decoded.segment << 4) | last).i32(argumentCount).call(this.#callees.regionHelper).localTee(status).if();
    code.localGet(0);
    code.i32(0).localGet(state.budget).i32(this.#before + 1).op('i32.sub').localGet(status).i32(HELPER_END.LeaveSoon).op('i32.eq').op('select');
    code.memory('i32.store', CPU.budget);
    code.localGet(status).i32(HELPER_END.Stop).op('i32.eq').i32(1).op('i32.shl').op('return');
    code.op('end');
    const reload = (to: Code) => {
      state.loadRoundingShows(to);
      state.load(to, state.kept(available));
    };
    this.#insertions.push({ at: code.sizeBytes, write: reload });
  }

  /** Memory that is not ordinary, and every exception, is the interpreter's. */
  fault(): void {
    this.interpret(this.#lowering);
  }
  jump(): void {
    throw new Error('regions leave through RegionExits');
  }
  branch(): void {
    throw new Error('regions leave through RegionExits');
  }
  leaveOnStatus(): void {
    throw new Error('regions leave through RegionExits');
  }
  interruptWindow(): void {
    throw new Error('regions leave through RegionExits');
  }
}

function endOf({ code }: StructuredBlock): number {
  const { pageOffset, decoded } = code.instructions.at(-1)!;
  return pageOffset + decoded.lengthBytes;
}
