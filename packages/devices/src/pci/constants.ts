/** Configuration mechanism #1: address and data ports (PCI Local Bus 3.0 §3.2.2.3.2). */
export const PCI_CONFIG_ADDRESS_PORT = 0xcf8;
export const PCI_CONFIG_DATA_PORT = 0xcfc;

/** The memory-mapped configuration window, for the MCFG table: 1 MiB for bus 0, the only one. */
export const PCI_ECAM_BASE = 0xe0000000;
export const PCI_ECAM_SIZE_BYTES = 0x100000;

/** The window that the host bridge forwards to BARs, for the _CRS of the host bridge. */
export const PCI_MMIO_BASE = 0xd0000000;
export const PCI_MMIO_SIZE_BYTES = 0x10000000;

export const PCI_DEVICES_PER_BUS = 32;
export const PCI_CONFIG_SIZE_BYTES = 4096;

/** Offsets of the type 0 header (PCI Local Bus 3.0 §6.1). */
export const PciRegister = {
  VendorId: 0x00,
  DeviceId: 0x02,
  Command: 0x04,
  Status: 0x06,
  RevisionId: 0x08,
  ClassCode: 0x09,
  CacheLineSize: 0x0c,
  LatencyTimer: 0x0d,
  HeaderType: 0x0e,
  BaseAddress0: 0x10,
  SubsystemVendorId: 0x2c,
  SubsystemId: 0x2e,
  CapabilitiesPointer: 0x34,
  InterruptLine: 0x3c,
  InterruptPin: 0x3d,
} as const;

/** Bits of the command register (§6.2.2). */
export const PciCommand = { MemorySpace: 0x0002, BusMaster: 0x0004, ParityError: 0x0040, Serr: 0x0100, InterruptDisable: 0x0400 } as const;

/** Bits of the status register (§6.2.3). */
export const PciStatus = { Interrupt: 0x0008, CapabilitiesList: 0x0010 } as const;

/** Capability IDs (§6.7 and its appendix H). */
export const PciCapabilityId = { VendorSpecific: 0x09, MsiX: 0x11 } as const;
