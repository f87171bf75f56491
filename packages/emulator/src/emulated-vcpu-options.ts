import type { CodePages, GuestMemory, VcpuGate } from '@hanok/machine';
import type { ActivityRecorder } from './activity.ts';
import type { InterpreterTables } from './interpreter.ts';
import type { CompilePolicy } from './jit/compile-policy.ts';
import type { RegionCompiler } from './jit/region-compiler.ts';
import type { VcpuServices } from './system-services.ts';

export interface EmulatedVcpuOptions {
  readonly memory: GuestMemory;
  /** Which of the machine's vCPUs this is, by default 0: its block lies at `vcpuBlockAddress(index)`, below the guest's RAM. */
  readonly index?: number;
  /** How many there are, by default 1. */
  readonly vcpuCount?: number;
  /** What the machine's vCPUs share; a single one needs none. */
  readonly gate?: VcpuGate;
  readonly image: InterpreterTables;
  readonly module: WebAssembly.Module;
  readonly codePages: CodePages;
  readonly services: VcpuServices;
  /** Exceptions end `run` instead of going through the guest's interrupt table. */
  readonly interceptExceptions?: boolean;
  /** Does nothing before a start-up IPI, as all processors but the first. */
  readonly waitsForStartup?: boolean;
  /** When code is compiled; by default once it is hot. */
  readonly compilePolicy?: CompilePolicy;
  /** Who compiles it; by default this vCPU's own thread. */
  readonly regionCompiler?: RegionCompiler;
  /** Told what this vCPU does; `module` must be one that records activity. */
  readonly activity?: ActivityRecorder | undefined;
}
