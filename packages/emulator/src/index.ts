export { X86_64_V1 } from './cpu-model.ts';
export type { CpuModel } from './cpu-model.ts';
export { EmulatedVcpu } from './emulated-vcpu.ts';
export type { EmulatedVcpuOptions } from './emulated-vcpu.ts';
export { buildInterpreter } from './interpreter.ts';
export type { InterpreterImage } from './interpreter.ts';
export { VCPU_BLOCK_BYTES } from './layout.ts';
export { TimeStamp } from './system-services.ts';
export type { LocalInterrupts, VcpuServices } from './system-services.ts';
