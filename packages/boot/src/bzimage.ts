import type { VcpuState } from '@hanok/machine';
import { BootError, hex } from './boot-error.ts';
import { checkMemoryMap, claimLowMemory, enter32, enter64, LowMemory, mustWrite, writeCommandLine } from './low-memory.ts';
import type { KernelImage } from './low-memory.ts';
import { Placement } from './placement.ts';

/** Fields of the setup header, by their offset in the file and in the boot parameters alike (Linux x86 boot protocol). */
const Setup = {
  setup_sects: 0x1f1,
  syssize: 0x1f4,
  vid_mode: 0x1fa,
  boot_flag: 0x1fe,
  jump: 0x200,
  header: 0x202,
  version: 0x206,
  type_of_loader: 0x210,
  loadflags: 0x211,
  ramdisk_image: 0x218,
  ramdisk_size: 0x21c,
  cmd_line_ptr: 0x228,
  initrd_addr_max: 0x22c,
  xloadflags: 0x236,
  cmdline_size: 0x238,
  payload_offset: 0x248,
  payload_length: 0x24c,
  setup_data: 0x250,
  pref_address: 0x258,
  init_size: 0x260,
} as const;
const HEADER_END_MIN = 0x264;
/** The EDD signature buffer begins here. */
const HEADER_END_MAX = 0x290;

/** Fields of the boot parameters outside the setup header (Linux "zero page"). */
const Params = { acpi_rsdp_addr: 0x070, e820_entries: 0x1e8, e820_table: 0x2d0 } as const;
const E820_ENTRY_SIZE_BYTES = 20;
const BOOT_PARAMS_SIZE_BYTES = 4096;

const MAGIC_HDRS = 0x53726448;
const VERSION_MIN = 0x020c;
const LOADED_HIGH = 1;
const XLF_KERNEL_64 = 1;
const LOADER_UNDEFINED = 0xff;
const SECTOR_SIZE_BYTES = 512;
/** The 64-bit entry point, counted from where the protected-mode kernel is loaded. */
const ENTRY64_OFFSET = 0x200;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** True for a file with the boot sector's and the setup header's signatures, of whatever protocol version. */
export function isBzImage(file: Uint8Array): boolean {
  return (
    file.length >= Setup.version + 2 &&
    view(file).getUint16(Setup.boot_flag, true) === 0xaa55 &&
    view(file).getUint32(Setup.header, true) === MAGIC_HDRS
  );
}

interface Header {
  readonly endOffset: number;
  /** Has the 64-bit entry; i386 kernels have the 32-bit one only. */
  readonly is64Bit: boolean;
  readonly payload: Uint8Array;
  readonly loadAddress: number;
  readonly initSizeBytes: number;
  readonly initrdLimit: number;
  readonly commandLineLengthMax: number;
}

function parseHeader(file: Uint8Array): Header {
  const data = view(file);
  const version = data.getUint16(Setup.version, true);
  if (version < VERSION_MIN) {
    throw new BootError(
      `kernel: boot protocol ${version >> 8}.${version & 0xff} is too old; use a kernel of Linux 3.8 or later (protocol 2.12)`,
    );
  }
  const endOffset = Setup.header + file[Setup.jump + 1]!;
  if (file.length < HEADER_END_MAX || endOffset < HEADER_END_MIN || endOffset > HEADER_END_MAX) {
    throw new BootError(`kernel: the setup header ends at ${hex(endOffset)}, outside what the protocol allows; the file is damaged`);
  }
  if ((data.getUint8(Setup.loadflags) & LOADED_HIGH) === 0) {
    throw new BootError('kernel: this is a zImage, which loads under 1 MiB; use a bzImage');
  }
  const setupSizeBytes = ((data.getUint8(Setup.setup_sects) || 4) + 1) * SECTOR_SIZE_BYTES;
  const payloadSizeBytes = data.getUint32(Setup.syssize, true) * 16;
  if (payloadSizeBytes <= ENTRY64_OFFSET)
    throw new BootError('kernel: the setup header says that there is no kernel behind it; the file is damaged');
  if (setupSizeBytes + payloadSizeBytes > file.length) {
    throw new BootError(
      `kernel: the file is truncated: it has ${file.length} of ${setupSizeBytes + payloadSizeBytes} bytes; copy it again`,
    );
  }
  const loadAddress = data.getBigUint64(Setup.pref_address, true);
  if (loadAddress > 0xffffffffn)
    throw new BootError(`kernel: its preferred address ${hex(loadAddress)} is above 4 GiB; the file is damaged`);
  return {
    endOffset,
    is64Bit: (data.getUint16(Setup.xloadflags, true) & XLF_KERNEL_64) !== 0,
    payload: file.subarray(setupSizeBytes, setupSizeBytes + payloadSizeBytes),
    loadAddress: Number(loadAddress),
    initSizeBytes: data.getUint32(Setup.init_size, true),
    initrdLimit: data.getUint32(Setup.initrd_addr_max, true) + 1,
    commandLineLengthMax: data.getUint32(Setup.cmdline_size, true),
  };
}

/**
 * The compressed ELF file inside a bzImage for 64-bit processors, with what its compression has behind it (in the last 4
 * bytes its size unpacked). Undefined for other files; throws a BootError when a header is damaged.
 */
export function compressedKernel(file: Uint8Array): Uint8Array | undefined {
  if (!isBzImage(file)) return undefined;
  const { is64Bit, payload } = parseHeader(file);
  if (!is64Bit) return undefined;
  const [offset, sizeBytes] = [Setup.payload_offset, Setup.payload_length].map((field) => view(file).getUint32(field, true)) as [number, number];
  if (offset + sizeBytes > payload.length) {
    throw new BootError(`kernel: its compressed part ends at ${hex(offset + sizeBytes)}, behind its end ${hex(payload.length)}; the file is damaged`);
  }
  return payload.subarray(offset, offset + sizeBytes);
}

/** Loads a bzImage by the 64-bit boot protocol, an i386 kernel by the 32-bit one. */
export function loadBzImage(image: KernelImage): Partial<VcpuState> {
  const { memory, kernel, initrd } = image;
  checkMemoryMap(image.memoryMap);
  const header = parseHeader(kernel);
  const placement = new Placement(memory, image.memoryMap);
  claimLowMemory(placement);
  placement.claim(header.loadAddress, Math.max(header.initSizeBytes, header.payload.length), 'kernel');
  const hasInitrd = initrd !== undefined && initrd.length > 0;
  const initrdAddress = hasInitrd ? placement.claimHighest(initrd.length, header.initrdLimit, 'initrd') : 0;

  writeCommandLine(memory, image.commandLine, header.commandLineLengthMax);
  mustWrite(memory, header.loadAddress, header.payload);
  if (hasInitrd) mustWrite(memory, initrdAddress, initrd);
  mustWrite(memory, LowMemory.BootParams, bootParams(image, header, initrdAddress));
  if (!header.is64Bit) return enter32(memory, header.loadAddress, { esi: LowMemory.BootParams });
  return enter64(memory, header.loadAddress + ENTRY64_OFFSET, LowMemory.BootParams);
}

function bootParams(image: KernelImage, header: Header, initrdAddress: number): Uint8Array {
  const params = new Uint8Array(BOOT_PARAMS_SIZE_BYTES);
  params.set(image.kernel.subarray(Setup.setup_sects, header.endOffset), Setup.setup_sects);
  const data = view(params);
  data.setUint16(Setup.vid_mode, 0xffff, true);
  data.setUint8(Setup.type_of_loader, LOADER_UNDEFINED);
  data.setUint32(Setup.ramdisk_image, initrdAddress, true);
  data.setUint32(Setup.ramdisk_size, image.initrd?.length ?? 0, true);
  data.setUint32(Setup.cmd_line_ptr, LowMemory.CommandLine, true);
  data.setBigUint64(Setup.setup_data, 0n, true);
  data.setBigUint64(Params.acpi_rsdp_addr, BigInt(image.rsdp), true);
  data.setUint8(Params.e820_entries, image.memoryMap.length);
  image.memoryMap.forEach((region, index) => {
    const offset = Params.e820_table + index * E820_ENTRY_SIZE_BYTES;
    data.setBigUint64(offset, BigInt(region.base), true);
    data.setBigUint64(offset + 8, BigInt(region.sizeBytes), true);
    data.setUint32(offset + 16, region.type, true);
  });
  return params;
}
