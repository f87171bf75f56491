import type { PostedInterrupts } from '@hanok/machine';
import { type CpuState, RFLAGS } from './cpu-state.ts';
import { CPU } from './layout.ts';
import { startAt } from './state-exchange.ts';
import type { LocalInterrupts } from './system-services.ts';

const Running = 0;
const Halted = 1;
const WaitsForStartup = 2;

const IF = Number(RFLAGS.IF);

/** What a vCPU does besides running: HLT waits for an interrupt, INIT for a start-up IPI (SDM vol. 3A §9.4). */
export class ProcessorActivity {
  readonly #state: CpuState;
  readonly #interrupts: LocalInterrupts;
  readonly #afterReset: number;
  #now: number = Running;
  /** Another vCPU asked that this one's HLT end, or its next. */
  #unhalted = false;

  constructor(state: CpuState, interrupts: LocalInterrupts, waitsForStartup: boolean) {
    this.#state = state;
    this.#interrupts = interrupts;
    this.#afterReset = waitsForStartup ? WaitsForStartup : Running;
    this.reset();
  }

  /** Reset or INIT: the first processor starts again where it does after power-on, the others wait. */
  reset(): void {
    this.#now = this.#afterReset;
    this.#unhalted = false;
  }

  halt(): void {
    this.#now = Halted;
  }

  /** Somebody put other state in place, which runs. */
  stateWasSet(): void {
    if (this.#now === Halted) this.#now = Running;
  }

  /** Takes what others posted: `initialize` is the effect of an INIT. */
  collect(posted: PostedInterrupts, initialize: () => void): void {
    if (posted.takeInit()) {
      initialize();
      this.reset();
    }
    const vector = posted.takeStartup();
    if (vector >= 0 && this.#now === WaitsForStartup) {
      startAt(this.#state, vector);
      this.#now = Running;
    }
    if (posted.takeKick()) this.#unhalted = true;
  }

  /** False while it halts with nothing to be delivered, or waits to be started. */
  isAwake(nmiBlocked: boolean): boolean {
    if (this.#now !== Halted) return this.#now === Running;
    const takesInterrupts = (this.#state.word(CPU.systemFlags) & IF) !== 0;
    const wakes = this.#unhalted || (this.#interrupts.nmiPending && !nmiBlocked) || (takesInterrupts && this.#interrupts.highestPending() >= 0);
    if (!wakes) return false;
    this.#now = Running;
    this.#unhalted = false;
    return true;
  }
}
