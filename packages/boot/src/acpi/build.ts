import type { GuestMemory } from '@hanok/machine';
import { BootError } from '../boot-error.ts';
import { ACPI_AREA_BASE, ACPI_AREA_SIZE_BYTES } from '../memory-map.ts';
import { PARAVIRT_BOARD } from './board.ts';
import type { AcpiBoard } from './board.ts';
import { dsdtBody } from './dsdt.ts';
import { facs, fadt, madt, mcfg, rsdp, table, xsdt } from './tables.ts';

export interface AcpiOptions {
  readonly memory: GuestMemory;
  readonly vcpuCount: number;
  /** Default: `PARAVIRT_BOARD`. */
  readonly board?: AcpiBoard;
}

/** APIC ids are 0 to 254 without x2APIC entries. */
const VCPU_COUNT_MAX = 255;
/** The FACS must begin at a multiple of this. */
const ALIGNMENT_BYTES = 64;

/** Writes the ACPI tables into the BIOS area; gives the address of the root pointer and the end of the last table. */
export function buildAcpiTables(options: AcpiOptions): { rsdp: number; end: number } {
  const { memory, vcpuCount } = options;
  const board = options.board ?? PARAVIRT_BOARD;
  if (!Number.isInteger(vcpuCount) || vcpuCount < 1 || vcpuCount > VCPU_COUNT_MAX) {
    throw new BootError(`ACPI: ${vcpuCount} vCPUs cannot be described; use 1 to ${VCPU_COUNT_MAX}`);
  }
  let next = ACPI_AREA_BASE;
  const place = (bytes: Uint8Array): number => {
    const address = next;
    next = Math.ceil((address + bytes.length) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    const fits = next <= ACPI_AREA_BASE + ACPI_AREA_SIZE_BYTES;
    if (!fits || !memory.write(address, bytes))
      throw new BootError(`ACPI: the tables need memory up to 0x${next.toString(16)}; give the machine at least 2 MiB`);
    return address;
  };

  const rootPointer = place(rsdp(0));
  const facsAddress = place(facs());
  const dsdtAddress = place(table('DSDT', 2, dsdtBody(board)));
  const tables = [fadt(board, facsAddress, dsdtAddress), madt(board, vcpuCount), mcfg(board)].map(place);
  const root = rsdp(place(xsdt(tables)));
  memory.write(rootPointer, root);
  return { rsdp: rootPointer, end: next };
}
