import type { Decoded } from './decode.ts';

/** Nodes and shapes kept at most: 4 MiB of nodes. A boot of Debian has 3600 and 23,000; what comes later is decoded each time. */
const NODES_MAX = 4096;
const SHAPES_MAX = 0x8000;
const SMALL = Array.from({ length: 256 }, (_, index) => BigInt(index - 128));

/**
 * Instructions by their shapes: all bytes but displacement and immediate. What those are is all that instructions of one
 * shape differ in, so that each shape is decoded once.
 */
export class ShapeCache {
  /** By node and byte: the next node, or a shape as -1 less its number; 0 is neither. */
  #next = new Int32Array(64 * 256);
  #nodeCount = 1;
  readonly #kept: Decoded[] = [];

  /** The instruction at bytes[start] where its shape is known and its bytes end before `end`; good until the next of its shape. */
  find(bytes: Uint8Array, start: number, end: number): Decoded | undefined {
    const next = this.#next;
    let place = 0;
    let at = start;
    do {
      if (at >= end) return undefined;
      place = next[place * 256 + bytes[at++]!]!;
    } while (place > 0);
    if (place === 0) return undefined;
    const decoded = this.#kept[-1 - place]!;
    const { displacementBytes } = decoded;
    const immediateBytes = immediateBytesOf(decoded);
    if (at + displacementBytes + immediateBytes > end) return undefined;
    if (displacementBytes !== 0) decoded.displacement = signed(bytes, at, displacementBytes);
    if (immediateBytes !== 0) decoded.immediate = signed(bytes, at + displacementBytes, immediateBytes);
    return decoded;
  }

  /** Keeps an instruction that has a shape; gives it, or its own copy. */
  keep(bytes: Uint8Array, start: number, decoded: Decoded): Decoded {
    const { shapeBytes } = decoded;
    if (this.#kept.length === SHAPES_MAX || this.#nodeCount + shapeBytes > NODES_MAX) return decoded;
    const last = start + shapeBytes - 1;
    let node = 0;
    for (let at = start; at < last; at++) node = this.#child(node, bytes[at]!);
    const own = { ...decoded };
    this.#next[node * 256 + bytes[last]!] = -1 - this.#kept.length;
    this.#kept.push(own);
    return own;
  }

  #child(node: number, byte: number): number {
    const place = node * 256 + byte;
    const known = this.#next[place]!;
    if (known > 0) return known;
    if (this.#nodeCount * 256 === this.#next.length) {
      const larger = new Int32Array(this.#next.length * 2);
      larger.set(this.#next);
      this.#next = larger;
    }
    this.#next[place] = this.#nodeCount;
    return this.#nodeCount++;
  }
}

/** Of an instruction with a shape: how many bytes are its immediate. */
export const immediateBytesOf = ({ lengthBytes, shapeBytes, displacementBytes }: Decoded): number => lengthBytes - shapeBytes - displacementBytes;

/** A little-endian two's complement number of 1, 2, 4 or 8 bytes. */
function signed(bytes: Uint8Array, at: number, byteCount: number): bigint {
  if (byteCount === 1) return SMALL[((bytes[at]! << 24) >> 24) + 128]!;
  if (byteCount === 2) return BigInt(((bytes[at]! | (bytes[at + 1]! << 8)) << 16) >> 16);
  const low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  return byteCount === 4 ? BigInt(low) : (signed(bytes, at + 4, 4) << 32n) | BigInt(low >>> 0);
}
