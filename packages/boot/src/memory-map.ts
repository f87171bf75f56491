import { PAGE_SIZE_BYTES } from '@hanok/machine';
import { BootError, mebibytes } from './boot-error.ts';

/** A range of guest-physical memory, as the E820 map and PVH's map list them; `type` is their number. */
export interface MemoryRegion {
  readonly base: number;
  readonly sizeBytes: number;
  readonly type: number;
}

export const MemoryType = { Usable: 1, Reserved: 2 } as const;

/** Where the board keeps RAM from PCI: RAM ends at or below this. */
export const MEMORY_SIZE_MAX_BYTES = 0xc0000000;
const MEMORY_SIZE_MIN_BYTES = 0x200000;

/** PCI Express configuration space of bus 0, the only one: Linux asks for the devices of every bus that there may be. */
export const ECAM_BASE = 0xe0000000;
export const ECAM_SIZE_BYTES = 0x100000;

/** Where a BIOS would keep its data, from the end of conventional memory on. */
const LOW_RESERVED_BASE = 0x9fc00;
/** The ACPI tables. */
export const ACPI_AREA_BASE = 0xe0000;
export const ACPI_AREA_SIZE_BYTES = 0x20000;
const HIGH_MEMORY_BASE = 0x100000;

/** The memory map of a paravirt board with that much RAM. */
export function memoryMap(sizeBytes: number): MemoryRegion[] {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes % PAGE_SIZE_BYTES !== 0) {
    throw new BootError(`memory: a size of ${sizeBytes} bytes is not a whole number of 4 KiB pages; round it`);
  }
  if (sizeBytes > MEMORY_SIZE_MAX_BYTES) {
    throw new BootError(
      `memory: ${mebibytes(sizeBytes)} is more than the board's ${mebibytes(MEMORY_SIZE_MAX_BYTES)}; give the machine less`,
    );
  }
  if (sizeBytes < MEMORY_SIZE_MIN_BYTES) {
    throw new BootError(
      `memory: ${mebibytes(sizeBytes)} is less than the board's ${mebibytes(MEMORY_SIZE_MIN_BYTES)}; give the machine more`,
    );
  }
  return [
    { base: 0, sizeBytes: LOW_RESERVED_BASE, type: MemoryType.Usable },
    { base: LOW_RESERVED_BASE, sizeBytes: ACPI_AREA_BASE - LOW_RESERVED_BASE, type: MemoryType.Reserved },
    { base: ACPI_AREA_BASE, sizeBytes: ACPI_AREA_SIZE_BYTES, type: MemoryType.Reserved },
    { base: HIGH_MEMORY_BASE, sizeBytes: sizeBytes - HIGH_MEMORY_BASE, type: MemoryType.Usable },
    { base: ECAM_BASE, sizeBytes: ECAM_SIZE_BYTES, type: MemoryType.Reserved },
  ];
}
