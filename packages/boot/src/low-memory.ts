import type { GuestMemory, SegmentState, VcpuState } from '@hanok/machine';
import { BootError } from './boot-error.ts';
import type { MemoryRegion } from './memory-map.ts';
import type { Placement } from './placement.ts';

/** What a loader is given. `rsdp` is the address of ACPI's root pointer, 0 for none. */
export interface KernelImage {
  readonly memory: GuestMemory;
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array | undefined;
  readonly commandLine: string;
  readonly rsdp: number;
  readonly memoryMap: readonly MemoryRegion[];
}

/** Where loaders keep what they hand to the kernel, all in conventional memory. */
export const LowMemory = {
  Gdt: 0x500,
  StartInfo: 0x6000,
  BootParams: 0x7000,
  StackTop: 0x9000,
  PageTables: 0x9000,
  CommandLine: 0x20000,
  End: 0x30000,
} as const;

const COMMAND_LINE_AREA_SIZE_BYTES = LowMemory.End - LowMemory.CommandLine;
/** E820 tables of the boot parameters have room for this many. */
const MEMORY_MAP_LENGTH_MAX = 128;

/** Selectors of the Linux boot protocol: __BOOT_CS and __BOOT_DS. */
const BOOT_CS = 0x10;
const BOOT_DS = 0x18;
const ACCESS_CODE64 = 0xa09b;
const ACCESS_CODE32 = 0xc09b;
const ACCESS_DATA = 0xc093;

export function claimLowMemory(placement: Placement): void {
  placement.claim(LowMemory.Gdt, LowMemory.End - LowMemory.Gdt, "the loader's own tables");
}

/** Writes that must succeed, because the range was claimed. */
export function mustWrite(memory: GuestMemory, address: number, bytes: Uint8Array): void {
  if (!memory.write(address, bytes))
    throw new BootError(`memory: ${bytes.length} bytes at 0x${address.toString(16)} are not RAM; give the machine more memory`);
}

/** Puts the command line, with a NUL at its end, where `LowMemory.CommandLine` says. */
export function writeCommandLine(memory: GuestMemory, commandLine: string, lengthMax: number): void {
  const limit = Math.min(lengthMax, COMMAND_LINE_AREA_SIZE_BYTES - 1);
  if (commandLine.length > limit) {
    throw new BootError(`command line: ${commandLine.length} characters are more than this kernel's ${limit}; shorten it`);
  }
  const bytes = new Uint8Array(commandLine.length + 1);
  for (let index = 0; index < commandLine.length; index++) {
    const code = commandLine.charCodeAt(index);
    if (code === 0 || code > 0x7e) throw new BootError(`command line: character ${index + 1} is not printable ASCII; remove it`);
    bytes[index] = code;
  }
  mustWrite(memory, LowMemory.CommandLine, bytes);
}

export function checkMemoryMap(map: readonly MemoryRegion[]): void {
  if (map.length > MEMORY_MAP_LENGTH_MAX) {
    throw new BootError(`memory map: ${map.length} ranges are more than the ${MEMORY_MAP_LENGTH_MAX} a kernel is told of; join some`);
  }
}

/** A flat segment's descriptor with that access (SDM vol. 3A §3.4.5). */
const descriptor = (access: number): bigint => 0x000f_0000_0000_ffffn | (BigInt(access & 0xff) << 40n) | (BigInt(access >> 12) << 52n);

function writeGdt(memory: GuestMemory, codeAccess: number): { base: bigint; limit: number } {
  const table = new Uint8Array(32);
  const view = new DataView(table.buffer);
  view.setBigUint64(BOOT_CS, descriptor(codeAccess), true);
  view.setBigUint64(BOOT_DS, descriptor(ACCESS_DATA), true);
  mustWrite(memory, LowMemory.Gdt, table);
  return { base: BigInt(LowMemory.Gdt), limit: table.length - 1 };
}

/** Maps the first 4 GiB to themselves with 2 MiB pages; gives the PML4's address (SDM vol. 3A §4.5). */
function writeIdentityMap(memory: GuestMemory): bigint {
  const TABLE_SIZE_BYTES = 4096;
  const tables = new Uint32Array((6 * TABLE_SIZE_BYTES) / 4);
  const entry = (table: number, index: number, value: number): void => void (tables[(table * TABLE_SIZE_BYTES) / 4 + index * 2] = value);
  const PRESENT_WRITABLE = 0x03;
  const LARGE_PAGE = 0x80;
  entry(0, 0, (LowMemory.PageTables + TABLE_SIZE_BYTES) | PRESENT_WRITABLE);
  for (let gib = 0; gib < 4; gib++) entry(1, gib, (LowMemory.PageTables + (2 + gib) * TABLE_SIZE_BYTES) | PRESENT_WRITABLE);
  for (let page = 0; page < 4 * 512; page++) entry(2, page, ((page << 21) | LARGE_PAGE | PRESENT_WRITABLE) >>> 0);
  mustWrite(memory, LowMemory.PageTables, new Uint8Array(tables.buffer));
  return BigInt(LowMemory.PageTables);
}

function flatSegments(codeAccess: number): Pick<VcpuState, 'segments' | 'ldtr' | 'tr' | 'idtr'> {
  const code: SegmentState = { selector: BOOT_CS, base: 0n, limit: 0xffffffff, access: codeAccess };
  const data: SegmentState = { selector: BOOT_DS, base: 0n, limit: 0xffffffff, access: ACCESS_DATA };
  return {
    segments: [data, code, data, data, data, data],
    ldtr: { selector: 0, base: 0n, limit: 0xffff, access: 0x82 },
    tr: { selector: 0, base: 0n, limit: 0x67, access: 0x8b },
    idtr: { base: 0n, limit: 0 },
  };
}

function generalRegisters(index: number, value: number): bigint[] {
  const gpr = new Array<bigint>(16).fill(0n);
  gpr[4] = BigInt(LowMemory.StackTop);
  gpr[index] = BigInt(value);
  return gpr;
}

const RBX = 3;
const RSI = 6;

/** The state of the 64-bit Linux boot protocol: long mode, identity paging, RSI at the boot parameters. */
export function enter64(memory: GuestMemory, rip: number, bootParams: number): Partial<VcpuState> {
  return {
    gpr: generalRegisters(RSI, bootParams),
    rip: BigInt(rip),
    rflags: 2n,
    ...flatSegments(ACCESS_CODE64),
    gdtr: writeGdt(memory, ACCESS_CODE64),
    cr0: 0x80000011n,
    cr2: 0n,
    cr3: writeIdentityMap(memory),
    cr4: 0x20n,
    cr8: 0n,
    efer: 0x500n,
  };
}

/** The state of PVH (EBX at the start info) and of the 32-bit Linux boot protocol (ESI at the boot parameters): protected mode without paging. */
export function enter32(memory: GuestMemory, eip: number, { ebx, esi }: { ebx?: number; esi?: number }): Partial<VcpuState> {
  return {
    gpr: ebx === undefined ? generalRegisters(RSI, esi ?? 0) : generalRegisters(RBX, ebx),
    rip: BigInt(eip),
    rflags: 2n,
    ...flatSegments(ACCESS_CODE32),
    gdtr: writeGdt(memory, ACCESS_CODE32),
    cr0: 0x11n,
    cr2: 0n,
    cr3: 0n,
    cr4: 0n,
    cr8: 0n,
    efer: 0n,
  };
}
