/** Width of one guest access. An engine splits 8-byte accesses into two of 4, low half first. */
export type AccessWidthBytes = 1 | 2 | 4;

/**
 * What answers guest accesses in one range of port or memory-mapped I/O space.
 * `offset` is relative to the range's start; values are unsigned 32-bit numbers. Neither function may throw, whatever
 * the guest writes: a register that does not exist reads as all ones and ignores writes.
 */
export interface IoHandler {
  read(offset: number, widthBytes: AccessWidthBytes): number;
  write(offset: number, value: number, widthBytes: AccessWidthBytes): void;
}

interface IoRange {
  readonly base: number;
  readonly sizeBytes: number;
  readonly name: string;
  readonly handler: IoHandler;
}

/** The port space (0 to 0xFFFF) or the memory-mapped I/O space of one machine. */
export class IoSpace {
  readonly #name: string;
  #ranges: IoRange[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** Maps a handler at [base, base + sizeBytes). Throws when the range overlaps one that is mapped. */
  map(base: number, sizeBytes: number, name: string, handler: IoHandler): void {
    const clash = this.#ranges.find((range) => base < range.base + range.sizeBytes && range.base < base + sizeBytes);
    if (clash) throw new Error(`${this.#name}: ${name} at 0x${base.toString(16)} overlaps ${clash.name}`);
    this.#ranges.push({ base, sizeBytes, name, handler });
  }

  /** Removes the range that starts at `base`; nothing happens when there is none. */
  unmap(base: number): void {
    this.#ranges = this.#ranges.filter((range) => range.base !== base);
  }

  /** True when [base, base + sizeBytes) overlaps no mapped range. */
  isFree(base: number, sizeBytes: number): boolean {
    return !this.#ranges.some((range) => base < range.base + range.sizeBytes && range.base < base + sizeBytes);
  }

  /** The name of what is mapped at `address`, for traces. */
  nameAt(address: number): string | undefined {
    return this.#find(address, 1)?.name;
  }

  /** Reads as all ones where nothing is mapped. */
  read(address: number, widthBytes: AccessWidthBytes): number {
    const range = this.#find(address, widthBytes);
    const mask = widthBytes === 4 ? 0xffffffff : (1 << (widthBytes * 8)) - 1;
    return range ? (range.handler.read(address - range.base, widthBytes) & mask) >>> 0 : mask;
  }

  /** Ignored where nothing is mapped. */
  write(address: number, value: number, widthBytes: AccessWidthBytes): void {
    const range = this.#find(address, widthBytes);
    range?.handler.write(address - range.base, value >>> 0, widthBytes);
  }

  #find(address: number, widthBytes: number): IoRange | undefined {
    return this.#ranges.find((range) => address >= range.base && address + widthBytes <= range.base + range.sizeBytes);
  }
}
