/** What is there of a module: its Enter slots, each with what it counted when the module was last looked at. */
interface LiveModule {
  /** Of all the regions it was made with: V8 keeps the code of each as long as any is there. */
  instructionCount: number;
  readonly slots: Map<number, number>;
}

/** A module takes as much of the host's memory as so many instructions, however few it has. */
export const MODULE_COST = 64;

/** The modules with regions of a vCPU, from those that come next to be dropped to the latest, and how much they are: in instructions, with MODULE_COST for each module. */
export class ModuleAges {
  readonly #modules = new Map<number, LiveModule>();
  readonly #moduleOf = new Map<number, number>();
  /** How often a region was entered, by its Enter slot: any number that changes then. */
  readonly #entriesOf: (slot: number) => number;
  instructionCount = 0;

  constructor(entriesOf: (slot: number) => number) {
    this.#entriesOf = entriesOf;
  }

  add(slot: number, moduleNumber: number, instructionCount: number): void {
    this.remove(slot);
    const module = this.#modules.get(moduleNumber) ?? this.#newModule(moduleNumber);
    this.#moduleOf.set(slot, moduleNumber);
    module.slots.set(slot, this.#entriesOf(slot));
    module.instructionCount += instructionCount;
    this.instructionCount += instructionCount;
  }

  #newModule(moduleNumber: number): LiveModule {
    const module: LiveModule = { instructionCount: MODULE_COST, slots: new Map() };
    this.#modules.set(moduleNumber, module);
    this.instructionCount += MODULE_COST;
    return module;
  }

  remove(slot: number): void {
    const number = this.#moduleOf.get(slot);
    if (number === undefined) return;
    this.#moduleOf.delete(slot);
    const module = this.#modules.get(number)!;
    module.slots.delete(slot);
    if (module.slots.size > 0) return;
    this.#modules.delete(number);
    this.instructionCount -= module.instructionCount;
  }

  /** The Enter slots of the module to drop: the first of which nothing was entered since it was last looked at, or else the first. */
  next(): number[] {
    for (let left = this.#modules.size; left > 0; left--) {
      const [number, module] = this.#first();
      if (!this.#wasEntered(module)) break;
      this.#modules.delete(number);
      this.#modules.set(number, module);
    }
    return this.#modules.size > 0 ? [...this.#first()[1].slots.keys()] : [];
  }

  #first(): [number, LiveModule] {
    return this.#modules.entries().next().value!;
  }

  #wasEntered({ slots }: LiveModule): boolean {
    let entered = false;
    for (const [slot, before] of slots) {
      const entries = this.#entriesOf(slot);
      if (entries === before) continue;
      entered = true;
      slots.set(slot, entries);
    }
    return entered;
  }
}
