import { Worker } from 'node:worker_threads';
import { buildInterpreter, machineMemory } from '@hanok/emulator';
import { GuestMemory } from '@hanok/machine';
import { createSharedMachine, RAM_BYTES } from './bare-vcpu.ts';
import type { ProgramWorkerData } from './program-worker.ts';

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8'] as const;
export type Registers = Partial<Record<(typeof REGISTERS)[number], number>>;

export interface ProgramEnd {
  readonly vector: number;
  /** RAX, RCX, … in the order of the manual. */
  readonly gpr: readonly bigint[];
}

/** What a vCPU of its own thread runs: until an exception, which UD2 raises at the end. */
export interface Program {
  readonly address: number;
  readonly registers: Registers;
}

export const UD2 = [0x0f, 0x0b];
export const INVALID_OPCODE = 6;
/** Nothing gets hot, or all that runs a little. */
export const ENGINES = [{ name: 'interpreted', hotCount: 1 << 30 }, { name: 'compiled', hotCount: 20 }] as const;

/** Puts code into RAM and runs a program on each vCPU, together. */
export async function runPrograms(code: ReadonlyMap<number, readonly number[]>, programs: readonly Program[], hotCount: number): Promise<{ ends: ProgramEnd[]; ram: GuestMemory }> {
  const vcpuCount = programs.length;
  const shared = createSharedMachine(vcpuCount);
  const { bytes, ...image } = buildInterpreter();
  const interpreter = { image, module: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>) };
  const ram = new GuestMemory(shared.memory, machineMemory(vcpuCount, RAM_BYTES).ramAddress, RAM_BYTES);
  for (const [address, content] of code) ram.write(address, Uint8Array.from(content));
  const start = new SharedArrayBuffer(4);
  const run = ({ address, registers }: Program, vcpu: number) => {
    const gpr = Array.from({ length: 16 }, (_, index) => BigInt(registers[REGISTERS[index] ?? 'rax'] ?? 0));
    const data: ProgramWorkerData = { shared, interpreter, vcpu, hotCount, address, gpr, start };
    const worker = new Worker(new URL('./program-worker.ts', import.meta.url), { workerData: data });
    return new Promise<ProgramEnd>((resolve, reject) => worker.once('message', resolve).once('error', reject));
  };
  return { ends: await Promise.all(programs.map(run)), ram };
}
