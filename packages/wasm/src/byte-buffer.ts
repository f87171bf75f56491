const INITIAL_CAPACITY_BYTES = 64;

const scratch = new DataView(new ArrayBuffer(8));

/** A byte sequence that grows at its end, with the encodings of the WebAssembly binary format (core specification, section 5.2). */
export class ByteBuffer {
  private data: Uint8Array;
  private used = 0;

  constructor(capacityBytes = INITIAL_CAPACITY_BYTES) {
    this.data = new Uint8Array(capacityBytes);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.used;
  }

  /** Appends the low eight bits of `value`. */
  u8(value: number): this {
    if (this.used === this.data.length) this.grow(1);
    this.data[this.used++] = value;
    return this;
  }

  /** Appends an unsigned 32-bit LEB128. */
  u32(value: number): this {
    if (value >>> 0 !== value) throw new Error(`${value} is no unsigned 32-bit integer; pass an integer from 0 to 4294967295`);
    if (value < 0x80) return this.u8(value);
    if (this.used + 5 > this.data.length) this.grow(5);
    let rest = value;
    while (rest >= 0x80) {
      this.data[this.used++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.data[this.used++] = rest;
    return this;
  }

  /** Appends a signed 32-bit LEB128; 2^31 to 2^32-1 are taken as the negative numbers of the same bits. */
  s32(value: number): this {
    let rest = value | 0;
    if (rest !== value && value >>> 0 !== value) {
      throw new Error(`${value} is no 32-bit integer; pass an integer from -2147483648 to 4294967295`);
    }
    if (this.used + 5 > this.data.length) this.grow(5);
    while (rest < -0x40 || rest >= 0x40) {
      this.data[this.used++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    this.data[this.used++] = rest & 0x7f;
    return this;
  }

  /** Appends a signed 64-bit LEB128; 2^63 to 2^64-1 are taken as the negative numbers of the same bits. */
  s64(value: bigint | number): this {
    if (typeof value === 'number') {
      if ((value | 0) === value) return this.s32(value);
      if (!Number.isSafeInteger(value)) throw new Error(`${value} is no safe integer; pass 64-bit values beyond 2^53 as a bigint`);
      return this.s64Halves(value % 0x1_0000_0000 | 0, Math.floor(value / 0x1_0000_0000));
    }
    const signed = BigInt.asIntN(64, value);
    if (signed !== value && BigInt.asUintN(64, value) !== value) {
      throw new Error(`${value} is no 64-bit integer; pass an integer from -2^63 to 2^64-1`);
    }
    return this.s64Halves(Number(BigInt.asIntN(32, signed)), Number(signed >> 32n));
  }

  /** Appends an IEEE 754 single, little-endian; every NaN as the canonical one. */
  f32(value: number): this {
    scratch.setFloat32(0, Number.isNaN(value) ? Number.NaN : value, true);
    return this.scratchBytes(4);
  }

  /** Appends an IEEE 754 double, little-endian; every NaN as the canonical one. */
  f64(value: number): this {
    scratch.setFloat64(0, Number.isNaN(value) ? Number.NaN : value, true);
    return this.scratchBytes(8);
  }

  /** Appends bytes as they are. */
  bytes(source: ArrayLike<number>): this {
    if (this.used + source.length > this.data.length) this.grow(source.length);
    this.data.set(source, this.used);
    this.used += source.length;
    return this;
  }

  /** Appends everything another buffer holds. */
  append(other: ByteBuffer): this {
    return this.bytes(other.data.subarray(0, other.used));
  }

  /** Appends a name: its UTF-8 bytes preceded by their count. */
  name(text: string): this {
    const bytes = utf8(text);
    return this.u32(bytes.length).bytes(bytes);
  }

  /** Overwrites `sizeBytes` bytes with an unsigned LEB128 of that length, longer than it needs to be. */
  setUnsigned(at: number, value: number, sizeBytes: number): this {
    let rest = value;
    for (let index = 0; index < sizeBytes; index++) {
      this.data[at + index] = (rest & 0x7f) | (index < sizeBytes - 1 ? 0x80 : 0);
      rest >>>= 7;
    }
    if (rest !== 0) throw new Error(`${value} does not fit ${sizeBytes} byte(s) of LEB128`);
    return this;
  }

  /** The same for a signed integer below 2^34. */
  setSigned(at: number, value: number, sizeBytes: number): this {
    let rest = value;
    for (let index = 0; index < sizeBytes - 1; index++) {
      this.data[at + index] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 128);
    }
    if (rest < -0x40 || rest >= 0x40) throw new Error(`${value} does not fit ${sizeBytes} byte(s) of LEB128`);
    this.data[at + sizeBytes - 1] = rest & 0x7f;
    return this;
  }

  /** A copy of the bytes written so far. */
  toBytes(): Uint8Array {
    return this.data.slice(0, this.used);
  }

  /** Two signed 32-bit halves keep the common case free of bigint arithmetic. */
  private s64Halves(low: number, high: number): this {
    if (this.used + 10 > this.data.length) this.grow(10);
    let lo = low | 0;
    let hi = high | 0;
    for (;;) {
      const bits = lo & 0x7f;
      lo = (lo >>> 7) | (hi << 25);
      hi >>= 7;
      // Done when the rest is only the sign, and the bits written show that sign.
      if (lo === hi && (lo === 0 || lo === -1) && (lo & 0x40) === (bits & 0x40)) {
        this.data[this.used++] = bits;
        return this;
      }
      this.data[this.used++] = bits | 0x80;
    }
  }

  private scratchBytes(count: number): this {
    if (this.used + count > this.data.length) this.grow(count);
    for (let i = 0; i < count; i++) this.data[this.used++] = scratch.getUint8(i);
    return this;
  }

  private grow(neededBytes: number): void {
    const grown = new Uint8Array(Math.max(this.data.length * 2, this.used + neededBytes, INITIAL_CAPACITY_BYTES));
    grown.set(this.data.subarray(0, this.used));
    this.data = grown;
  }
}

/** How many bytes `u32` writes for `value`. */
export function u32SizeBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/** The UTF-8 encoding of `text`. Written out because portable code has no TextEncoder. */
function utf8(text: string): number[] {
  const bytes: number[] = [];
  for (const character of text) {
    let point = character.codePointAt(0) ?? 0;
    // A lone surrogate has no UTF-8 form and would make the whole module invalid.
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point < 0x1_0000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
  }
  return bytes;
}
