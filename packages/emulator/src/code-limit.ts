import { Decoder, INSTRUCTION_BYTES_MAX, type ModeBits } from '@hanok/x86';
import type { CpuState } from './cpu-state.ts';
import { CPU, SEGMENT, SEGMENT_INDEX } from './layout.ts';
import type { Mmu } from './mmu.ts';
import { nextPage } from './page-walker.ts';

/** Instructions that start this close below the limit of the code segment are looked at one by one. */
export const NEAR_LIMIT_BYTES = 256;
export const NO_LIMIT = (1n << 64n) - 1n;
const LIMIT_OFFSET = CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes + SEGMENT.limit;

/** The limit of the code segment outside 64-bit mode, near it (SDM vol. 3A §5.3). */
export class CodeLimit {
  readonly #state: CpuState;
  readonly #mmu: Mmu;
  readonly #ram: Uint8Array;
  readonly #decoder = new Decoder();
  readonly #bytes = new Uint8Array(INSTRUCTION_BYTES_MAX);

  constructor(state: CpuState, mmu: Mmu, ram: Uint8Array) {
    this.#state = state;
    this.#mmu = mmu;
    this.#ram = ram;
  }

  /** Whether the instruction at RIP ends beyond the limit. Where its bytes cannot be fetched the fetch itself will fault. */
  isExceeded(): boolean {
    const { mode } = this.#state;
    const rip = this.#state.get(CPU.rip);
    const limit = BigInt(this.#state.word(LIMIT_OFFSET));
    if (mode === 64 || rip + BigInt(INSTRUCTION_BYTES_MAX) - 1n <= limit) return false;
    if (rip > limit) return true;
    const available = Math.min(this.#fetch(rip), Number(limit - rip) + 1);
    const within = available === Number(limit - rip) + 1;
    return this.#decoder.decode(this.#bytes, 0, available, mode as ModeBits) === 'more' && within;
  }

  /** Bytes at RIP, as many as there are without a fault. */
  #fetch(rip: bigint): number {
    let low = Number((rip + this.#state.get(CPU.codeBase)) & 0xffffffffn);
    let count = 0;
    while (count < INSTRUCTION_BYTES_MAX) {
      const gpa = this.#mmu.translate(low, 0, 'fetch', this.#state.cpl === 3);
      if (gpa < 0 || gpa >= this.#ram.length) break;
      const part = Math.min(INSTRUCTION_BYTES_MAX - count, 4096 - (low & 0xfff));
      this.#bytes.set(this.#ram.subarray(gpa, gpa + part), count);
      count += part;
      ({ low } = nextPage(low, 0));
    }
    return count;
  }
}
