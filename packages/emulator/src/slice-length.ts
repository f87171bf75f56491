/** How long guest code runs between two looks at time and interrupts; compiled loops make no other. */
const SLICE_NS = 250_000;
const FIRST = 50_000;
const MIN = 8192;
const MAX = 1_000_000;

/** How many instructions a slice has: it follows the guest's speed. */
export class SliceLength {
  instructions = FIRST;

  /** After a whole slice that took so long. */
  adapt(elapsedNs: number): void {
    const factor = Math.min(2, Math.max(0.25, SLICE_NS / Math.max(1, elapsedNs)));
    this.instructions = Math.round(Math.min(MAX, Math.max(MIN, this.instructions * factor)));
  }
}
