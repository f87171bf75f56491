import { CR4, type CpuState, RFLAGS } from './cpu-state.ts';
import { CPU } from './layout.ts';

/** What a breakpoint waits for: DR7's R/W field (SDM vol. 3B §18.2.4). */
const ON = { Execute: 0, Write: 1, Port: 2, Access: 3 } as const;
/** Bytes of DR7's LEN field. */
const LENGTHS: readonly number[] = [1, 2, 8, 4];
const DR6_OFFSET = CPU.debug + 32;
const DR7_OFFSET = CPU.debug + 40;

/** Bits of DR6. */
export const DR6 = { BD: 0x2000n, BS: 0x4000n, BT: 0x8000n } as const;
const GD = 0x2000n;

interface Breakpoint {
  readonly bit: bigint;
  readonly on: number;
  readonly first: bigint;
  readonly lengthBytes: bigint;
}

const RF = Number(RFLAGS.RF);

/**
 * Debug registers (SDM vol. 3B chapter 18). Nothing here is asked while DR7 enables nothing: breakpoints on
 * instructions change the tag under which code is cached, those on data keep their pages out of the TLB. A hit outside
 * a single step makes the instruction start again as one, so that its trap comes right behind it.
 */
export class DebugUnit {
  readonly #state: CpuState;
  #execute: readonly Breakpoint[] = [];
  #data: readonly Breakpoint[] = [];
  #ports: readonly Breakpoint[] = [];
  /** DR6 bits of the traps that come after the instruction. */
  pending = 0n;
  /** The instruction runs as a single step: hits are noted. */
  stepping = false;

  constructor(state: CpuState) {
    this.#state = state;
  }

  get breaksOnExecution(): boolean {
    return this.#execute.length > 0;
  }
  get breaksOnData(): boolean {
    return this.#data.length > 0;
  }

  /** Reads the debug registers anew. */
  update(): void {
    const dr7 = this.#state.get(DR7_OFFSET);
    const portsToo = (this.#state.get(CPU.cr4) & CR4.DE) !== 0n;
    const enabled = [0, 1, 2, 3].filter((index) => (dr7 >> BigInt(index * 2)) & 3n).map((index): Breakpoint => {
      const field = Number((dr7 >> BigInt(16 + index * 4)) & 15n);
      const lengthBytes = BigInt(LENGTHS[field >> 2]!);
      return { bit: 1n << BigInt(index), on: field & 3, first: this.#state.get(CPU.debug + index * 8) & ~(lengthBytes - 1n), lengthBytes };
    });
    this.#execute = enabled.filter(({ on }) => on === ON.Execute);
    this.#data = enabled.filter(({ on }) => on === ON.Write || on === ON.Access);
    this.#ports = enabled.filter(({ on }) => on === ON.Port && portsToo);
  }

  /** DR6 bits of the breakpoints at an instruction's linear address. */
  executeHits(linear: bigint): bigint {
    return this.#execute.reduce((bits, { bit, first }) => (first === linear ? bits | bit : bits), 0n);
  }

  /** Whether some data breakpoint lies on a page. */
  watchesPage(linear: bigint): boolean {
    return this.#data.some(({ first }) => first >> 12n === linear >> 12n);
  }

  /** Notes a data access; true where the instruction must start again as a single step. */
  accessed(linear: bigint, sizeBytes: number, write: boolean): boolean {
    return this.#note(this.#data.filter(({ on }) => write || on === ON.Access), linear, sizeBytes);
  }

  /** Notes a port access, likewise. */
  usedPort(port: number, sizeBytes: number): boolean {
    return this.#ports.length > 0 && this.#note(this.#ports, BigInt(port), sizeBytes);
  }

  #note(breakpoints: readonly Breakpoint[], first: bigint, sizeBytes: number): boolean {
    const hits = breakpoints.filter((point) => first < point.first + point.lengthBytes && point.first < first + BigInt(sizeBytes));
    if (hits.length === 0) return false;
    if (!this.stepping) return true;
    for (const { bit } of hits) this.pending |= bit;
    return false;
  }

  /** Takes the pending traps into DR6. A debug exception switches general detection off. */
  record(bits: bigint): void {
    this.pending = 0n;
    this.#state.set(DR6_OFFSET, this.#state.get(DR6_OFFSET) | bits);
    this.#state.set(DR7_OFFSET, this.#state.get(DR7_OFFSET) & ~GD);
  }

  /** Whether MOV to and from debug registers raises #DB. */
  get detectsAccess(): boolean {
    return (this.#state.get(DR7_OFFSET) & GD) !== 0n;
  }

  get resumes(): boolean {
    return (this.#state.word(CPU.systemFlags) & RF) !== 0;
  }
}
