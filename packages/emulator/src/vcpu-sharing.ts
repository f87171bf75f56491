import { PostedInterrupts, VcpuGate } from '@hanok/machine';
import { CPU, vcpuBlockAddress } from './layout.ts';

/** What other threads post to a vCPU lies in its block, where generated code looks at the attention flag. */
export const postedInterruptsOf = (memory: WebAssembly.Memory, vcpu: number) => new PostedInterrupts(memory.buffer as ArrayBufferLike, vcpuBlockAddress(vcpu) + CPU.posted);

/** The gate of a machine's only vCPU. */
export const soloGate = () => new VcpuGate(new SharedArrayBuffer(VcpuGate.sizeBytes(1)), 1, 0, () => {});
