import { buildAcpiTables, memoryMap, PARAVIRT_BOARD, pciInterruptGsi } from '@hanok/boot';
import {
  ACPI_POWER_PORT, ACPI_POWER_SIZE_BYTES, ACPI_SCI_IRQ, AcpiPower, blk, CMOS_RTC_IRQ, CMOS_RTC_PORT, CMOS_RTC_SIZE_BYTES, CmosRtc, COM1_IRQ, COM1_PORT,
  IO_APIC_BASE, IO_APIC_SIZE_BYTES, IoApic, KEYBOARD_CONTROLLER_PORT, PciBus, ResetControl, rng, Uart16550, UART_SIZE_BYTES, virtioConsole, type VirtioPciDevice,
} from '@hanok/devices';
import { type Clock, type Device, type GuestMemory, IoSpace, type MsiSink } from '@hanok/machine';
import type { MachineConfig } from './config.ts';

/** What a board needs from the machine around it. */
export interface BoardWiring {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly msi: MsiSink;
  onPowerOff(): void;
  onReset(): void;
}

/** INTA to INTD at the host bridge. */
const PCI_WIRE_COUNT = 4;

/**
 * The `paravirt` board: ACPI, I/O APIC, a UART, a clock, PCI with virtio devices, and nothing else. The local APICs are
 * not here: each lives with its vCPU.
 */
export class ParavirtBoard {
  readonly ports = new IoSpace('port space');
  readonly mmio = new IoSpace('memory-mapped I/O space');
  readonly devices: readonly Device[];
  readonly #power: AcpiPower;
  readonly #memory: GuestMemory;

  constructor(config: MachineConfig, wiring: BoardWiring) {
    this.#memory = wiring.memory;
    const { clock } = wiring;
    const ioApic = new IoApic(wiring.msi);
    const reset = new ResetControl(() => wiring.onReset());
    this.#power = new AcpiPower({ clock, line: ioApic.line(ACPI_SCI_IRQ), onPowerOff: () => wiring.onPowerOff() });
    const rtc = new CmosRtc({ clock, line: ioApic.line(CMOS_RTC_IRQ) });
    const intx = Array.from({ length: PCI_WIRE_COUNT }, (_, pin) => pciInterruptGsi(PARAVIRT_BOARD, 0, pin)).map((gsi) => ({ gsi, line: ioApic.line(gsi) }));
    const pci = new PciBus({ ports: this.ports, mmio: this.mmio, msi: wiring.msi, intx, resetControl: reset.resetPort });
    const virtio = virtioDevices(config, wiring);
    for (const device of virtio) pci.add(device.pci);
    this.mmio.map(IO_APIC_BASE, IO_APIC_SIZE_BYTES, 'I/O APIC', ioApic);
    this.ports.map(ACPI_POWER_PORT, ACPI_POWER_SIZE_BYTES, 'ACPI power', this.#power);
    this.ports.map(CMOS_RTC_PORT, CMOS_RTC_SIZE_BYTES, 'RTC', rtc);
    this.ports.map(KEYBOARD_CONTROLLER_PORT, 1, 'keyboard controller', reset.keyboardPort);
    const devices: Device[] = [ioApic, reset, this.#power, rtc, pci, ...virtio];
    if (config.serial) {
      const uart = new Uart16550({ name: 'com1', backend: config.serial, line: ioApic.line(COM1_IRQ) });
      this.ports.map(COM1_PORT, UART_SIZE_BYTES, 'COM1', uart);
      devices.push(uart);
    }
    this.devices = devices;
  }

  /** Writes what firmware leaves in memory: ACPI tables. Gives the root pointer's address and the memory map. */
  prepareMemory(vcpuCount: number): { rsdp: number; memoryMap: ReturnType<typeof memoryMap> } {
    const { rsdp } = buildAcpiTables({ memory: this.#memory, vcpuCount });
    return { rsdp, memoryMap: memoryMap(this.#memory.sizeBytes) };
  }

  pressPowerButton(): void {
    this.#power.pressPowerButton();
  }

  /** Every device back to its state after power-on. */
  reset(): void {
    for (const device of this.devices) device.reset();
  }

  async stop(): Promise<void> {
    for (const device of this.devices) await device.pause();
    for (const device of this.devices) await device.stop();
  }
}

function virtioDevices(config: MachineConfig, { memory, clock }: BoardWiring): VirtioPciDevice[] {
  const disks = config.disks.map((backend, index) => blk({ backend, serial: `hanok-disk-${index}` }, { memory, clock, name: `vd${String.fromCharCode(97 + index)}` }));
  const ports = config.ports.length > 0 ? [virtioConsole({ ports: config.ports }, { memory, clock })] : [];
  return [...ports, ...disks, rng({ source: config.entropy }, { memory, clock })];
}
