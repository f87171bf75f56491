import type { Decoded } from '@hanok/x86';
import { type CodePlace, offsetOf } from './call-contexts.ts';
import { type CodeSource, type ControlFlow, followControlFlow, isRelative } from './control-flow.ts';
import type { InstructionGroups } from './access-groups.ts';
import type { CodeRuns } from './saved-region.ts';
import { type Traits, traitsOf } from './traits.ts';

/** One instruction of a region. */
export interface CompiledInstruction {
  readonly decoded: Decoded;
  readonly place: CodePlace;
  readonly pageOffset: number;
  readonly traits: Traits;
  /** The bytes that say what it does: all but a relative target. */
  readonly key: string;
  /** Nothing can see the flags it sets. */
  flagsDead: boolean;
  /** Its accesses to memory that are translated together with others. */
  groups: InstructionGroups | undefined;
}

/** A straight run of instructions; control enters at its top only and leaves at its bottom, or by an exit in between. */
export interface RegionBlock {
  readonly start: CodePlace;
  readonly instructions: CompiledInstruction[];
  /** Where control goes on after the last instruction, and where its branch leads; outside the region too. */
  next: CodePlace | undefined;
  target: CodePlace | undefined;
  /** Where the near return at its end may lead (behind the calls of the region), or its indirect jump or call. */
  returns: readonly CodePlace[];
  /** The block ends because the interpreter must run what follows. */
  endsUncompilable: boolean;
}

/** The blocks of a region, the entry's first, the pages it lies on, and the slots of blocks its branches lead to. */
export interface RegionBlocks extends Pick<ControlFlow, 'pages' | 'slots'> {
  readonly blocks: RegionBlock[];
}

type Instructions = ReadonlyMap<CodePlace, CompiledInstruction>;

/** The blocks of the region at `entry`, whose code `runs` gets; none where its first instruction cannot be compiled. */
export function regionBlocks(source: CodeSource, entry: number, instructionsMax: number, runs?: CodeRuns): RegionBlocks {
  const known = new Map<number, Pick<CompiledInstruction, 'decoded' | 'traits' | 'key'>>();
  const flow = followControlFlow(source, entry, instructionsMax, (offset, decoded, bytes, from) => {
    const own = { ...decoded };
    runs?.add(offset, bytes.slice(from, from + own.lengthBytes));
    known.set(offset, { decoded: own, traits: traitsOf(own), key: keyOf(bytes, from, own) });
  });
  const { pages, slots } = flow;
  const instructions = new Map<CodePlace, CompiledInstruction>();
  for (const [place, isCode] of flow.reached) {
    const pageOffset = offsetOf(place);
    if (isCode) instructions.set(place, { ...known.get(pageOffset)!, place, pageOffset, flagsDead: false, groups: undefined });
  }
  if (!instructions.has(entry)) return { blocks: [], pages, slots };
  const starts = [...flow.leaders].filter((start) => instructions.has(start));
  return { blocks: starts.map((start) => formBlock(instructions, flow, start)), pages, slots };
}

/** The targets of branches may differ, but not how long they are. */
function keyOf(bytes: Uint8Array, from: number, { row, lengthBytes }: Decoded): string {
  const relative = row.operands.find(isRelative);
  const count = relative ? lengthBytes - (relative.size === 'b' ? 1 : 4) : lengthBytes;
  return String.fromCharCode(...bytes.subarray(from, from + count));
}

function formBlock(instructions: Instructions, { reached, leaders, targets, jumps }: ControlFlow, start: CodePlace): RegionBlock {
  const block: RegionBlock = { start, instructions: [], next: undefined, target: undefined, returns: [], endsUncompilable: false };
  for (let at = start; ; ) {
    const instruction = instructions.get(at);
    if (!instruction) {
      block.next = at;
      block.endsUncompilable = reached.has(at);
      break;
    }
    const { decoded } = instruction;
    block.instructions.push(instruction);
    block.target = targets.get(at);
    block.returns = jumps.get(at) ?? [];
    at += decoded.lengthBytes;
    if (decoded.row.options.ends || instruction.traits.endsRegion) break;
    if (block.target !== undefined || leaders.has(at)) {
      block.next = at;
      break;
    }
  }
  return block;
}

/** Flags are dead where the next instruction that could show them sets them all. Past the block's end all are alive. */
export function markDeadFlags(instructions: readonly CompiledInstruction[]): void {
  let dead = false;
  for (const instruction of instructions.toReversed()) {
    const { traits } = instruction;
    instruction.flagsDead = dead;
    if (traits.readsFlags || mayLeave(instruction)) dead = false;
    else if (traits.setsAllFlags) dead = true;
  }
}

/** Whether control may leave before an instruction or in it. */
function mayLeave({ traits, groups }: CompiledInstruction): boolean {
  return groups?.isWhole && groups.begin.length === 0 ? traits.mayRaise : traits.mayLeave;
}
