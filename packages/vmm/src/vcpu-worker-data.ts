import type { VcpuState } from '@hanok/machine';

/** What Dom0 hands to a vCPU's thread. */
export interface VcpuWorkerData {
  readonly memory: WebAssembly.Memory;
  readonly memoryBytes: number;
  readonly mailbox: SharedArrayBuffer;
  readonly posted: SharedArrayBuffer;
  readonly exits: SharedArrayBuffer;
  readonly codePages: SharedArrayBuffer;
  readonly instructions: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly startMs: number;
  readonly maxPages: number;
  readonly initial: Partial<VcpuState>;
}

export type VcpuWorkerMessage = { readonly kind: 'shutdown' } | { readonly kind: 'stopped' } | { readonly kind: 'log'; readonly line: string };

/** Words of the control buffer. */
export const CONTROL_STOP = 0;
