import type { ModuleBuilder } from '@hanok/wasm';
import type { CpuState } from './cpu-state.ts';
import { CPU } from './layout.ts';

/** The time-stamp counter of one vCPU: machine time at the model's frequency (SDM vol. 3B §18.17). */
export class TimeStamp {
  readonly nowNs: () => number;
  readonly #ticksPerNs: number;
  #offset = 0n;
  #adjust = 0n;
  #state: CpuState | undefined;

  constructor(nowNs: () => number, tscHz: number) {
    this.nowNs = nowNs;
    this.#ticksPerNs = tscHz / 1e9;
  }

  /** Keeps what generated code needs to read it (`defineTimeStamp`) in a vCPU's state block. */
  connect(state: CpuState): void {
    this.#state = state;
    state.view.setFloat64(CPU.tscTicksPerNs, this.#ticksPerNs, true);
    this.#move(0n);
  }

  read(): bigint {
    return this.at(this.nowNs());
  }

  /** What it showed or will show at a moment of machine time; `defineTimeStamp` does the same. */
  at(nowNs: number): bigint {
    return BigInt.asUintN(64, BigInt(Math.floor(nowNs * this.#ticksPerNs)) + this.#offset);
  }

  /** IA32_TIME_STAMP_COUNTER. IA32_TSC_ADJUST moves along (SDM vol. 3B §18.17.3). */
  write(value: bigint): void {
    const delta = value - this.read();
    this.#adjust = BigInt.asUintN(64, this.#adjust + delta);
    this.#move(delta);
  }

  get adjust(): bigint {
    return this.#adjust;
  }
  set adjust(value: bigint) {
    const delta = value - this.#adjust;
    this.#adjust = value;
    this.#move(delta);
  }
  reset(): void {
    this.#adjust = 0n;
    this.#move(-this.#offset);
  }

  #move(delta: bigint): void {
    this.#offset += delta;
    this.#state?.set(CPU.tscOffset, this.#offset);
  }
}

/** Defines (cpu) → the time-stamp counter, as `TimeStamp.read` has it. */
export function defineTimeStamp(module: ModuleBuilder, nowNs: number): number {
  const f = module.function(module.type(['i32'], ['i64']));
  f.name = 'time stamp';
  f.code.call(nowNs).localGet(0).memory('f64.load', CPU.tscTicksPerNs).op('f64.mul').op('i64.trunc_sat_f64_u');
  f.code.localGet(0).memory('i64.load', CPU.tscOffset).op('i64.add');
  return f.index;
}
