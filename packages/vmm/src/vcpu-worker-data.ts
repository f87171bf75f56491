import type { CompiledCode, InterpreterImage, InterpreterTables } from '@hanok/emulator';
import type { VcpuState } from '@hanok/machine';
import type { MessagePort } from 'node:worker_threads';
import { moduleWithCode } from './machine-code/code-file.ts';
import { setInterpreterFlags } from './v8-flags.ts';
import type { CompilerConnection } from './remote-compiler.ts';

/** The interpreter, built once for all vCPUs of a machine. */
export interface BuiltInterpreter {
  readonly image: InterpreterTables;
  readonly module: WebAssembly.Module;
}

/** Makes its module of an image, with the machine code that a file keeps, if there is one. */
export function builtInterpreter({ bytes, ...image }: InterpreterImage, codePath?: string): BuiltInterpreter {
  setInterpreterFlags();
  const module = codePath === undefined ? undefined : moduleWithCode(codePath, bytes as Uint8Array<ArrayBuffer>);
  return { image, module: module ?? new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>) };
}

/** What all threads of a machine share. */
export interface SharedParts {
  readonly memory: WebAssembly.Memory;
  readonly memoryBytes: number;
  readonly vcpuCount: number;
  readonly mailboxes: SharedArrayBuffer;
  readonly gate: SharedArrayBuffer;
  readonly apicDirectory: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** Counters, one set a vCPU. */
  readonly exits: SharedArrayBuffer;
  readonly instructions: SharedArrayBuffer;
  /** What each vCPU compiled, four numbers; only where the machine is profiled. */
  readonly compiled: SharedArrayBuffer | undefined;
  /** Where the interpreter is kept. */
  readonly cacheFolder: string | undefined;
  readonly startNs: number;
  readonly cpuModel: string;
  /** Whether the guest sees KVM's paravirtual interface. */
  readonly paravirt: boolean;
}

/** What Dom0 hands to a vCPU's thread. */
export interface VcpuWorkerData {
  readonly shared: SharedParts;
  readonly index: number;
  /** Absent where this thread is to build it. */
  readonly interpreter: BuiltInterpreter | undefined;
  readonly compiler: CompilerConnection;
  /** State to begin with; without one the vCPU waits for a start-up IPI. */
  readonly initial: Partial<VcpuState> | undefined;
}

/** What Dom0 hands to the thread that compiles regions for all vCPUs. */
export interface CompilerWorkerData extends Pick<SharedParts, 'memory' | 'memoryBytes' | 'vcpuCount'>, Pick<InterpreterTables, 'helperNames'> {
  /** To the vCPUs. */
  readonly connections: readonly MessagePort[];
  readonly requests: SharedArrayBuffer;
  /** Where regions are kept for later machines, if they are. */
  readonly regionFile: string | undefined;
  readonly canDoWithoutBaseline: boolean;
}

export type VcpuWorkerMessage =
  | { readonly kind: 'shutdown' }
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'interpreter'; readonly interpreter: BuiltInterpreter };

const COMPILED_FIELDS = ['modules', 'regions', 'instructions', 'liveRegions'] as const;
export const compiledCodeBytes = (vcpuCount: number): number => COMPILED_FIELDS.length * 8 * vcpuCount;

export function writeCompiledCode(buffer: SharedArrayBuffer, vcpu: number, compiled: CompiledCode): void {
  new Float64Array(buffer).set(COMPILED_FIELDS.map((field) => compiled[field]), vcpu * COMPILED_FIELDS.length);
}

/** What all vCPUs compiled. */
export function readCompiledCode(buffer: SharedArrayBuffer): CompiledCode {
  const numbers = new Float64Array(buffer);
  const sum = (field: number) => numbers.reduce((total, count, at) => total + (at % COMPILED_FIELDS.length === field ? count : 0), 0);
  return { modules: sum(0), regions: sum(1), instructions: sum(2), liveRegions: sum(3) };
}

/** Words of the control buffer. */
export const CONTROL_STOP = 0;
