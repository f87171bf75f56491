/** Guest-physical address: a byte offset into the guest's physical address space. */
export type Gpa = number & { readonly gpa?: never };

export const PAGE_SIZE_BYTES = 4096;

/**
 * A machine's RAM: guest-physical bytes [0, sizeBytes), stored in a shared `WebAssembly.Memory` from `baseBytes` on.
 * Every accessor checks its range, because the addresses come from the guest.
 */
export class GuestMemory {
  readonly memory: WebAssembly.Memory;
  readonly baseBytes: number;
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #view: DataView<SharedArrayBuffer>;
  readonly #listeners: ((gpa: Gpa, lengthBytes: number) => void)[] = [];

  constructor(memory: WebAssembly.Memory, baseBytes: number, sizeBytes: number) {
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    if (baseBytes + sizeBytes > buffer.byteLength) {
      throw new RangeError(`guest RAM of ${sizeBytes} bytes at ${baseBytes} does not fit a memory of ${buffer.byteLength} bytes`);
    }
    this.memory = memory;
    this.baseBytes = baseBytes;
    this.sizeBytes = sizeBytes;
    this.#bytes = new Uint8Array(buffer, baseBytes, sizeBytes);
    this.#view = new DataView(buffer, baseBytes, sizeBytes);
  }

  /** True when [gpa, gpa + lengthBytes) is RAM. Rejects NaN, fractions and negative numbers. */
  contains(gpa: Gpa, lengthBytes: number): boolean {
    return Number.isSafeInteger(gpa) && Number.isSafeInteger(lengthBytes) && gpa >= 0 && lengthBytes >= 0 && gpa + lengthBytes <= this.sizeBytes;
  }

  /** A view of RAM (no copy), or undefined when any byte of the range is not RAM. Writers call `written` afterwards. */
  slice(gpa: Gpa, lengthBytes: number): Uint8Array<SharedArrayBuffer> | undefined {
    return this.contains(gpa, lengthBytes) ? this.#bytes.subarray(gpa, gpa + lengthBytes) : undefined;
  }

  /** Copies bytes into RAM and tells the engines; false (and nothing written) when the range is not RAM. */
  write(gpa: Gpa, source: Uint8Array): boolean {
    if (!this.contains(gpa, source.length)) return false;
    this.#bytes.set(source, gpa);
    this.written(gpa, source.length);
    return true;
  }

  /** Little-endian reads and writes; undefined or false outside RAM. */
  readU16(gpa: Gpa): number | undefined {
    return this.contains(gpa, 2) ? this.#view.getUint16(gpa, true) : undefined;
  }
  readU32(gpa: Gpa): number | undefined {
    return this.contains(gpa, 4) ? this.#view.getUint32(gpa, true) : undefined;
  }
  readU64(gpa: Gpa): bigint | undefined {
    return this.contains(gpa, 8) ? this.#view.getBigUint64(gpa, true) : undefined;
  }
  writeU16(gpa: Gpa, value: number): boolean {
    if (!this.contains(gpa, 2)) return false;
    this.#view.setUint16(gpa, value, true);
    this.written(gpa, 2);
    return true;
  }
  writeU32(gpa: Gpa, value: number): boolean {
    if (!this.contains(gpa, 4)) return false;
    this.#view.setUint32(gpa, value, true);
    this.written(gpa, 4);
    return true;
  }
  writeU64(gpa: Gpa, value: bigint): boolean {
    if (!this.contains(gpa, 8)) return false;
    this.#view.setBigUint64(gpa, value, true);
    this.written(gpa, 8);
    return true;
  }

  /** Says that a device changed [gpa, gpa + lengthBytes) through a `slice`, so that translated code there is dropped. */
  written(gpa: Gpa, lengthBytes: number): void {
    for (const listener of this.#listeners) listener(gpa, lengthBytes);
  }

  /** An engine asks to hear of every write that devices make. */
  onWritten(listener: (gpa: Gpa, lengthBytes: number) => void): void {
    this.#listeners.push(listener);
  }
}
