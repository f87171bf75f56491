import type { VcpuState } from '@hanok/machine';
import { BootError, hex } from './boot-error.ts';
import { elfSegments, findElfNote, PT_LOAD } from './elf.ts';
import type { ElfSegment } from './elf.ts';
import { checkMemoryMap, claimLowMemory, enter32, LowMemory, mustWrite, writeCommandLine } from './low-memory.ts';
import type { KernelImage } from './low-memory.ts';
import { Placement } from './placement.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const XEN_HVM_START_MAGIC_VALUE = 0x336ec578;
const START_INFO_SIZE_BYTES = 56;
const MODULE_SIZE_BYTES = 32;
const MEMMAP_ENTRY_SIZE_BYTES = 24;
/** Linux cuts a longer one without a word. */
const COMMAND_LINE_LENGTH_MAX = 2047;

/** The physical address that PVH enters, or undefined. */
export function pvhEntry(segments: readonly ElfSegment[]): number | undefined {
  const note = findElfNote(segments, 'Xen', XEN_ELFNOTE_PHYS32_ENTRY);
  return note && note.length >= 4 ? new DataView(note.buffer, note.byteOffset, note.byteLength).getUint32(0, true) : undefined;
}

/** Loads an ELF kernel that has a PVH entry point (Xen "x86/HVM direct boot ABI"). */
export function loadPvh(image: KernelImage): Partial<VcpuState> {
  const { memory, initrd } = image;
  checkMemoryMap(image.memoryMap);
  const segments = elfSegments(image.kernel);
  const entry = pvhEntry(segments);
  if (entry === undefined) {
    throw new BootError('kernel: this ELF file has no PVH entry point (Xen note 18); use a kernel with CONFIG_PVH=y, or its bzImage');
  }

  const placement = new Placement(memory, image.memoryMap);
  claimLowMemory(placement);
  const loads = segments.filter((segment) => segment.type === PT_LOAD && segment.memorySizeBytes > 0);
  for (const load of loads) placement.claim(load.physicalAddress, load.memorySizeBytes, 'kernel');
  if (!loads.some((load) => entry >= load.physicalAddress && entry < load.physicalAddress + load.memorySizeBytes)) {
    throw new BootError(`kernel: its PVH entry point ${hex(entry)} lies outside its segments; the file is damaged`);
  }
  const hasInitrd = initrd !== undefined && initrd.length > 0;
  const initrdAddress = hasInitrd ? placement.claimHighest(initrd.length, memory.sizeBytes, 'initrd') : 0;

  writeCommandLine(memory, image.commandLine, COMMAND_LINE_LENGTH_MAX);
  for (const load of loads) {
    mustWrite(memory, load.physicalAddress, load.bytes);
    const zeros = memory.slice(load.physicalAddress + load.bytes.length, load.memorySizeBytes - load.bytes.length);
    zeros?.fill(0);
    memory.written(load.physicalAddress + load.bytes.length, zeros?.length ?? 0);
  }
  if (hasInitrd) mustWrite(memory, initrdAddress, initrd);
  mustWrite(memory, LowMemory.StartInfo, startInfo(image, initrdAddress));
  return enter32(memory, entry, { ebx: LowMemory.StartInfo });
}

/** hvm_start_info version 1, with the module list and the memory map behind it. */
function startInfo(image: KernelImage, initrdAddress: number): Uint8Array {
  const modulesAt = START_INFO_SIZE_BYTES + 8;
  const mapAt = modulesAt + MODULE_SIZE_BYTES;
  const bytes = new Uint8Array(mapAt + image.memoryMap.length * MEMMAP_ENTRY_SIZE_BYTES);
  const data = new DataView(bytes.buffer);
  const quad = (offset: number, value: number): void => data.setBigUint64(offset, BigInt(value), true);
  const moduleCount = initrdAddress === 0 ? 0 : 1;
  data.setUint32(0, XEN_HVM_START_MAGIC_VALUE, true);
  data.setUint32(4, 1, true);
  data.setUint32(12, moduleCount, true);
  quad(16, moduleCount === 0 ? 0 : LowMemory.StartInfo + modulesAt);
  quad(24, LowMemory.CommandLine);
  quad(32, image.rsdp);
  quad(40, LowMemory.StartInfo + mapAt);
  data.setUint32(48, image.memoryMap.length, true);
  quad(modulesAt, initrdAddress);
  quad(modulesAt + 8, image.initrd?.length ?? 0);
  image.memoryMap.forEach((region, index) => {
    const offset = mapAt + index * MEMMAP_ENTRY_SIZE_BYTES;
    quad(offset, region.base);
    quad(offset + 8, region.sizeBytes);
    data.setUint32(offset + 16, region.type, true);
  });
  return bytes;
}
