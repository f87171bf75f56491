import type { ConsoleBackend } from '@hanok/machine';
import type { ConsolePort, MachineEnd } from '@hanok/vmm';
import type { RunLog } from './run-log.ts';

/** What a front may ask of the machine behind it. */
export interface MachineControl {
  /** Ends the run, now or as soon as the machine is there. */
  quit(): void;
  pressPowerButton(): void;
}

/** What stands between a machine and this process's streams. */
export interface Front extends Disposable {
  readonly serial: ConsoleBackend;
  readonly ports: readonly ConsolePort[];
  /** What this process ends with; throws where the end is an error. */
  exitStatus(end: MachineEnd): number;
}

export interface FrontOptions {
  readonly control: MachineControl;
  readonly log: RunLog;
}

/** As a shell says that a program wrote to a pipe that nobody reads any more: 128 + SIGPIPE. */
export const OUTPUT_GONE_STATUS = 141;
