import {
  busNumbers,
  device,
  eisaId,
  integer,
  ioPorts,
  ioWindow,
  irq,
  memory32Fixed,
  memoryWindow,
  name,
  pack,
  resources,
  scope,
  string,
} from './aml.ts';
import type { Aml } from './aml.ts';
import type { AcpiBoard } from './board.ts';

const SLOT_COUNT = 32;
const PIN_COUNT = 4;
const BUS_SIZE_BYTES = 0x100000;

/** The interrupt of a slot's pin (0 is INTA#): neighbours take turns, so that INTA# of all slots is not one line. */
export function pciInterruptGsi(board: AcpiBoard, slot: number, pin: number): number {
  return board.pciFirstGsi + ((slot + pin) % PIN_COUNT);
}

/** The PCI routing table (ACPI 6.5 §6.2.13): each slot's pins go straight to the I/O APIC. */
function routing(board: AcpiBoard): Aml {
  const entries: Aml[] = [];
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    for (let pin = 0; pin < PIN_COUNT; pin++) {
      const address = ((slot << 16) | 0xffff) >>> 0;
      entries.push(pack(integer(address), integer(pin), integer(0), integer(pciInterruptGsi(board, slot, pin))));
    }
  }
  return pack(...entries);
}

function pciRoot(board: AcpiBoard): Aml {
  return device(
    'PCI0',
    name('_HID', eisaId('PNP0A08')),
    name('_CID', eisaId('PNP0A03')),
    name('_UID', integer(0)),
    name('_SEG', integer(0)),
    name('_BBN', integer(0)),
    name(
      '_CRS',
      resources(
        busNumbers(0, board.ecam.sizeBytes / BUS_SIZE_BYTES - 1),
        ioPorts(0xcf8, 8),
        ioWindow(0, 0xcf7),
        ioWindow(0xd00, 0xffff),
        memoryWindow(board.pciMemory.first, board.pciMemory.last),
      ),
    ),
    name('_PRT', routing(board)),
  );
}

/** The differentiated definition block: what no standard table describes. */
export function dsdtBody(board: AcpiBoard): Uint8Array {
  const present = name('_STA', integer(0x0f));
  return Uint8Array.from([
    ...scope(
      '\\_SB',
      pciRoot(board),
      device(
        'MBRD',
        name('_HID', eisaId('PNP0C02')),
        name('_UID', integer(0)),
        name('_CRS', resources(memory32Fixed(board.ecam.base, board.ecam.sizeBytes), ioPorts(board.powerPort, 12))),
      ),
      device(
        'COM1',
        name('_HID', eisaId('PNP0501')),
        name('_UID', integer(1)),
        name('_DDN', string('COM1')),
        present,
        name('_CRS', resources(ioPorts(board.serial.port, 8), irq(board.serial.irq))),
      ),
      device('RTC', name('_HID', eisaId('PNP0B00')), present, name('_CRS', resources(ioPorts(board.rtc.port, 2), irq(board.rtc.irq)))),
      device('PWRB', name('_HID', eisaId('PNP0C0C')), present),
    ),
    ...name('\\_S5', pack(integer(board.s5SleepType), integer(0), integer(0), integer(0))),
  ]);
}
