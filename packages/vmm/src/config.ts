import type { BlockBackend, ConsoleBackend, EntropySource } from '@hanok/machine';
import type { MachineProfile } from './profile/machine-profile.ts';

/** One port of the virtio console. Port 0 with `isConsole` is the guest's hvc0. */
export interface ConsolePort {
  readonly name: string;
  readonly backend: ConsoleBackend;
  readonly isConsole: boolean;
}

/** Everything that makes one machine. */
export interface MachineConfig {
  readonly memoryBytes: number;
  /** 1 to 16; by default 1. */
  readonly vcpuCount?: number;
  /** One of `CPU_MODEL_NAMES`; by default `DEFAULT_CPU_MODEL_NAME`. */
  readonly cpuModel?: string;
  /** Whether the guest sees that it is a guest, and KVM's paravirtual interface; by default it does. */
  readonly paravirt?: boolean;
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
  readonly serial?: ConsoleBackend;
  readonly ports: readonly ConsolePort[];
  /** In the order in which the guest finds them: vda, vdb, … */
  readonly disks: readonly BlockBackend[];
  readonly entropy: EntropySource;
  /** Whether the machine notes where its time goes, for `Machine.profile`. */
  readonly profile?: boolean;
  /** Where the interpreter is kept between machines; without it each machine builds its own. */
  readonly cacheFolder?: string;
  readonly onLog?: (line: string) => void;
  /** What a guest's reset does; by default the machine starts again. */
  readonly onReset?: 'restart' | 'end';
}

/** Why a machine ended. A guest's reset restarts it; `reset` is an end only where that was asked for. */
export type MachineEnd = { readonly reason: 'power-off' | 'reset' | 'stopped' } | { readonly reason: 'crashed'; readonly detail: string };

/** A machine that was made and can run. */
export interface Machine {
  start(): void;
  readonly ended: Promise<MachineEnd>;
  /** Powers off at once; the guest is not asked. */
  stop(): Promise<void>;
  /** Asks the guest to power off, as the button of a computer does. */
  pressPowerButton(): void;
  exitCounts(): { kind: string; count: number }[];
  instructionCount(): number;
  /** After the end of a machine that was to be profiled: where its time went since its last reset. */
  profile(): MachineProfile | undefined;
}
