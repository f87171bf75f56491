/** The regions of a vCPU, by their Enter slots, from the oldest to the youngest, and how many instructions they are. */
export class RegionAges {
  readonly #sizes = new Map<number, number>();
  instructionCount = 0;

  add(slot: number, instructionCount: number): void {
    this.remove(slot);
    this.#sizes.set(slot, instructionCount);
    this.instructionCount += instructionCount;
  }

  remove(slot: number): void {
    this.instructionCount -= this.#sizes.get(slot) ?? 0;
    this.#sizes.delete(slot);
  }

  get oldest(): number | undefined {
    return this.#sizes.keys().next().value;
  }
}
