import type { AcpiBoard } from './board.ts';

const HEADER_SIZE_BYTES = 36;
const OEM_ID = 'HANOK ';
const OEM_TABLE_ID = 'PARAVIRT';
const CREATOR_ID = 'HNOK';

const putText = (target: Uint8Array, offset: number, text: string): void => {
  for (let index = 0; index < text.length; index++) target[offset + index] = text.charCodeAt(index);
};

/** The byte that makes the sum of `bytes` zero. */
const checksum = (bytes: Uint8Array): number => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;

/** A table with the common header (ACPI 6.5 §5.2.6). */
export function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE_BYTES + body.length);
  const data = new DataView(bytes.buffer);
  putText(bytes, 0, signature);
  data.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  putText(bytes, 10, OEM_ID);
  putText(bytes, 16, OEM_TABLE_ID);
  data.setUint32(24, 1, true);
  putText(bytes, 28, CREATOR_ID);
  data.setUint32(32, 1, true);
  bytes.set(body, HEADER_SIZE_BYTES);
  bytes[9] = checksum(bytes);
  return bytes;
}

/** Root system description pointer, revision 2 (§5.2.5.3). */
export function rsdp(xsdtAddress: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const data = new DataView(bytes.buffer);
  putText(bytes, 0, 'RSD PTR ');
  putText(bytes, 9, OEM_ID);
  bytes[15] = 2;
  data.setUint32(20, bytes.length, true);
  data.setBigUint64(24, BigInt(xsdtAddress), true);
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

export function xsdt(addresses: readonly number[]): Uint8Array {
  const body = new Uint8Array(addresses.length * 8);
  addresses.forEach((address, index) => new DataView(body.buffer).setBigUint64(index * 8, BigInt(address), true));
  return table('XSDT', 1, body);
}

/** Firmware ACPI control structure (§5.2.10): no checksum; holds the global lock. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  putText(bytes, 0, 'FACS');
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  bytes[32] = 2;
  return bytes;
}

/** IAPC_BOOT_ARCH: serial port on the ISA bus, no keyboard controller, no VGA (§5.2.9.3). */
const BOOT_ARCH = 0x0001 | 0x0004;
/** WBINVD, PROC_C1, SLP_BUTTON and FIX_RTC (both absent), TMR_VAL_EXT, RESET_REG_SUP (§5.2.9). */
const FADT_FLAGS = 0x001 | 0x004 | 0x020 | 0x040 | 0x100 | 0x400;
const LATENCY_UNSUPPORTED = 0x0fff;

/** Fixed ACPI description table, revision 6 (§5.2.9); offsets count from the table's start. */
export function fadt(board: AcpiBoard, facsAddress: number, dsdtAddress: number): Uint8Array {
  const body = new Uint8Array(276 - HEADER_SIZE_BYTES);
  const data = new DataView(body.buffer);
  const byte = (offset: number, value: number): void => data.setUint8(offset - HEADER_SIZE_BYTES, value);
  const half = (offset: number, value: number): void => data.setUint16(offset - HEADER_SIZE_BYTES, value, true);
  const word = (offset: number, value: number): void => data.setUint32(offset - HEADER_SIZE_BYTES, value, true);
  /** Generic address of an I/O port: space 1, width in bits, access size by ACPI's code. */
  const port = (offset: number, address: number, widthBits: number, accessSize: number): void => {
    byte(offset, 1);
    byte(offset + 1, widthBits);
    byte(offset + 3, accessSize);
    word(offset + 4, address);
  };
  const [event, control, timer] = [board.powerPort, board.powerPort + 4, board.powerPort + 8];

  word(36, facsAddress);
  word(40, dsdtAddress);
  half(46, board.sciIrq);
  word(56, event);
  word(64, control);
  word(76, timer);
  byte(88, 4);
  byte(89, 2);
  byte(91, 4);
  half(96, LATENCY_UNSUPPORTED);
  half(98, LATENCY_UNSUPPORTED);
  byte(108, board.rtc.centuryIndex);
  half(109, BOOT_ARCH);
  word(112, FADT_FLAGS);
  port(116, board.resetPort, 8, 1);
  byte(128, board.resetValue);
  word(140, dsdtAddress);
  port(148, event, 32, 2);
  port(172, control, 16, 2);
  port(208, timer, 32, 3);
  return table('FACP', 6, body);
}

/** Multiple APIC description table (§5.2.12). No 8259 and no 8254: no override for IRQ 0 is needed. */
export function madt(board: AcpiBoard, vcpuCount: number): Uint8Array {
  const half = (value: number): number[] => [value & 0xff, value >>> 8];
  const word = (value: number): number[] => [...half(value & 0xffff), ...half(value >>> 16)];
  const ACTIVE_HIGH_LEVEL = 0x000d;
  const processors = Array.from({ length: vcpuCount }, (_, id) => [0, 8, id, id, ...word(1)]).flat();
  return table(
    'APIC',
    5,
    Uint8Array.from([
      ...word(board.localApicBase),
      ...word(0),
      ...processors,
      ...[1, 12, 0, 0, ...word(board.ioApicBase), ...word(0)],
      ...[2, 10, 0, board.sciIrq, ...word(board.sciIrq), ...half(ACTIVE_HIGH_LEVEL)],
      ...[4, 6, 0xff, ...half(0), 1],
    ]),
  );
}

/** PCI Express memory-mapped configuration space (PCI Firmware 3.3 §4.1.2). */
export function mcfg(board: AcpiBoard): Uint8Array {
  const body = new Uint8Array(8 + 16);
  const data = new DataView(body.buffer);
  data.setBigUint64(8, BigInt(board.ecam.base), true);
  data.setUint8(19, board.ecam.sizeBytes / 0x100000 - 1);
  return table('MCFG', 1, body);
}
