import { PostedInterrupts, VcpuGate } from '@hanok/machine';
import { CPU, vcpuBlockAddress } from './layout.ts';
import { ShapeTable } from './shape-table.ts';

/** What other threads post to a vCPU lies in its block, where generated code looks at the attention flag. */
export const postedInterruptsOf = (memory: WebAssembly.Memory, vcpu: number) => new PostedInterrupts(memory.buffer as ArrayBufferLike, vcpuBlockAddress(vcpu) + CPU.posted);

/** What a vCPU knows of decoding. */
export const shapeTableOf = (memory: WebAssembly.Memory, vcpu: number) => new ShapeTable(memory.buffer as ArrayBufferLike, vcpuBlockAddress(vcpu));

/** The gate of a machine's only vCPU. */
export const soloGate = () => new VcpuGate(new SharedArrayBuffer(VcpuGate.sizeBytes(1)), 1, 0, () => {});
