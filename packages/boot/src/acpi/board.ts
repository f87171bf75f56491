import { ECAM_BASE, ECAM_SIZE_BYTES } from '../memory-map.ts';

/** What the ACPI tables say about the board. The devices must be wired the same way. */
export interface AcpiBoard {
  readonly localApicBase: number;
  readonly ioApicBase: number;
  /** PM1a event (4 bytes), PM1a control (2) and, from +8, the PM timer (4). */
  readonly powerPort: number;
  readonly sciIrq: number;
  readonly s5SleepType: number;
  readonly resetPort: number;
  readonly resetValue: number;
  readonly serial: { readonly port: number; readonly irq: number };
  readonly rtc: { readonly port: number; readonly irq: number; readonly centuryIndex: number };
  readonly ecam: { readonly base: number; readonly sizeBytes: number };
  /** Where PCI devices' memory may be. */
  readonly pciMemory: { readonly first: number; readonly last: number };
  /** INTA# of slot 0; four lines from here on serve all slots, turned by one a slot. */
  readonly pciFirstGsi: number;
}

export const PARAVIRT_BOARD: AcpiBoard = {
  localApicBase: 0xfee00000,
  ioApicBase: 0xfec00000,
  powerPort: 0x600,
  sciIrq: 9,
  s5SleepType: 5,
  resetPort: 0xcf9,
  resetValue: 6,
  serial: { port: 0x3f8, irq: 4 },
  rtc: { port: 0x70, irq: 8, centuryIndex: 0x32 },
  ecam: { base: ECAM_BASE, sizeBytes: ECAM_SIZE_BYTES },
  pciMemory: { first: 0xd0000000, last: 0xdfffffff },
  pciFirstGsi: 16,
};
