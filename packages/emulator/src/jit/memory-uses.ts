import { groupAccesses } from './access-groups.ts';
import type { InstructionMemory } from './instruction-memory.ts';
import type { CompiledInstruction } from './region-blocks.ts';
import { RegionEmitter } from './region-emitter.ts';
import { NotCompilable, type RegionExits } from './region-exits.ts';
import { RegionFlags } from './region-flags.ts';
import { RegionOperands } from './region-operands.ts';
import { RegisterWidths } from './register-widths.ts';
import type { StructuredBlock } from './structure.ts';
import type { VectorConstants } from './virtual-locals.ts';

/** Instructions kept at most; then all are forgotten. */
const KNOWN_MAX = 50_000;

function never(): never {
  throw new Error('no code is made here');
}
const NO_EXITS: RegionExits = { flagsHere: 'memory', interpret: never, leave: never, callHelper: never };

/** How instructions use memory, found by building each of them once. */
export class MemoryUses {
  readonly #known = new Map<string, InstructionMemory | undefined>();
  readonly #constants: VectorConstants;
  readonly #helperNumber: (name: string) => number;

  constructor({ constants, helperNumber }: { constants: VectorConstants; helperNumber: (name: string) => number }) {
    this.#constants = constants;
    this.#helperNumber = helperNumber;
  }

  /** Groups the accesses of a region, whose blocks are in reverse postorder. */
  group(blocks: readonly StructuredBlock[]): void {
    const uses = new Map(blocks.map((block) => [block, block.code.instructions.map((instruction) => this.of(instruction))]));
    groupAccesses(blocks, (block) => uses.get(block)!);
  }

  /** Undefined where the instruction cannot be part of a region. */
  of(instruction: CompiledInstruction): InstructionMemory | undefined {
    const { key } = instruction;
    if (this.#known.has(key)) return this.#known.get(key);
    if (this.#known.size === KNOWN_MAX) this.#known.clear();
    const memory = this.#build(instruction);
    this.#known.set(key, memory);
    return memory;
  }

  #build(instruction: CompiledInstruction): InstructionMemory | undefined {
    const { decoded, traits } = instruction;
    const emitter = new RegionEmitter(new RegionFlags(), NO_EXITS, instruction, new RegisterWidths(), this.#constants, this.#helperNumber);
    try {
      decoded.row.insn.body(emitter, new RegionOperands(emitter, decoded, traits.access));
    } catch (error) {
      if (!(error instanceof NotCompilable)) throw error;
      return undefined;
    }
    return emitter.memory;
  }
}
