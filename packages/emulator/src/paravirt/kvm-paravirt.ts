import { DeliveryMode, type GuestMemory } from '@hanok/machine';
import type { TimeStamp } from '../time-stamp.ts';
import { KVM_ERROR, KVM_HC, KVM_MSR } from './kvm-abi.ts';
import { type ClockSource, KvmClock } from './kvm-clock.ts';
import { type EoiTarget, KvmEoi } from './kvm-eoi.ts';
import { StealTime } from './steal-time.ts';

const CLOCK_PAIRING_WALLCLOCK = 0n;

/** What stands behind the interface. APIC ids are vCPU numbers. */
export interface ParavirtHost extends ClockSource {
  /** How long this vCPU's thread has been ready to run and did not. */
  stolenNs(): number;
  /** Sends an interrupt (mode Fixed or Nmi) to those of the vCPUs that exist; gives how many. */
  sendIpi(vcpus: readonly number[], mode: number, vector: number): number;
  /** Ends another vCPU's HLT; false when there is none of that number. */
  kick(vcpu: number): boolean;
  /** Leaves the host's processor to others for a moment. */
  yield(): void;
}

/** One vCPU's share of KVM's paravirtual interface: its MSRs and hypercalls. */
export class KvmParavirt {
  readonly steal: StealTime;
  readonly eoi: KvmEoi;
  readonly #clock: KvmClock;
  readonly #host: ParavirtHost;

  constructor(memory: GuestMemory, timeStamp: TimeStamp, tscHz: number, apic: EoiTarget, host: ParavirtHost) {
    this.#host = host;
    this.#clock = new KvmClock(memory, timeStamp, tscHz, host);
    this.steal = new StealTime(memory, () => host.stolenNs());
    this.eoi = new KvmEoi(memory, apic);
  }

  reset(): void {
    this.#clock.reset();
    this.steal.reset();
    this.eoi.reset();
  }

  tscChanged(): void {
    this.#clock.update();
  }

  /** Undefined where the MSR is none of the interface's. */
  readMsr(number: number): bigint | undefined {
    switch (number) {
      case KVM_MSR.WALL_CLOCK:
      case KVM_MSR.WALL_CLOCK_NEW:
        return this.#clock.wallClock;
      case KVM_MSR.SYSTEM_TIME:
      case KVM_MSR.SYSTEM_TIME_NEW:
        return this.#clock.systemTime;
      case KVM_MSR.STEAL_TIME:
        return this.steal.value;
      case KVM_MSR.PV_EOI_EN:
        return this.eoi.value;
      default:
        return undefined;
    }
  }

  /** False for #GP; undefined where the MSR is none of the interface's. */
  writeMsr(number: number, value: bigint): boolean | undefined {
    switch (number) {
      case KVM_MSR.WALL_CLOCK:
      case KVM_MSR.WALL_CLOCK_NEW:
        this.#clock.setWallClock(value);
        return true;
      case KVM_MSR.SYSTEM_TIME:
      case KVM_MSR.SYSTEM_TIME_NEW:
        this.#clock.setSystemTime(value);
        return true;
      case KVM_MSR.STEAL_TIME:
        return this.steal.set(value);
      case KVM_MSR.PV_EOI_EN:
        return this.eoi.set(value);
      default:
        return undefined;
    }
  }

  /** A hypercall with its number and arguments (hypercalls.rst); what RAX gets. */
  hypercall(number: bigint, args: readonly [bigint, bigint, bigint, bigint]): bigint {
    switch (Number(number)) {
      case KVM_HC.KICK_CPU:
        return this.#host.kick(Number(args[1])) ? 0n : KVM_ERROR.EINVAL;
      case KVM_HC.CLOCK_PAIRING:
        if (args[1] !== CLOCK_PAIRING_WALLCLOCK) return KVM_ERROR.EOPNOTSUPP;
        return this.#clock.pair(Number(args[0])) ? 0n : KVM_ERROR.EFAULT;
      case KVM_HC.SEND_IPI:
        return this.#sendIpi(...args);
      case KVM_HC.SCHED_YIELD:
        this.#host.yield();
        return 0n;
      default:
        return KVM_ERROR.ENOSYS;
    }
  }

  /** 128 bits name APIC ids from `lowest` on; `command` is the low half of an interrupt command register. */
  #sendIpi(low: bigint, high: bigint, lowest: bigint, command: bigint): bigint {
    const mode = Number((command >> 8n) & 7n);
    if (mode !== DeliveryMode.Fixed && mode !== DeliveryMode.Nmi) return KVM_ERROR.EINVAL;
    const vcpus: number[] = [];
    let bits = (high << 64n) | low;
    for (let vcpu = Number(lowest); bits !== 0n; vcpu++, bits >>= 1n) if (bits & 1n) vcpus.push(vcpu);
    return BigInt(this.#host.sendIpi(vcpus, mode, Number(command & 0xffn)));
  }
}
