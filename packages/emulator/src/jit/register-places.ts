import { type InstructionMemory, RIP_REGISTER } from './instruction-memory.ts';
import type { CodePlace } from './call-contexts.ts';
import type { StructuredBlock } from './structure.ts';

/** What a register holds: a value that only the guest knows, the same for all with this root, plus a constant. */
export interface Place {
  readonly root: number;
  readonly offset: number;
}

/** What is known before an instruction: of the sixteen registers and RIP, and since when addresses translate as they do now. */
export interface Places {
  readonly registers: Place[];
  epoch: number;
}

/** The root of RIP is the page of the region's entry. */
const RIP_ROOT = -1;
const COUNT = RIP_REGISTER;
/** Values that instructions make have roots behind those that come from where paths meet. */
const MADE = 2 ** 32;
/** Passes over a region, after which loops are taken to change everything. */
const PASSES_MAX = 8;

/** The memory uses of the instructions of a block; a block ends at the first that has none. */
export type UsesOf = (block: StructuredBlock) => readonly (InstructionMemory | undefined)[];

/** Follows what registers hold from the entry of a region to all its blocks, which are in reverse postorder. */
export function placesAtEntries(blocks: readonly StructuredBlock[], usesOf: UsesOf): Map<StructuredBlock, Places> {
  const atEntry = new Map<StructuredBlock, Places>();
  const atEnd = new Map<StructuredBlock, Places>();
  for (let pass = 0, changed = true; changed; pass++) {
    changed = false;
    for (const block of blocks) {
      const known = block.order === 0 ? [] : block.predecessors.flatMap((from) => atEnd.get(from) ?? []);
      const before = atEntry.get(block);
      const entry = meet(block.order, pass < PASSES_MAX ? known : [], before);
      if (before && same(before, entry)) continue;
      changed = true;
      atEntry.set(block, entry);
      atEnd.set(block, behind(block, entry, usesOf(block)));
    }
  }
  return atEntry;
}

/** What all paths agree on; what they once did not agree on stays unknown. */
function meet(order: number, paths: readonly Places[], before: Places | undefined): Places {
  const base = order * (COUNT + 1);
  const [first, ...others] = paths;
  const registers = Array.from({ length: COUNT }, (_, register) => {
    const own = { root: base + register, offset: 0 };
    const place = first?.registers[register];
    const known = before?.registers[register];
    if (!place || known?.root === own.root) return own;
    return others.every(({ registers }) => samePlace(registers[register]!, place)) ? place : own;
  });
  const ownEpoch = base + COUNT;
  const agrees = first && before?.epoch !== ownEpoch && others.every(({ epoch }) => epoch === first.epoch);
  return { registers, epoch: agrees ? first.epoch : ownEpoch };
}

const samePlace = (a: Place, b: Place) => a.root === b.root && a.offset === b.offset;
const same = (a: Places, b: Places) => a.epoch === b.epoch && a.registers.every((place, index) => index === RIP_REGISTER || samePlace(place, b.registers[index]!));

function behind(block: StructuredBlock, entry: Places, uses: readonly (InstructionMemory | undefined)[]): Places {
  const places = { registers: entry.registers.slice(), epoch: entry.epoch };
  uses.forEach((memory, index) => {
    if (!memory) return;
    const { place, pageOffset } = block.code.instructions[index]!;
    enter(places, pageOffset);
    apply(places, memory, place);
  });
  return places;
}

/** Has RIP hold an instruction's offset from the page of the region's entry. */
export function enter(places: Places, pageOffset: number): void {
  places.registers[RIP_REGISTER] = { root: RIP_ROOT, offset: pageOffset };
}

/** What the instruction at a place changes. */
export function apply(places: Places, { changes, changesTranslation }: InstructionMemory, at: CodePlace): void {
  const { registers } = places;
  const unknown = (register: number): Place => ({ root: (at + MADE) * (COUNT + 1) + register, offset: 0 });
  if (changesTranslation) {
    for (let register = 0; register < COUNT; register++) registers[register] = unknown(register);
    places.epoch = unknown(COUNT).root;
    return;
  }
  if (changes.size === 0) return;
  const before = registers.slice();
  for (const [register, origin] of changes) {
    const from = origin && before[origin.register];
    registers[register] = from ? { root: from.root, offset: from.offset + origin.displacement } : unknown(register);
  }
}
