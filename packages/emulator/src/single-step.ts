import { CodeLimit, NO_LIMIT } from './code-limit.ts';
import { type CpuState, RFLAGS } from './cpu-state.ts';
import { type DebugUnit, DR6 } from './debug-unit.ts';
import type { ExecutionContext } from './execution-context.ts';
import { CPU, REPEAT_STEPS } from './layout.ts';
import type { Mmu } from './mmu.ts';

/** What a step raises; each returns after the exception was delivered. */
export interface StepExceptions {
  debug(bits: bigint): void;
  generalProtection(): void;
}

/** What is remembered from before an instruction that runs alone. */
export interface Step {
  readonly rip: bigint;
  /** RFLAGS.TF and RF as they were. */
  readonly trap: boolean;
  readonly resumed: boolean;
}

const TF = Number(RFLAGS.TF);

/** Instructions that run alone: under RFLAGS.TF, at breakpoints, near the limit of the code segment. */
export class SingleStep {
  /** The next instruction runs alone. */
  next = false;
  readonly #state: CpuState;
  readonly #context: ExecutionContext;
  readonly #debug: DebugUnit;
  readonly #codeLimit: CodeLimit;
  readonly #raise: StepExceptions;

  constructor(state: CpuState, context: ExecutionContext, debug: DebugUnit, mmu: Mmu, ram: Uint8Array, raise: StepExceptions) {
    this.#state = state;
    this.#context = context;
    this.#debug = debug;
    this.#codeLimit = new CodeLimit(state, mmu, ram);
    this.#raise = raise;
  }

  /** Whether the next instruction must run alone, so that a repeated one does a single element. */
  get isDue(): boolean {
    return this.next || this.#traps || this.#debug.resumes;
  }

  get #traps(): boolean {
    return (this.#state.word(CPU.systemFlags) & TF) !== 0;
  }

  /** Before one instruction: its breakpoint and the code segment's limit; undefined where one of them raised an exception. */
  before(): Step | undefined {
    const state = this.#state;
    const alone = this.isDue;
    this.next = false;
    state.updateMode();
    this.#debug.stepping = true;
    if (this.#debug.breaksOnExecution && this.breakHere()) return undefined;
    if (this.#codeLimit.isExceeded()) {
      this.#raise.generalProtection();
      return undefined;
    }
    const step = { rip: state.get(CPU.rip), trap: this.#traps, resumed: this.#debug.resumes };
    if (step.resumed) state.set(CPU.systemFlags, state.get(CPU.systemFlags) & ~RFLAGS.RF);
    state.set(CPU.repeatSteps, alone ? 1n : REPEAT_STEPS);
    state.set(CPU.codeLimit, NO_LIMIT);
    return step;
  }

  /** After it: debug traps (SDM vol. 3B §18.3.1), unless an event took their place or SS was loaded. */
  after(step: Step): void {
    const state = this.#state;
    const context = this.#context;
    const rip = state.get(CPU.rip);
    state.updateMode();
    state.set(CPU.repeatSteps, REPEAT_STEPS);
    this.#debug.stepping = false;
    // A repeated instruction that goes on keeps RF (SDM vol. 3B §18.3.1.1).
    if (step.resumed && rip === step.rip && !context.delivered) state.set(CPU.systemFlags, state.get(CPU.systemFlags) | RFLAGS.RF);
    if (context.delivered) {
      this.#debug.pending = 0n;
      return;
    }
    if (this.next || context.stackShadowRip === rip) return;
    context.stackShadowRip = undefined;
    const bits = this.#debug.pending | (step.trap && !context.stepsByNewFlags ? DR6.BS : 0n);
    if (bits === 0n) return;
    if (context.stopReason === 'halt') context.stopReason = 'resume';
    this.#raise.debug(bits);
  }

  /** Raises #DB for a breakpoint on the instruction at RIP (SDM vol. 3B §18.3.1.1); false where none counts now. */
  breakHere(): boolean {
    const state = this.#state;
    const rip = state.get(CPU.rip);
    if (this.#debug.resumes || this.#context.stackShadowRip === rip) return false;
    const bits = this.#debug.executeHits((rip + state.get(CPU.codeBase)) & state.get(CPU.codeMask));
    if (bits !== 0n) this.#raise.debug(bits);
    return bits !== 0n;
  }
}
