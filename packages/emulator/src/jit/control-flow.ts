import { CALL, CALL_INDIRECT, type Decoded, type DecodeFailure, type Decoder, INSTRUCTION_BYTES_MAX, JMP_INDIRECT, type OperandSpec, type Row } from '@hanok/x86';
import { endsRegion } from './traits.ts';

/** Instructions of one region at most. */
export const REGION_INSTRUCTIONS_MAX = 128;
/** The same of one that is entered all the time from others. */
export const GROWN_INSTRUCTIONS_MAX = 384;
/** Pages it lies on at most. */
const REGION_PAGES_MAX = 4;
/** Blocks that an indirect jump is tried for in the region itself. */
const JUMP_TARGETS_MAX = 16;
const PAGE_BYTES = 4096;

/** What following code asks of its surroundings. Offsets count from the page of the region's entry, also beyond its ends. */
export interface CodeSource {
  readonly ram: Uint8Array;
  readonly decoder: Decoder;
  /** Where in `ram` the page with this number (0 is the entry's) starts, or -1 where there is none to be had. */
  pageStart(page: number): number;
  /** Enter slot of the block at this offset: 0 where it has none, undefined where code there has not run. */
  slotOf(offset: number): number | undefined;
  /** Whether the block at this offset has a region of its own. */
  hasRegion(offset: number): boolean;
  /** Where the indirect jump or call at this offset is likely to lead, the likeliest first. */
  jumpTargets(offset: number, decoded: Decoded): readonly number[];
  /** Whether the instruction may be executed at all in this state of the control registers. */
  works(row: Row): boolean;
}

/** Told of each instruction of a region, and the bytes it was decoded from; `decoded` is used again for the next. */
export type InstructionVisitor = (at: number, decoded: Decoded, bytes: Uint8Array, from: number) => void;

/** The code of a region: where its instructions are, and where control may enter its blocks. */
export interface ControlFlow {
  /** Offsets that were reached; false where there is nothing that can be compiled. */
  readonly reached: ReadonlyMap<number, boolean>;
  /** Offsets at which a block begins, the entry's first. */
  readonly leaders: ReadonlySet<number>;
  /** Blocks that its returns may lead to, and those that its indirect jumps and calls may, by their offsets. */
  readonly returns: readonly number[];
  readonly jumps: ReadonlyMap<number, readonly number[]>;
  /** The pages it lies on: numbers relative to the entry's, and where each starts in RAM. */
  readonly pages: ReadonlyMap<number, number>;
  /** Enter slots of blocks that its direct branches lead to. */
  readonly slots: ReadonlyMap<number, number>;
}

/** Follows direct control flow from `entry`, over calls and pages, for so many instructions at most. */
export function followControlFlow(source: CodeSource, entry: number, instructionsMax: number, visit?: InstructionVisitor): ControlFlow {
  return new Walk(source, instructionsMax, visit).run(entry);
}

class Walk {
  readonly #source: CodeSource;
  readonly #instructionsMax: number;
  readonly #visit: InstructionVisitor | undefined;
  readonly #reached = new Map<number, boolean>();
  readonly #leaders = new Set<number>();
  readonly #returns: number[] = [];
  readonly #jumps = new Map<number, readonly number[]>();
  readonly #work: number[] = [];
  readonly #pages = new Map<number, number>();
  readonly #slots = new Map<number, number>();
  readonly #crossing = new Uint8Array(2 * INSTRUCTION_BYTES_MAX);

  constructor(source: CodeSource, instructionsMax: number, visit: InstructionVisitor | undefined) {
    this.#source = source;
    this.#instructionsMax = instructionsMax;
    this.#visit = visit;
  }

  run(entry: number): ControlFlow {
    const reached = this.#reached;
    this.#lead(entry);
    for (let start = this.#work.shift(); start !== undefined; start = this.#work.shift()) {
      let at: number | undefined = start;
      while (at !== undefined && !reached.has(at) && reached.size < this.#instructionsMax) at = this.#step(at);
      if (at !== undefined && !reached.has(at)) this.#hasRun(at);
    }
    const present = (sites: Iterable<number>) => [...sites].filter((site) => reached.get(site));
    return { reached, leaders: this.#leaders, returns: present(this.#returns), jumps: new Map([...this.#jumps].map(([at, targets]) => [at, present(targets)])), pages: this.#pages, slots: this.#slots };
  }

  /** Whether code at an offset has run; notes its slot. */
  #hasRun(offset: number): boolean {
    const slot = this.#source.slotOf(offset);
    if (slot) this.#slots.set(offset, slot);
    return slot !== undefined;
  }

  #lead(offset: number): void {
    this.#leaders.add(offset);
    this.#work.push(offset);
  }

  /** One instruction; where the one behind it is, if control may go on there. */
  #step(at: number): number | undefined {
    const decoded = this.#decode(at);
    this.#reached.set(at, decoded !== undefined);
    if (!decoded) return undefined;
    const next = at + decoded.lengthBytes;
    const target = relativeTarget(decoded, at);
    const follows = target !== undefined && this.#hasRun(target);
    // A region may go on in another, but a call is part of it: behind it control comes back.
    if (follows && (isCall(decoded) || !this.#source.hasRegion(target))) this.#lead(target);
    if (endsRegion(decoded)) return undefined;
    const jumps = isIndirect(decoded) ? this.#source.jumpTargets(at, decoded).slice(0, JUMP_TARGETS_MAX) : [];
    if (jumps.length > 0) this.#jumps.set(at, jumps);
    for (const jump of jumps) this.#lead(jump);
    if (decoded.row.options.ends) {
      if ((follows || jumps.length > 0) && isCall(decoded)) {
        this.#returns.push(next);
        this.#lead(next);
      }
      return undefined;
    }
    if (target !== undefined) this.#leaders.add(next);
    return next;
  }

  #pageStart(page: number): number {
    const known = this.#pages.get(page);
    if (known !== undefined) return known;
    if (this.#pages.size === REGION_PAGES_MAX) return -1;
    const start = this.#source.pageStart(page);
    if (start >= 0) this.#pages.set(page, start);
    return start;
  }

  #decode(at: number): Decoded | undefined {
    const page = Math.floor(at / PAGE_BYTES);
    const start = this.#pageStart(page);
    if (start < 0) return undefined;
    const { ram, decoder } = this.#source;
    let from = start + at - page * PAGE_BYTES;
    let bytes = ram;
    let decoded = decoder.decode(ram, from, start + PAGE_BYTES, 64);
    if (decoded === 'more') {
      decoded = this.#decodeCrossing(page, from, start + PAGE_BYTES - from);
      bytes = this.#crossing;
      from = 0;
    }
    if (typeof decoded === 'string' || !this.#source.works(decoded.row)) return undefined;
    this.#visit?.(at, decoded, bytes, from);
    return decoded;
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

export const isRelative = (spec: OperandSpec) => spec.kind === 'J';
const isCall = ({ row }: Decoded) => row.insn === CALL || row.insn === CALL_INDIRECT;
export const isIndirect = ({ row }: Decoded) => row.insn === JMP_INDIRECT || row.insn === CALL_INDIRECT;

/** Where a direct branch at an offset leads. */
export function relativeTarget(decoded: Decoded, at: number): number | undefined {
  return decoded.row.operands.some(isRelative) ? at + decoded.lengthBytes + Number(decoded.immediate) : undefined;
}
