import type { Decoded } from '@hanok/x86';
import { ADDRESS_KIND, SHAPE_MARK, SHAPE_TRAIT, SHAPES, SLOT } from './layout.ts';

const SLOT_WORDS = SLOT.sizeBytes / 4;
const NODE_HALVES = SHAPES.nodeBytes / 2;
/** Of what `save` gives: the numbers of nodes and of shapes. */
const SAVED_HEADER_BYTES = 8;
const SAVED_SHAPE_BYTES = 4 + SLOT.sizeBytes;

/**
 * The shapes of 64-bit instructions that a vCPU knows (SHAPES), by which generated code decodes (`decode-known.ts`): all bytes
 * but displacement and immediate, and a slot that is right but for these and for where it is.
 */
export class ShapeTable {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #halves: Uint16Array;

  /** The table of the vCPU whose block begins at `blockAddress`. Memory that is all zero is an empty one. */
  constructor(buffer: ArrayBufferLike, blockAddress: number) {
    const start = blockAddress + SHAPES.offset;
    this.#bytes = new Uint8Array(buffer, start, SHAPES.sizeBytes);
    this.#words = new Int32Array(buffer, start, SHAPES.sizeBytes / 4);
    this.#halves = new Uint16Array(buffer, start, SHAPES.sizeBytes / 2);
  }

  /** Nodes behind the root. */
  get #nodeCount(): number {
    return this.#words[SHAPES.nodeCount / 4]!;
  }
  get shapeCount(): number {
    return this.#words[SHAPES.shapeCount / 4]!;
  }

  /**
   * Adds the shape of the instruction at bytes[start] whose slot is `slot`, SLOT.sizeBytes long; not where the slot is like no other's, or
   * there is no room. At each moment all that is linked is complete: the thread may be ended at any.
   */
  add(bytes: Uint8Array, start: number, decoded: Decoded, traits: number, slot: Uint8Array): void {
    const { shapeBytes } = decoded;
    const shape = this.shapeCount;
    const kind = slot[SLOT.addressKind]!;
    if (shapeBytes === 0 || kind === ADDRESS_KIND.FarRip || kind === ADDRESS_KIND.Absolute) return;
    if (shape === SHAPES.shapesMax || this.#nodeCount + shapeBytes >= SHAPES.nodesMax) return;
    const last = start + shapeBytes - 1;
    let node = 0;
    for (let at = start; at < last; at++) node = this.#child(node, bytes[at]!);
    const place = placeOf(node, bytes[last]!);
    if (this.#halves[place] !== 0) return;
    this.#words[SHAPES.traits / 4 + shape] = traits;
    this.#bytes.set(slot, SHAPES.slots + shape * SLOT.sizeBytes);
    const words = SHAPES.slots / 4 + shape * SLOT_WORDS;
    if (traits & SHAPE_TRAIT.memory) this.#words[words + SLOT.displacement / 4] = 0;
    this.#words.fill(0, words + SLOT.immediate / 4, words + SLOT_WORDS);
    this.#words[SHAPES.shapeCount / 4] = shape + 1;
    this.#halves[place] = SHAPE_MARK | shape;
  }

  #child(node: number, byte: number): number {
    const place = placeOf(node, byte);
    const known = this.#halves[place]!;
    if (known !== 0) return known;
    const child = this.#nodeCount + 1;
    this.#words[SHAPES.nodeCount / 4] = child;
    this.#halves[place] = child;
    return child;
  }

  /** The table as bytes that `restore` takes. */
  save(): Uint8Array<ArrayBuffer> {
    const [nodeCount, shapeCount] = [this.#nodeCount, this.shapeCount];
    const part = (from: number, lengthBytes: number) => this.#bytes.subarray(from, from + lengthBytes);
    const parts = [part(SHAPES.traits, shapeCount * 4), part(SHAPES.slots, shapeCount * SLOT.sizeBytes), part(SHAPES.nodes, (nodeCount + 1) * SHAPES.nodeBytes)];
    const saved = new Uint8Array(savedBytes(nodeCount, shapeCount));
    new Int32Array(saved.buffer, 0, 2).set([nodeCount, shapeCount]);
    let at = SAVED_HEADER_BYTES;
    for (const bytes of parts) {
      saved.set(bytes, at);
      at += bytes.length;
    }
    return saved;
  }

  /** Fills an empty table; false where `saved` is no table. */
  restore(saved: Uint8Array): boolean {
    const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
    if (saved.length < SAVED_HEADER_BYTES) return false;
    const [nodeCount, shapeCount] = [view.getUint32(0, true), view.getUint32(4, true)];
    if (nodeCount >= SHAPES.nodesMax || shapeCount > SHAPES.shapesMax || saved.length !== savedBytes(nodeCount, shapeCount)) return false;
    let at = SAVED_HEADER_BYTES;
    for (const [to, lengthBytes] of [[SHAPES.traits, shapeCount * 4], [SHAPES.slots, shapeCount * SLOT.sizeBytes], [SHAPES.nodes, (nodeCount + 1) * SHAPES.nodeBytes]] as const) {
      this.#bytes.set(saved.subarray(at, at + lengthBytes), to);
      at += lengthBytes;
    }
    this.#words[SHAPES.nodeCount / 4] = nodeCount;
    this.#words[SHAPES.shapeCount / 4] = shapeCount;
    return true;
  }
}

const placeOf = (node: number, byte: number) => SHAPES.nodes / 2 + node * NODE_HALVES + byte;
const savedBytes = (nodeCount: number, shapeCount: number) => SAVED_HEADER_BYTES + shapeCount * SAVED_SHAPE_BYTES + (nodeCount + 1) * SHAPES.nodeBytes;
