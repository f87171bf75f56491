import type { TimeStamp } from './time-stamp.ts';
import type { ExitCounters, ExitKind, InterruptController, PostedInterrupts, VcpuBus } from '@hanok/machine';
import type { CpuModel } from './cpu-model.ts';
import type { EoiTarget } from './paravirt/kvm-eoi.ts';
import type { ParavirtHost } from './paravirt/kvm-paravirt.ts';

/** A vCPU's local APIC, as far as the vCPU is concerned. */
export interface LocalInterrupts extends InterruptController, EoiTarget {
  collect(posted: PostedInterrupts): void;
  takeNmi(): boolean;
  readonly nmiPending: boolean;
  tick(nowNs: number): void;
  /** When `tick` is needed next; Infinity when not at all. */
  nextDeadlineNs(): number;
  readMsr(number: number): bigint | 'fault' | undefined;
  writeMsr(number: number, value: bigint): 'done' | 'fault' | undefined;
  tscChanged(): void;
  reset(): void;
  /** The effect of an INIT. */
  init(): void;
}

/** Everything outside a vCPU that it reaches. */
export interface VcpuServices {
  readonly bus: VcpuBus;
  readonly interrupts: LocalInterrupts;
  readonly posted: PostedInterrupts;
  readonly exits: ExitCounters;
  readonly model: CpuModel;
  readonly apicId: number;
  /** How many vCPUs the machine has; by default 1. */
  readonly vcpuCount?: number;
  /** Shared with the local APIC, whose deadlines are in its units. */
  readonly timeStamp: TimeStamp;
  /** What KVM's paravirtual interface reaches; without it the guest sees no hypervisor. */
  readonly paravirt?: ParavirtHost;
  /** Nanoseconds of machine time. */
  nowNs(): number;
  /** The guest spins: gives the host's processor to others for a moment, unless this vCPU is called. */
  relax?(): void;
  /** 64 random bits. */
  randomWord(): bigint;
  /** One line about something odd that the guest did. */
  log(line: string): void;
}

/** Indices of exit kinds, so that counting one is an array access. */
export class ExitTally {
  readonly #counters: ExitCounters;
  readonly #indices = new Map<ExitKind, number>();
  readonly #seen = new Map<ExitKind, number>();

  constructor(counters: ExitCounters, kinds: readonly ExitKind[]) {
    this.#counters = counters;
    kinds.forEach((kind, index) => this.#indices.set(kind, index));
  }
  count(kind: ExitKind): void {
    this.#counters.count(this.#indices.get(kind)!);
  }

  /** Counts what has a counter of its own, modulo 2^32: by how much that moved since the last call. */
  countUpTo(kind: ExitKind, counter: number): void {
    this.#counters.count(this.#indices.get(kind)!, (counter - (this.#seen.get(kind) ?? 0)) >>> 0);
    this.#seen.set(kind, counter);
  }

  /** The bus, with memory-mapped accesses counted. Ports are counted where they are checked. */
  counting(bus: VcpuBus): VcpuBus {
    return {
      readPort: (port, width) => bus.readPort(port, width),
      writePort: (port, value, width) => bus.writePort(port, value, width),
      readMmio: (gpa, width) => {
        this.count('mmio read');
        return bus.readMmio(gpa, width);
      },
      writeMmio: (gpa, value, width) => {
        this.count('mmio write');
        bus.writeMmio(gpa, value, width);
      },
    };
  }
}
