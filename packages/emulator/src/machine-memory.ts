import { CodePages } from '@hanok/machine';
import { vcpuBlockAddress } from './layout.ts';
import { WriteEntries } from './write-entries.ts';

const WASM_PAGE_BYTES = 65536;

/**
 * The most pages of 64 KiB that a memory with 32-bit addresses can have. Modules declare that for the memory they
 * import, so that each works with a machine of any size: a memory's own maximum may be lower than what is declared
 * (core specification, section 4.5.2, "Import Matching").
 */
export const MEMORY_MAX_PAGES = 65536;

/** Where the parts of a machine's wasm memory begin, in bytes: the vCPUs' blocks from 0 on, then these. */
export interface MachineMemory {
  readonly ramAddress: number;
  readonly codePagesAddress: number;
  /** Each vCPU's `WriteEntries`. */
  writeEntriesAddress(vcpu: number): number;
  /** In pages of 64 KiB. */
  readonly pageCount: number;
}

/** The memory of a machine with so many vCPUs and so much RAM. */
export function machineMemory(vcpuCount: number, ramBytes: number): MachineMemory {
  const ramAddress = vcpuBlockAddress(vcpuCount);
  const codePagesAddress = ramAddress + ramBytes;
  const writeEntriesAddress = (vcpu: number) => codePagesAddress + CodePages.sizeBytes(ramBytes, vcpuCount) + vcpu * WriteEntries.sizeBytes(ramBytes);
  return { ramAddress, codePagesAddress, writeEntriesAddress, pageCount: Math.ceil(writeEntriesAddress(vcpuCount) / WASM_PAGE_BYTES) };
}
