import type { Code } from '@hanok/wasm';
import { emitRoundingShows } from '../float/rounding-shows.ts';
import { CPU } from '../layout.ts';
import { REGISTER_COUNT, registerBit, vectorBit } from './register-bits.ts';
import { loadX87 } from './load-x87.ts';
import { LOCAL, type RegionLocals } from './virtual-locals.ts';

/** Whether rounding shows (`Emit.roundingShows`), kept while a region runs. */
export function loadRoundingShows(code: Code): void {
  emitRoundingShows(code, LOCAL.cpu);
  code.localSet(LOCAL.roundingShows);
}

function loadRegisters(code: Code, registers: number): void {
  for (let index = 0; index < REGISTER_COUNT; index++) {
    if (registers & registerBit(index)) code.localGet(LOCAL.cpu).memory('i64.load', CPU.gpr + index * 8).localSet(LOCAL.general + index);
  }
  for (let index = 0; index < REGISTER_COUNT; index++) {
    if (registers & vectorBit(index)) code.localGet(LOCAL.cpu).memory('v128.load', CPU.xmm + index * 16).localSet(LOCAL.vector + index);
  }
}

/**
 * Which guest registers are in their locals. What is written goes to the state block at once: leaving a region costs
 * nothing, and values need not be kept for it.
 */
export class RegionRegisters {
  /** Registers whose locals equal the state block here. */
  available = 0;
  #loadedAtEntry = 0;

  /** Makes registers available: those needed in a loop where the region is entered, others here. */
  provide(code: Code, registers: number, inLoop: boolean): void {
    const missing = registers & ~this.available;
    this.available |= registers;
    if (inLoop) this.#loadedAtEntry |= missing;
    else loadRegisters(code, missing);
  }

  loadAtEntry(code: Code, locals: RegionLocals): void {
    if (locals.has(LOCAL.roundingShows)) loadRoundingShows(code);
    loadX87(code, locals, 0);
    loadRegisters(code, this.#loadedAtEntry);
  }

  /** Loads behind a helper, which may have changed them, those that were available there; TOP counts as moved by `stackOffset` since the entry. */
  loadAgain(code: Code, locals: RegionLocals, available: number, stackOffset: number): void {
    if (locals.has(LOCAL.roundingShows)) loadRoundingShows(code);
    loadX87(code, locals, stackOffset);
    loadRegisters(code, available | this.#loadedAtEntry);
  }
}
