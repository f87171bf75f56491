import { ImageError } from '../image-error.ts';

/** What a kernel module says of itself in its `.modinfo` section. */
export interface ModuleInfo {
  readonly name: string;
  /** Modules it needs, by name. */
  readonly depends: readonly string[];
  /** Patterns of what it serves: devices, file systems. */
  readonly aliases: readonly string[];
}

/** Module names treat `-` and `_` alike; the kernel shows `_`. */
export function moduleName(fileOrName: string): string {
  const base = fileOrName.slice(fileOrName.lastIndexOf('/') + 1);
  return base.replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');
}

/** Reads `.modinfo` of a 64-bit little-endian ELF object (System V ABI, "Sections"). */
export function readModuleInfo(module: Uint8Array, label: string): ModuleInfo {
  const section = findSection(module, '.modinfo');
  if (!section) throw new ImageError(`${label} is not a kernel module for x86-64: get the package from a Debian mirror`);
  const values = (key: string): string[] => strings.filter((text) => text.startsWith(`${key}=`)).map((text) => text.slice(key.length + 1));
  const strings = Buffer.from(section.buffer, section.byteOffset, section.length).toString('latin1').split('\0');
  return {
    name: values('name')[0] ?? moduleName(label),
    depends: (values('depends')[0] ?? '').split(',').filter(Boolean).map(moduleName),
    aliases: values('alias'),
  };
}

function findSection(elf: Uint8Array, wanted: string): Uint8Array | undefined {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  // \x7fELF, ELFCLASS64, ELFDATA2LSB
  if (elf.length < 64 || view.getUint32(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) return undefined;
  const tableOffset = Number(view.getBigUint64(0x28, true));
  const [entryBytes, count, namesIndex] = [view.getUint16(0x3a, true), view.getUint16(0x3c, true), view.getUint16(0x3e, true)];
  const header = (index: number): { name: number; start: number; end: number } | undefined => {
    const at = tableOffset + index * entryBytes;
    if (entryBytes < 64 || index >= count || at + 64 > elf.length) return undefined;
    const start = Number(view.getBigUint64(at + 0x18, true));
    const end = start + Number(view.getBigUint64(at + 0x20, true));
    return end <= elf.length ? { name: view.getUint32(at, true), start, end } : undefined;
  };
  const names = header(namesIndex);
  if (!names) return undefined;
  const nameBytes = Buffer.from(`${wanted}\0`);
  for (let index = 0; index < count; index++) {
    const section = header(index);
    if (!section) continue;
    const at = names.start + section.name;
    if (at + nameBytes.length <= names.end && nameBytes.equals(elf.subarray(at, at + nameBytes.length))) return elf.subarray(section.start, section.end);
  }
  return undefined;
}
