import { CALL, CALL_INDIRECT, type Decoded, type DecodeFailure, type Decoder, INSTRUCTION_BYTES_MAX, JMP_INDIRECT, type OperandSpec, RET, type Row } from '@hanok/x86';
import { CallContexts, type CodePlace, offsetOf, placeBeside } from './call-contexts.ts';
import { endsRegion } from './traits.ts';

/** Instructions of one region at most. */
export const REGION_INSTRUCTIONS_MAX = 128;
/** The same of one that is entered all the time from others. */
export const GROWN_INSTRUCTIONS_MAX = 384;
/** Pages it lies on at most. */
const REGION_PAGES_MAX = 12;
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
  /** Where the indirect jump, call or return at this offset is likely to lead, the likeliest first. */
  jumpTargets(offset: number, decoded: Decoded): readonly number[];
  /** How often code at this offset runs, compared with other code: what runs most is followed first, and what does not run is no part of the region. */
  weightOf(offset: number): number;
  /** Whether the instruction may be executed at all in this state of the control registers. */
  works(row: Row): boolean;
}

/** Told of each instruction of a region once, with its offset and the bytes it was decoded from; `decoded` is used again for the next. */
export type InstructionVisitor = (offset: number, decoded: Decoded, bytes: Uint8Array, from: number) => void;

/** The code of a region: where its instructions are, and where control may enter its blocks. */
export interface ControlFlow {
  /** What was reached; false where there is nothing that can be compiled. */
  readonly reached: ReadonlyMap<CodePlace, boolean>;
  /** Where blocks begin, the entry's first. */
  readonly leaders: ReadonlySet<CodePlace>;
  /** Where direct branches lead. */
  readonly targets: ReadonlyMap<CodePlace, CodePlace>;
  /** Blocks that its returns may lead to, and its indirect jumps and calls. */
  readonly jumps: ReadonlyMap<CodePlace, readonly CodePlace[]>;
  /** The pages it lies on: numbers relative to the entry's, and where each starts in RAM. */
  readonly pages: ReadonlyMap<number, number>;
  /** Enter slots of blocks that its direct branches lead to, by their offsets. */
  readonly slots: ReadonlyMap<number, number>;
}

/** Follows control flow from `entry`, over calls and pages, for so many instructions at most. */
export function followControlFlow(source: CodeSource, entry: number, instructionsMax: number, visit?: InstructionVisitor): ControlFlow {
  return new Walk(source, entry, instructionsMax, visit).run(entry);
}

/** What an instruction does to control. */
interface Step {
  readonly lengthBytes: number;
  /** Where it branches to directly. */
  readonly target: number | undefined;
  /** Where it is likely to lead otherwise. */
  readonly jumps: readonly number[];
  readonly isCall: boolean;
  readonly isReturn: boolean;
  /** Control does not go on behind it; or only in another region. */
  readonly ends: boolean;
  readonly endsRegion: boolean;
}

class Walk {
  readonly #source: CodeSource;
  readonly #instructionsMax: number;
  readonly #contexts: CallContexts;
  readonly #visit: InstructionVisitor | undefined;
  readonly #reached = new Map<CodePlace, boolean>();
  readonly #leaders = new Set<CodePlace>();
  readonly #targets = new Map<CodePlace, CodePlace>();
  readonly #jumps = new Map<CodePlace, readonly CodePlace[]>();
  readonly #returns = new Set<CodePlace>();
  readonly #work: { readonly place: CodePlace; readonly weight: number }[] = [];
  readonly #pages = new Map<number, number>();
  readonly #slots = new Map<number, number>();
  /** By offset. */
  readonly #steps = new Map<number, Step | undefined>();
  readonly #crossing = new Uint8Array(2 * INSTRUCTION_BYTES_MAX);

  constructor(source: CodeSource, entry: number, instructionsMax: number, visit: InstructionVisitor | undefined) {
    this.#source = source;
    this.#instructionsMax = instructionsMax;
    this.#visit = visit;
    this.#contexts = new CallContexts(entry);
  }

  run(entry: number): ControlFlow {
    const reached = this.#reached;
    this.#lead(entry);
    for (let start = this.#takeHeaviest(); start !== undefined; start = this.#takeHeaviest()) {
      let at: CodePlace | undefined = start;
      while (at !== undefined && this.#mayReach(at)) at = this.#step(at);
      if (at !== undefined && !reached.has(at)) this.#hasRun(offsetOf(at));
    }
    const returns = (at: CodePlace) => (this.#returns.has(at) ? this.#contexts.returns(at) : []);
    const jumps = new Map([...this.#jumps].map(([at, targets]) => [at, [...targets, ...returns(at)].filter((target) => reached.get(target))]));
    return { reached, leaders: this.#leaders, targets: this.#targets, jumps, pages: this.#pages, slots: this.#slots };
  }

  /** Whether the instruction at a place may be of the region: else control goes on there in another. */
  #mayReach(at: CodePlace): boolean {
    return !this.#reached.has(at) && this.#reached.size < this.#instructionsMax && this.#weightOf(at) > 0 && this.#pageStart(pageOf(offsetOf(at))) >= 0;
  }

  #weightOf(at: CodePlace): number {
    return this.#source.weightOf(offsetOf(at));
  }

  /** Of what waits to be followed, the first that runs most. */
  #takeHeaviest(): CodePlace | undefined {
    const work = this.#work;
    if (work.length === 0) return undefined;
    let heaviest = 0;
    for (let index = 1; index < work.length; index++) if (work[index]!.weight > work[heaviest]!.weight) heaviest = index;
    return work.splice(heaviest, 1)[0]!.place;
  }

  /** Whether code at an offset has run; notes its slot. */
  #hasRun(offset: number): boolean {
    const slot = this.#source.slotOf(offset);
    if (slot) this.#slots.set(offset, slot);
    return slot !== undefined;
  }

  #lead(...places: readonly CodePlace[]): void {
    for (const place of places) {
      this.#leaders.add(place);
      this.#work.push({ place, weight: this.#weightOf(place) });
    }
  }

  /** One instruction; where the one behind it is, if control may go on there. */
  #step(at: CodePlace): CodePlace | undefined {
    const step = this.#stepAt(offsetOf(at));
    this.#reached.set(at, step !== undefined);
    if (!step) return undefined;
    const { target } = step;
    const next = at + step.lengthBytes;
    if (target !== undefined) this.#branch(at, step, target);
    if (step.endsRegion) return undefined;
    if (step.isReturn) this.#return(at, step);
    else if (step.jumps.length > 0) this.#jump(at, step);
    if (step.ends) return undefined;
    if (target === undefined) return next;
    this.#leaders.add(next);
    const weight = this.#weightOf(next);
    if (this.#work.every((other) => other.weight <= weight)) return next;
    this.#lead(next);
    return undefined;
  }

  /** Where a direct branch leads. A region may go on in another, but a call is part of it: behind it control comes back. */
  #branch(at: CodePlace, { lengthBytes, isCall }: Step, target: number): void {
    const follows = this.#hasRun(target);
    if (follows && isCall) this.#targets.set(at, this.#call(at + lengthBytes, target));
    else this.#targets.set(at, placeBeside(at, target));
    if (follows && !isCall && !this.#source.hasRegion(target)) this.#lead(placeBeside(at, target));
  }

  /** Behind the call that led here; out of the function that the region begins in, where it led before. */
  #return(at: CodePlace, { jumps }: Step): void {
    const contexts = this.#contexts;
    const offsets = contexts.isOutermost(at) ? jumps : [];
    const isHere = (offset: number) => this.#leaders.has(placeBeside(at, offset));
    for (const offset of offsets) if (!isHere(offset)) contexts.returnTo(at, offset);
    this.#jumps.set(at, offsets.filter(isHere).map((offset) => placeBeside(at, offset)));
    this.#returns.add(at);
    this.#lead(...contexts.returns(at));
  }

  #jump(at: CodePlace, { lengthBytes, isCall, jumps }: Step): void {
    const places = jumps.map((target) => (isCall ? this.#call(at + lengthBytes, target) : placeBeside(at, target)));
    this.#jumps.set(at, places);
    if (!isCall) this.#lead(...places);
  }

  #call(next: CodePlace, target: number): CodePlace {
    const { to, reached } = this.#contexts.call(next, target);
    this.#lead(to, ...reached);
    return to;
  }

  #pageStart(page: number): number {
    const known = this.#pages.get(page);
    if (known !== undefined) return known;
    if (this.#pages.size === REGION_PAGES_MAX) return -1;
    const start = this.#source.pageStart(page);
    if (start >= 0) this.#pages.set(page, start);
    return start;
  }

  #stepAt(at: number): Step | undefined {
    if (!this.#steps.has(at)) this.#steps.set(at, this.#decode(at));
    return this.#steps.get(at);
  }

  #decode(at: number): Step | undefined {
    const page = pageOf(at);
    const start = this.#pageStart(page);
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
    return this.#stepOf(at, decoded);
  }

  #stepOf(at: number, decoded: Decoded): Step {
    const { row, lengthBytes } = decoded;
    const jumps = leadsAnywhere(decoded) ? this.#source.jumpTargets(at, decoded).slice(0, JUMP_TARGETS_MAX) : [];
    return { lengthBytes, target: relativeTarget(decoded, at), jumps, isCall: isCall(decoded), isReturn: isReturn(decoded), ends: row.options.ends === true, endsRegion: endsRegion(decoded) };
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

const pageOf = (offset: number) => Math.floor(offset / PAGE_BYTES);
export const isRelative = (spec: OperandSpec) => spec.kind === 'J';
const isCall = ({ row }: Decoded) => row.insn === CALL || row.insn === CALL_INDIRECT;
const isReturn = ({ row }: Decoded) => row.insn === RET;
/** Only the guest knows where it leads. */
export const leadsAnywhere = (decoded: Decoded) => isReturn(decoded) || decoded.row.insn === JMP_INDIRECT || decoded.row.insn === CALL_INDIRECT;

/** Where a direct branch at an offset leads. */
export function relativeTarget(decoded: Decoded, at: number): number | undefined {
  return decoded.row.operands.some(isRelative) ? at + decoded.lengthBytes + Number(decoded.immediate) : undefined;
}
