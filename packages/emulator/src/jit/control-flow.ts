import { CALL, type Decoded, type DecodeFailure, type Decoder, INSTRUCTION_BYTES_MAX, JMP_INDIRECT, type OperandSpec, RET, type Row } from '@hanok/x86';
import { type Traits, traitsOf } from './traits.ts';

/** Instructions of one region at most. */
export const REGION_INSTRUCTIONS_MAX = 128;
/** Pages it lies on at most. */
const REGION_PAGES_MAX = 4;
/** Blocks that an indirect jump is tried for in the region itself. */
const JUMP_TARGETS_MAX = 16;
const PAGE_BYTES = 4096;

/** One instruction of a region. */
export interface CompiledInstruction {
  readonly decoded: Decoded;
  readonly pageOffset: number;
  readonly traits: Traits;
  /** The bytes that say what it does: all but a relative target. */
  readonly key: string;
  /** Nothing can see the flags it sets. */
  flagsDead: boolean;
}

/** A straight run of instructions; control enters at its top only and leaves at its bottom, or by an exit in between. */
export interface RegionBlock {
  readonly start: number;
  readonly instructions: CompiledInstruction[];
  /** Where control goes on after the last instruction, and where its branch leads; outside the region too. */
  next: number | undefined;
  target: number | undefined;
  /** Where the near return at its end may lead (behind the calls of the region), or its indirect jump. */
  returns: readonly number[];
  /** The block ends because the interpreter must run what follows. */
  endsUncompilable: boolean;
}

/** What discovery asks of its surroundings. Offsets count from the page of the region's entry, also beyond its ends. */
export interface CodeSource {
  readonly ram: Uint8Array;
  readonly decoder: Decoder;
  /** Where in `ram` the page with this number (0 is the entry's) starts, or -1 where there is none to be had. */
  pageStart(page: number): number;
  /** Whether code at this offset has run. */
  hasRun(offset: number): boolean;
  /** Where blocks begin on the page of this offset that have run often, the nearest first: cases of a switch stand behind its jump. */
  hotBlocks(offset: number): number[];
  /** Whether the instruction may be executed at all in this state of the control registers. */
  works(row: Row): boolean;
}

/** Blocks, and the pages they lie on: numbers relative to the entry's, and where each starts in RAM. */
export interface Discovered {
  readonly blocks: RegionBlock[];
  readonly pages: ReadonlyMap<number, number>;
}

/** Follows direct control flow from `entry`, over calls and pages; blocks come in no particular order, the entry's first. */
export function discover(source: CodeSource, entry: number): Discovered {
  return new Discovery(source).run(entry);
}

class Discovery {
  readonly #source: CodeSource;
  readonly #instructions = new Map<number, CompiledInstruction | undefined>();
  readonly #pages = new Map<number, number>();
  readonly #crossing = new Uint8Array(2 * INSTRUCTION_BYTES_MAX);

  constructor(source: CodeSource) {
    this.#source = source;
  }

  run(entry: number): Discovered {
    const instructions = this.#instructions;
    const leaders = new Set([entry]);
    const returns: number[] = [];
    const jumpTargets = new Set<number>();
    const work = [entry];
    while (work.length > 0) {
      let at = work.shift()!;
      while (!instructions.has(at) && instructions.size < REGION_INSTRUCTIONS_MAX) {
        const instruction = this.#decode(at);
        instructions.set(at, instruction);
        if (!instruction) break;
        const { decoded } = instruction;
        const next = at + decoded.lengthBytes;
        const target = relativeTarget(instruction);
        const follows = target !== undefined && this.#source.hasRun(target);
        if (follows) {
          leaders.add(target);
          work.push(target);
        }
        if (instruction.traits.endsRegion) break;
        if (isIndirectJump(decoded)) {
          for (const hot of this.#source.hotBlocks(at).slice(0, JUMP_TARGETS_MAX)) {
            jumpTargets.add(hot);
            leaders.add(hot);
            work.push(hot);
          }
        }
        if (decoded.row.options.ends) {
          if (follows && isCall(decoded)) {
            returns.push(next);
            leaders.add(next);
            work.push(next);
          }
          break;
        }
        if (target !== undefined) leaders.add(next);
        at = next;
      }
    }
    const present = (sites: Iterable<number>) => [...sites].filter((site) => instructions.get(site));
    return { blocks: formBlocks(instructions, leaders, entry, { returns: present(returns), jumps: present(jumpTargets) }), pages: this.#pages };
  }

  #pageStart(page: number): number {
    const known = this.#pages.get(page);
    if (known !== undefined) return known;
    if (this.#pages.size === REGION_PAGES_MAX) return -1;
    const start = this.#source.pageStart(page);
    if (start >= 0) this.#pages.set(page, start);
    return start;
  }

  #decode(at: number): CompiledInstruction | undefined {
    const page = Math.floor(at / PAGE_BYTES);
    const start = this.#pageStart(page);
    if (start < 0) return undefined;
    const { ram, decoder } = this.#source;
    const from = start + at - page * PAGE_BYTES;
    let decoded = decoder.decode(ram, from, start + PAGE_BYTES, 64);
    const crosses = decoded === 'more';
    if (crosses) decoded = this.#decodeCrossing(page, from, start + PAGE_BYTES - from);
    if (typeof decoded === 'string' || !this.#source.works(decoded.row)) return undefined;
    const own = { ...decoded };
    const key = crosses ? keyOf(this.#crossing, 0, own) : keyOf(ram, from, own);
    return { decoded: own, pageOffset: at, traits: traitsOf(own), key, flagsDead: false };
  }

  #decodeCrossing(page: number, from: number, lengthBytes: number): Decoded | DecodeFailure {
    const next = this.#pageStart(page + 1);
    if (next < 0) return 'more';
    const { ram, decoder } = this.#source;
    this.#crossing.set(ram.subarray(from, from + lengthBytes));
    this.#crossing.set(ram.subarray(next, next + INSTRUCTION_BYTES_MAX), lengthBytes);
    return decoder.decode(this.#crossing, 0, lengthBytes + INSTRUCTION_BYTES_MAX, 64);
  }
}

/** The targets of branches may differ, but not how long they are. */
function keyOf(bytes: Uint8Array, from: number, { row, lengthBytes }: Decoded): string {
  const relative = row.operands.find(isRelative);
  const count = relative ? lengthBytes - (relative.size === 'b' ? 1 : 4) : lengthBytes;
  let key = '';
  for (let index = 0; index < count; index++) key += String.fromCharCode(bytes[from + index]!);
  return key;
}

const isRelative = (spec: OperandSpec) => spec.kind === 'J';
const isCall = ({ row }: Decoded) => row.insn === CALL;
const isReturn = ({ row }: Decoded) => row.insn === RET;
const isIndirectJump = ({ row }: Decoded) => row.insn === JMP_INDIRECT;

/** Blocks of the region that its returns and its indirect jumps may lead to. */
interface Sites {
  readonly returns: readonly number[];
  readonly jumps: readonly number[];
}

function relativeTarget({ decoded, pageOffset }: CompiledInstruction): number | undefined {
  return decoded.row.operands.some(isRelative) ? pageOffset + decoded.lengthBytes + Number(decoded.immediate) : undefined;
}

function formBlocks(instructions: ReadonlyMap<number, CompiledInstruction | undefined>, leaders: ReadonlySet<number>, entry: number, sites: Sites): RegionBlock[] {
  const blocks: RegionBlock[] = [];
  for (const start of [entry, ...leaders].filter((leader, index, all) => all.indexOf(leader) === index)) {
    if (!instructions.get(start)) continue;
    blocks.push(formBlock(instructions, leaders, start, sites));
  }
  return blocks;
}

function formBlock(instructions: ReadonlyMap<number, CompiledInstruction | undefined>, leaders: ReadonlySet<number>, start: number, sites: Sites): RegionBlock {
  const block: RegionBlock = { start, instructions: [], next: undefined, target: undefined, returns: [], endsUncompilable: false };
  for (let at = start; ; ) {
    const instruction = instructions.get(at);
    if (!instruction) {
      block.next = at;
      block.endsUncompilable = instructions.has(at);
      break;
    }
    block.instructions.push(instruction);
    const next = at + instruction.decoded.lengthBytes;
    block.target = relativeTarget(instruction);
    if (isReturn(instruction.decoded)) block.returns = sites.returns;
    if (isIndirectJump(instruction.decoded)) block.returns = sites.jumps;
    if (instruction.decoded.row.options.ends || instruction.traits.endsRegion) break;
    at = next;
    if (block.target !== undefined || leaders.has(at)) {
      block.next = at;
      break;
    }
  }
  markDeadFlags(block.instructions);
  return block;
}

/** Flags are dead where the next instruction that could show them sets them all. Past the block's end all are alive. */
function markDeadFlags(instructions: readonly CompiledInstruction[]): void {
  let dead = false;
  for (const instruction of instructions.toReversed()) {
    const { traits } = instruction;
    instruction.flagsDead = dead;
    if (traits.readsFlags || traits.mayLeave) dead = false;
    else if (traits.setsAllFlags) dead = true;
  }
}
