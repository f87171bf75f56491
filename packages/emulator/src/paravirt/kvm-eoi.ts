import type { GuestMemory } from '@hanok/machine';

/** What the paravirtual end of interrupt needs of a local APIC. */
export interface EoiTarget {
  /** Some interrupt is requested, whatever its priority. */
  readonly hasRequests: boolean;
  /** How many interrupts are in service; whether one of them is level-triggered. */
  readonly inServiceCount: number;
  readonly servesLevel: boolean;
  endOfInterrupt(): void;
}

const ENABLED = 1n;
const RESERVED = 2n;
const NO_EOI_REQUIRED = 1;

/**
 * End of interrupt without an exit (msr.rst, MSR_KVM_EOI_EN). While a single edge-triggered interrupt is in service and
 * nothing else waits, a flag in guest memory tells the guest to clear it in place of writing the EOI register.
 */
export class KvmEoi {
  /** What the guest wrote to the MSR. */
  value = 0n;
  readonly #memory: GuestMemory;
  readonly #apic: EoiTarget;
  #offered = false;

  constructor(memory: GuestMemory, apic: EoiTarget) {
    this.#memory = memory;
    this.#apic = apic;
  }

  reset(): void {
    this.value = 0n;
    this.#offered = false;
  }

  /** False where the value has reserved bits. */
  set(value: bigint): boolean {
    if (value & RESERVED) return false;
    // The guest may have used an offer and end them all now, as Linux does before a reboot.
    if (this.#offered) this.#takeBack();
    this.value = value;
    return true;
  }

  #flag(): Uint8Array<SharedArrayBuffer> | undefined {
    return this.value & ENABLED ? this.#memory.slice(Number(this.value & ~ENABLED), 4) : undefined;
  }

  /** Before interrupts are looked at: takes the offer back, and learns whether the guest used it. */
  collect(): void {
    const { hasRequests, inServiceCount } = this.#apic;
    if (this.#offered && (hasRequests || inServiceCount === 0 || !this.#isOpen())) this.#takeBack();
  }

  #takeBack(): void {
    this.#offered = false;
    const flag = this.#flag();
    if (!flag) return;
    const wasOpen = (flag[0]! & NO_EOI_REQUIRED) !== 0;
    flag[0]! &= ~NO_EOI_REQUIRED;
    if (!wasOpen) this.#apic.endOfInterrupt();
  }

  #isOpen(): boolean {
    return ((this.#flag()?.[0] ?? 0) & NO_EOI_REQUIRED) !== 0;
  }

  /** After an interrupt was taken into service. */
  offer(): void {
    const { hasRequests, inServiceCount, servesLevel } = this.#apic;
    if ((this.value & ENABLED) === 0n || hasRequests || inServiceCount !== 1 || servesLevel) return;
    const flag = this.#flag();
    if (!flag) return;
    flag[0]! |= NO_EOI_REQUIRED;
    this.#offered = true;
  }
}
