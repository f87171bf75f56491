import type { GuestMemory } from '@hanok/machine';
import { findTokenTables, type TokenTable } from './token-table.ts';

/** A symbol's name, and how far an address is behind its start. */
export interface SymbolPlace {
  readonly name: string;
  readonly offset: number;
}

/** The symbols of a Linux kernel in the upper 2 GiB of the address space; addresses are their low halves. */
export interface KernelSymbols {
  readonly count: number;
  /** The symbol that an address is in, or undefined outside the kernel's image. */
  find(address: number): SymbolPlace | undefined;
}

const MARKER_SYMBOLS = 256;
const SYMBOLS_MAX = 1 << 20;
const NAME_BYTES_MAX = 512;
/** What is tried, so that a guest cannot keep us busy: token tables, and places of names that fit but for the markers. */
const TABLES_MAX = 16;
const STARTS_MAX = 64;
const KERNEL_HIGH = 0xffffffff;
const KERNEL_LOW_MIN = 0x80000000;

/** The compressed names: where they begin and how many there are. */
interface Names {
  readonly start: number;
  readonly count: number;
  /** Where in RAM the count stands. */
  readonly countAt: number;
}

/**
 * Finds a running x86-64 kernel's own symbol table (CONFIG_KALLSYMS) in its memory: what kernel/kallsyms.c reads and
 * scripts/kallsyms.c wrote, in the order of Linux 6.1 (offsets, relative base, count, names, markers, tokens) or of 6.12
 * (count, names, markers, tokens, offsets, relative base). Nothing in it is trusted.
 */
export function findKernelSymbols(memory: GuestMemory): KernelSymbols | undefined {
  const ram = memory.slice(0, memory.sizeBytes)!;
  const view = new DataView(ram.buffer, ram.byteOffset, ram.length);
  let tables = 0;
  for (const table of findTokenTables(ram)) {
    if (++tables > TABLES_MAX) return undefined;
    const names = findNames(ram, view, table);
    const addresses = names && findAddresses(view, table, names);
    if (addresses) return symbolTable(ram, table, names, addresses);
  }
  return undefined;
}

/** The length in bytes of a compressed name (ULEB128 of at most two bytes), and of its length's own encoding. */
function nameLength(ram: Uint8Array, at: number): { prefix: number; length: number } {
  const first = ram[at] ?? 0;
  return first & 0x80 ? { prefix: 2, length: (first & 0x7f) | ((ram[at + 1] ?? 0) << 7) } : { prefix: 1, length: first };
}

/** The address behind `count` names from `at` on, or -1. */
function skipNames(ram: Uint8Array, at: number, count: number, limit: number): number {
  for (; count > 0; count--) {
    const { prefix, length } = nameLength(ram, at);
    if (length === 0 || length > NAME_BYTES_MAX) return -1;
    at += prefix + length;
    if (at > limit) return -1;
  }
  return at;
}

/**
 * In front of the tokens, behind the names, stand the markers: the offset of every 256th name. Between markers and tokens
 * some kernels have three bytes a symbol, its place in alphabetical order.
 */
function findNames(ram: Uint8Array, view: DataView, { start }: TokenTable): Names | undefined {
  const budget = { starts: STARTS_MAX };
  const farthest = Math.max(0, start - SYMBOLS_MAX * 3 - (SYMBOLS_MAX / MARKER_SYMBOLS) * 4);
  for (let at = (start & ~3) - 8; at >= farthest && budget.starts > 0; at -= 4) {
    if (view.getUint32(at, true) !== 0) continue;
    const markers = readMarkers(view, at, start);
    // What follows the markers may look like one more.
    for (const count of [markers.length, markers.length - 1]) {
      const names = count < 2 ? undefined : namesBefore(ram, view, at, markers.slice(0, count), budget);
      if (names) return names;
    }
  }
  return undefined;
}

function readMarkers(view: DataView, start: number, limit: number): number[] {
  const markers = [0];
  for (let at = start + 4; at + 4 <= limit; at += 4) {
    const growth = view.getUint32(at, true) - markers.at(-1)!;
    if (growth < MARKER_SYMBOLS * 2 || growth > MARKER_SYMBOLS * NAME_BYTES_MAX) break;
    markers.push(markers.at(-1)! + growth);
  }
  return markers;
}

/** Where the names begin is tried until their count, which stands before them, and all markers fit. */
function namesBefore(ram: Uint8Array, view: DataView, markersAt: number, markers: readonly number[], budget: { starts: number }): Names | undefined {
  const last = markers.at(-1)!;
  const least = (markers.length - 1) * MARKER_SYMBOLS;
  const lowest = Math.max(8, markersAt - last - MARKER_SYMBOLS * NAME_BYTES_MAX);
  for (let start = (markersAt - last) & ~3; start >= lowest; start -= 4) {
    for (const countAt of [start - 8, start - 4]) {
      const count = view.getUint32(countAt, true);
      if (count <= least || count > least + MARKER_SYMBOLS) continue;
      const end = skipNames(ram, start + last, count - least, markersAt);
      if (end < 0 || markersAt - end >= 8) continue;
      if (--budget.starts < 0) return undefined;
      if (markersFit(ram, start, markers, markersAt)) return { start, count, countAt };
    }
  }
  return undefined;
}

function markersFit(ram: Uint8Array, names: number, markers: readonly number[], limit: number): boolean {
  return markers.every((marker, index) => index === 0 || skipNames(ram, names + markers[index - 1]!, MARKER_SYMBOLS, limit) === names + marker);
}

/** Low halves of the symbols' addresses in the order of the names; NaN for those that are not in the kernel's image. */
function findAddresses(view: DataView, { end }: TokenTable, { count, countAt }: Names): Float64Array | undefined {
  const align = (at: number) => Math.ceil(at / 8) * 8;
  for (const [offsets, base] of [
    [countAt - 8 - align(count * 4), countAt - 8],
    [align(end), align(align(end) + count * 4)],
  ] as const) {
    if (offsets < 0 || base + 8 > view.byteLength || view.getUint32(base + 4, true) !== KERNEL_HIGH) continue;
    const relativeBase = view.getUint32(base, true);
    if (relativeBase < KERNEL_LOW_MIN) continue;
    const values = Float64Array.from({ length: count }, (_, index) => view.getInt32(offsets + index * 4, true));
    // With CONFIG_KALLSYMS_ABSOLUTE_PERCPU what is relative is negative, and what is not is an offset of per-CPU data.
    const isNegative = values.reduce((negative, value) => negative + (value < 0 ? 1 : -1), 0) > 0;
    const addresses = values.map((value) => (isNegative ? (value < 0 ? relativeBase - 1 - value : Number.NaN) : relativeBase + (value >>> 0)));
    if (addresses.every((address) => !(address > KERNEL_HIGH))) return addresses;
  }
  return undefined;
}

function symbolTable(ram: Uint8Array, { tokens }: TokenTable, names: Names, addresses: Float64Array): KernelSymbols {
  const texts: string[] = [];
  let at = names.start;
  for (let index = 0; index < names.count; index++) {
    const { prefix, length } = nameLength(ram, at);
    let text = '';
    for (let byte = 0; byte < length; byte++) text += tokens[ram[at + prefix + byte]!]!;
    // The first character is the symbol's type, as nm prints it.
    texts.push(text.slice(1));
    at += prefix + length;
  }
  const order = [...addresses.keys()].filter((index) => !Number.isNaN(addresses[index]!)).sort((a, b) => addresses[a]! - addresses[b]! || a - b);
  const sorted = Float64Array.from(order, (index) => addresses[index]!);
  return {
    count: names.count,
    find(address) {
      let [low, high] = [0, sorted.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle]! <= address) low = middle + 1;
        else high = middle;
      }
      // The last symbol is the image's end.
      if (low === 0 || (low === sorted.length && address > sorted[low - 1]!)) return undefined;
      const start = sorted[low - 1]!;
      // Of several names of one address the first, as the kernel does.
      let first = low - 1;
      while (first > 0 && sorted[first - 1] === start) first--;
      return { name: texts[order[first]!]!, offset: address - start };
    },
  };
}
