import type { GuestMemory } from '@hanok/machine';

const ENABLED = 1n;
const RESERVED = 0x3en;
const RECORD_BYTES = 64;
const VERSION = 8;
const PREEMPTED = 16;
/** Bits of the byte at PREEMPTED. */
const VCPU_PREEMPTED = 1;
const VCPU_FLUSH_TLB = 2;

const UPDATE_NS = 1_000_000;

/**
 * The record in guest memory that says how long a vCPU wanted to run and did not, and whether it runs now (msr.rst,
 * MSR_KVM_STEAL_TIME). Others may ask a vCPU that does not run to flush its TLB before it does.
 */
export class StealTime {
  /** What the guest wrote to the MSR. */
  value = 0n;
  readonly #memory: GuestMemory;
  readonly #stolenNs: () => number;
  #updatedNs = 0;
  #accountedNs = 0;
  #sleeping = false;

  constructor(memory: GuestMemory, stolenNs: () => number) {
    this.#memory = memory;
    this.#stolenNs = stolenNs;
  }

  reset(): void {
    this.value = 0n;
    this.#sleeping = false;
  }

  /** False where the value has reserved bits. */
  set(value: bigint): boolean {
    if (value & RESERVED) return false;
    this.value = value;
    this.#accountedNs = this.#stolenNs();
    return true;
  }

  #record(): Uint8Array<SharedArrayBuffer> | undefined {
    return this.value & ENABLED ? this.#memory.slice(Number(this.value & ~ENABLED), RECORD_BYTES) : undefined;
  }

  /** Adds what was stolen since the last time, about once a millisecond. */
  update(nowNs: number): void {
    if ((this.value & ENABLED) === 0n || nowNs - this.#updatedNs < UPDATE_NS) return;
    this.#updatedNs = nowNs;
    const stolenNs = this.#stolenNs();
    const delta = Math.floor(stolenNs - this.#accountedNs);
    const record = this.#record();
    if (delta <= 0 || !record) return;
    this.#accountedNs = stolenNs;
    const view = new DataView(record.buffer, record.byteOffset, RECORD_BYTES);
    view.setUint32(VERSION, view.getUint32(VERSION, true) | 1, true);
    view.setBigUint64(0, BigInt.asUintN(64, view.getBigUint64(0, true) + BigInt(delta)), true);
    view.setUint32(VERSION, view.getUint32(VERSION, true) + 1, true);
  }

  /** The vCPU is going to wait. */
  sleep(): void {
    if (this.#sleeping) return;
    this.#sleeping = true;
    const record = this.#record();
    if (record) Atomics.store(record, PREEMPTED, VCPU_PREEMPTED);
  }

  /** The vCPU goes on; true when its TLB must be flushed first. */
  wake(): boolean {
    if (!this.#sleeping) return false;
    this.#sleeping = false;
    const record = this.#record();
    return record !== undefined && (Atomics.exchange(record, PREEMPTED, 0) & VCPU_FLUSH_TLB) !== 0;
  }
}
