import { type KnownAccess, RIP_REGISTER } from './instruction-memory.ts';
import { apply, enter, type Place, type Places, placesAtEntries, type UsesOf } from './register-places.ts';
import type { StructuredBlock } from './structure.ts';
import { POINTER_COUNT } from './virtual-locals.ts';

/** Accesses to memory near each other, whose addresses are known relative to each other: they are translated together. */
export interface AccessGroup {
  /** The register that tells where they are, before the instruction that has the first of them. */
  readonly register: number;
  /** Where they begin, relative to that register, and how far they reach. */
  readonly displacement: number;
  readonly sizeBytes: number;
  readonly writes: boolean;
  /** Which of the locals for addresses has where they begin. */
  readonly pointer: number;
}

/** Where in its group an access is. */
export interface GroupedAccess {
  readonly pointer: number;
  readonly offset: number;
}

/** The groups that begin at an instruction, and those of its own accesses that are in some, by their numbers. */
export interface InstructionGroups {
  readonly begin: AccessGroup[];
  readonly accesses: (GroupedAccess | undefined)[];
  /** One bit for each of `accesses` that is there. */
  mask: number;
  /** All its accesses are. */
  isWhole: boolean;
}

/** How far apart accesses of a group may be: the further, the more often some are on another page. */
const REACH_BYTES = 512;

interface Member {
  readonly block: StructuredBlock;
  readonly instruction: number;
  readonly access: number;
  /** Relative to the root. */
  readonly offset: number;
}

/** Accesses that have been found to be near each other. */
interface Candidate {
  readonly root: number;
  readonly epoch: number;
  readonly register: number;
  /** What the register holds before the first of them. */
  readonly place: Place;
  from: number;
  to: number;
  writes: boolean;
  readonly members: Member[];
}

/**
 * Finds accesses that can be translated once for all of them: the first is executed whenever one of the others is, and what their
 * addresses are made of is the same value. Writes are only joined to what is certainly written.
 */
export function groupAccesses(blocks: readonly StructuredBlock[], usesOf: UsesOf): void {
  const search = new Search(placesAtEntries(blocks, usesOf), usesOf);
  search.visit(blocks[0]!, []);
  settleAll(blocks[0]!, search.found, 0);
  for (const block of blocks) {
    usesOf(block).forEach((memory, index) => {
      const { groups } = block.code.instructions[index]!;
      if (groups && memory) groups.isWhole = groups.mask === 2 ** memory.accesses.length - 1;
    });
  }
}

class Search {
  /** Candidates by the blocks they begin in. */
  readonly found = new Map<StructuredBlock, Candidate[]>();
  readonly #entries: ReadonlyMap<StructuredBlock, Places>;
  readonly #usesOf: UsesOf;

  constructor(entries: ReadonlyMap<StructuredBlock, Places>, usesOf: UsesOf) {
    this.#entries = entries;
    this.#usesOf = usesOf;
  }

  /** A block and those it dominates, with what was translated before; the groups that began outside get their members. */
  visit(block: StructuredBlock, before: readonly Candidate[]): void {
    const open = before.slice();
    const entry = this.#entries.get(block)!;
    const places: Places = { registers: entry.registers.slice(), epoch: entry.epoch };
    this.#usesOf(block).forEach((memory, instruction) => {
      if (!memory) return;
      const { place, pageOffset } = block.code.instructions[instruction]!;
      enter(places, pageOffset);
      memory.accesses.forEach((access, number) => access && join(open, places, access, { block, instruction, access: number }));
      apply(places, memory, place);
    });
    for (const child of block.children) this.visit(child, open);
    this.found.set(block, open.slice(before.length).filter(({ members }) => members.length > 1));
  }
}

function join(open: Candidate[], { registers, epoch }: Places, { register, displacement, sizeBytes, writes }: KnownAccess, at: Omit<Member, 'offset'>): void {
  const place = registers[register]!;
  const offset = place.offset + displacement;
  const member = { ...at, offset };
  const fits = ({ root, from, to, members, ...group }: Candidate) =>
    root === place.root && group.epoch === epoch && Math.max(to, offset + sizeBytes) - Math.min(from, offset) <= REACH_BYTES && (!writes || group.writes || members[0]!.block === at.block);
  const group = open.findLast(fits);
  if (!group) {
    open.push({ root: place.root, epoch, register, place, from: offset, to: offset + sizeBytes, writes, members: [member] });
    return;
  }
  group.from = Math.min(group.from, offset);
  group.to = Math.max(group.to, offset + sizeBytes);
  group.writes ||= writes;
  group.members.push(member);
}

/** Makes groups of the candidates in a block and those it dominates; `taken` has a bit for each local that is in use around it. */
function settleAll(block: StructuredBlock, found: ReadonlyMap<StructuredBlock, Candidate[]>, taken: number): void {
  const own = found.get(block)!;
  const reachesOut = ({ members }: Candidate) => members.some((member) => member.block !== block);
  for (const candidate of own.filter(reachesOut)) {
    const pointer = Array.from({ length: POINTER_COUNT }, (_, index) => index).find((index) => !(taken & (1 << index)));
    if (pointer === undefined) break;
    taken |= 1 << pointer;
    settle(candidate, pointer);
  }
  const usedUntil: number[] = Array.from({ length: POINTER_COUNT }, (_, index) => (taken & (1 << index) ? Infinity : -1));
  for (const candidate of own.filter((candidate) => !reachesOut(candidate))) {
    const pointer = usedUntil.findIndex((last) => last < candidate.members[0]!.instruction);
    if (pointer < 0) continue;
    usedUntil[pointer] = candidate.members.at(-1)!.instruction;
    settle(candidate, pointer);
  }
  for (const child of block.children) settleAll(child, found, taken);
}

function settle({ register, place, from, to, writes, members }: Candidate, pointer: number): void {
  const groupsOf = ({ block, instruction }: Member) => (block.code.instructions[instruction]!.groups ??= { begin: [], accesses: [], mask: 0, isWhole: false });
  groupsOf(members[0]!).begin.push({ register, displacement: from - (register === RIP_REGISTER ? 0 : place.offset), sizeBytes: to - from, writes, pointer });
  for (const member of members) {
    const own = groupsOf(member);
    own.accesses[member.access] = { pointer, offset: member.offset - from };
    own.mask |= 1 << member.access;
  }
}
