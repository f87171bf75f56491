/** ACPI Machine Language, as far as static tables need it (ACPI 6.5 chapter 20). Each function gives encoded bytes. */
export type Aml = readonly number[];

const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
const dword = (value: number): number[] => [...word(value), ...word(value >>> 16)];

/** PkgLength, which counts its own bytes (§20.2.4). */
function withLength(content: Aml): number[] {
  if (content.length + 1 < 0x40) return [content.length + 1, ...content];
  for (let extra = 1; extra <= 3; extra++) {
    const length = content.length + 1 + extra;
    if (length >= 2 ** (4 + 8 * extra)) continue;
    const rest = Array.from({ length: extra }, (_, index) => (length >>> (4 + 8 * index)) & 0xff);
    return [(extra << 6) | (length & 0xf), ...rest, ...content];
  }
  throw new Error(`AML: an object of ${content.length} bytes is too long`);
}

/** A name segment; a leading backslash makes it the root's. */
function nameString(name: string): number[] {
  const root = name.startsWith('\\');
  const segment = root ? name.slice(1) : name;
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new Error(`AML: "${name}" is not a name of 1 to 4 characters`);
  const bytes = Array.from(segment.padEnd(4, '_'), (character) => character.charCodeAt(0));
  return root ? [0x5c, ...bytes] : bytes;
}

export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  if (value <= 0xff) return [0x0a, value];
  if (value <= 0xffff) return [0x0b, ...word(value)];
  return [0x0c, ...dword(value)];
}

export const string = (value: string): Aml => [0x0d, ...Array.from(value, (character) => character.charCodeAt(0) & 0x7f), 0];

/** A compressed EISA identifier such as PNP0A08 (§19.3.4). */
export function eisaId(id: string): Aml {
  const [a, b, c] = [0, 1, 2].map((index) => id.charCodeAt(index) - 0x40) as [number, number, number];
  const product = Number.parseInt(id.slice(3), 16);
  return [0x0c, (a << 2) | (b >> 3), ((b & 7) << 5) | c, product >> 8, product & 0xff];
}

export function buffer(content: Aml): Aml {
  return [0x11, ...withLength([...integer(content.length), ...content])];
}

/** At most 255 elements. */
export function pack(...elements: Aml[]): Aml {
  if (elements.length > 255) throw new Error(`AML: a package of ${elements.length} elements is too long`);
  return [0x12, ...withLength([elements.length, ...elements.flat()])];
}

export const name = (path: string, value: Aml): Aml => [0x08, ...nameString(path), ...value];
export const scope = (path: string, ...terms: Aml[]): Aml => [0x10, ...withLength([...nameString(path), ...terms.flat()])];
export const device = (path: string, ...terms: Aml[]): Aml => [0x5b, 0x82, ...withLength([...nameString(path), ...terms.flat()])];

/** A list of resource descriptors (§6.4), closed by its end tag. */
export const resources = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0]);

/** I/O port descriptor, 16-bit decode (§6.4.2.5). */
export const ioPorts = (base: number, lengthBytes: number): Aml => [0x47, 1, ...word(base), ...word(base), 1, lengthBytes];

/** IRQ descriptor: edge-triggered, active high, exclusive (§6.4.2.1). */
export const irq = (line: number): Aml => [0x22, ...word(1 << line)];

/** 32-bit fixed memory range, writable (§6.4.3.4). */
export const memory32Fixed = (base: number, sizeBytes: number): Aml => [0x86, 9, 0, 1, ...dword(base), ...dword(sizeBytes)];

/** Address spaces that a bridge passes on (§6.4.3.5); both ends are fixed. */
const RANGE_FIXED = 0x0c;

export const busNumbers = (first: number, last: number): Aml => [
  ...[0x88, 0x0d, 0, 2, RANGE_FIXED, 0],
  ...[0, first, last, 0, last - first + 1].flatMap(word),
];

export const ioWindow = (first: number, last: number): Aml => [
  ...[0x88, 0x0d, 0, 1, RANGE_FIXED, 3],
  ...[0, first, last, 0, last - first + 1].flatMap(word),
];

export const memoryWindow = (first: number, last: number): Aml => [
  ...[0x87, 0x17, 0, 0, RANGE_FIXED, 1],
  ...[0, first, last, 0, last - first + 1].flatMap(dword),
];
