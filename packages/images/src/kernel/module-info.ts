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

/** Reads `.modinfo` of a little-endian ELF object. */
export function readModuleInfo(module: Uint8Array, label: string): ModuleInfo {
  const section = findSection(module, '.modinfo');
  if (!section) throw new ImageError(`${label} is not a kernel module for x86: get the package from a Debian mirror`);
  const values = (key: string): string[] => strings.filter((text) => text.startsWith(`${key}=`)).map((text) => text.slice(key.length + 1));
  const strings = Buffer.from(section.buffer, section.byteOffset, section.length).toString('latin1').split('\0');
  return {
    name: values('name')[0] ?? moduleName(label),
    depends: (values('depends')[0] ?? '').split(',').filter(Boolean).map(moduleName),
    aliases: values('alias'),
  };
}

/** Where an ELF file header has its section table, and a section header what it describes (System V ABI, "ELF Header", "Sections"). */
const LAYOUTS = {
  1: { headerBytes: 52, table: 0x20, entryBytes: 0x2e, count: 0x30, names: 0x32, sectionBytes: 40, start: 0x10, size: 0x14 },
  2: { headerBytes: 64, table: 0x28, entryBytes: 0x3a, count: 0x3c, names: 0x3e, sectionBytes: 64, start: 0x18, size: 0x20 },
} as const;

function findSection(elf: Uint8Array, wanted: string): Uint8Array | undefined {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const layout = LAYOUTS[elf[4] as keyof typeof LAYOUTS] as (typeof LAYOUTS)[keyof typeof LAYOUTS] | undefined;
  // \x7fELF, ELFDATA2LSB
  if (!layout || elf.length < layout.headerBytes || view.getUint32(0) !== 0x7f454c46 || elf[5] !== 1) return undefined;
  const word = (at: number) => (layout === LAYOUTS[1] ? view.getUint32(at, true) : Number(view.getBigUint64(at, true)));
  const tableOffset = word(layout.table);
  const [entryBytes, count, namesIndex] = [view.getUint16(layout.entryBytes, true), view.getUint16(layout.count, true), view.getUint16(layout.names, true)];
  const header = (index: number): { name: number; start: number; end: number } | undefined => {
    const at = tableOffset + index * entryBytes;
    if (entryBytes < layout.sectionBytes || index >= count || at + layout.sectionBytes > elf.length) return undefined;
    const start = word(at + layout.start);
    const end = start + word(at + layout.size);
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
