import type { IntegerBits } from './emit.ts';
import type { Row } from './insn.ts';
import type { OperandSpec } from './operand.ts';
import { type Encoding, type ImmediateLayout, type ModeBits, type OpcodeMatch, OpcodeMatcher } from './opcode-match.ts';
import { ShapeCache } from './shape-cache.ts';
import { OPCODE_TABLES, VEX_TABLES } from './table.ts';

/** The longest instruction (SDM vol. 2A §2.3.11). */
export const INSTRUCTION_BYTES_MAX = 15;

/** `Decoded.base` of a memory operand beside the code. */
export const RIP_BASE = 16;

/** One decoded instruction. The decoder uses its objects again: copy what must outlive the next call. */
export interface Decoded {
  row: Row;
  lengthBytes: number;
  /** How many of them make its shape, of which instructions may differ in displacement and immediate alone; 0 where they may differ in more. */
  shapeBytes: number;
  /** How many of the others are its displacement. */
  displacementBytes: number;
  /** How many of them are prefixes, REX among them. */
  prefixBytes: number;
  /** Effective operand size in bits, as `Operands.bits`. */
  bits: IntegerBits;
  addressBits: ModeBits;
  mode: ModeBits;
  lock: boolean;
  repeat: 0 | 0xf2 | 0xf3;
  hasRex: boolean;
  rexB: number;
  rexR: number;
  /** The register that VEX.vvvv names; 0 without VEX, and where it names none. */
  vexRegister: number;
  modrm: number;
  opcode: number;
  /** Whether the ModRM operand is memory. */
  isMemory: boolean;
  /** Memory operand: register numbers, or -1 for none; the base may be RIP_BASE. */
  base: number;
  index: number;
  scale: number;
  displacement: bigint;
  /** Segment of the memory operand (0-5), overridden or default. */
  segment: number;
  segmentOverride: number;
  immediate: bigint;
  /** The second immediate (ENTER), or the selector of a far pointer. */
  immediate2: bigint;
}

/** Whether the memory operand is read and written as one atomic access (SDM vol. 3A §9.1.2). */
export const isLocked = (d: Decoded): boolean => d.isMemory && (d.lock || d.row.options.lock === 'implied');

/** Why bytes are no instruction. `more`: they end too early, so the next page is needed. */
export type DecodeFailure = 'undefined' | 'too-long' | 'more';

/** Segment registers by their override prefix. */
export const SEGMENT_PREFIX: Readonly<Record<number, number>> = { 0x26: 0, 0x2e: 1, 0x36: 2, 0x3e: 3, 0x64: 4, 0x65: 5 };

class Truncated extends Error {}
const TRUNCATED = new Truncated('instruction bytes end early');

/** A decoder over a byte array. */
export class Decoder {
  readonly result: Decoded = {
    row: undefined as unknown as Row, lengthBytes: 0, shapeBytes: 0, displacementBytes: 0, prefixBytes: 0, bits: 32, addressBits: 64, mode: 64, lock: false, repeat: 0, hasRex: false, rexB: 0, rexR: 0, vexRegister: 0,
    modrm: 0, opcode: 0, isMemory: false, base: -1, index: -1, scale: 0, displacement: 0n, segment: 3, segmentOverride: -1, immediate: 0n, immediate2: 0n,
  };
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #rexX = 0;
  /** Where what only one instruction has begins: its displacement, and its immediate. */
  #shapeEnd = 0;
  #immediatesAt = 0;
  readonly #shapes = new ShapeCache();
  readonly #encoding: Encoding = { mode: 64, map: 0, opcode: 0, modrm: 0, operandPrefix: false, repeat: 0, rexW: false, rexB: 0, vexLength: undefined, vexRegister: 0 };
  readonly #matcher = new OpcodeMatcher();

  /** Decodes at bytes[start], looking no further than `end`. */
  decode(bytes: Uint8Array, start: number, end: number, mode: ModeBits): Decoded | DecodeFailure {
    const last = Math.min(end, start + INSTRUCTION_BYTES_MAX);
    const known = mode === 64 ? this.#shapes.find(bytes, start, last) : undefined;
    if (known) return known;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = last;
    try {
      return this.#decode(start, mode);
    } catch (error) {
      if (error !== TRUNCATED) throw error;
      return this.#end - start === INSTRUCTION_BYTES_MAX ? 'too-long' : 'more';
    }
  }

  #byte(): number {
    if (this.#at >= this.#end) throw TRUNCATED;
    return this.#bytes[this.#at++]!;
  }

  #decode(start: number, mode: ModeBits): Decoded | DecodeFailure {
    const d = this.result;
    d.mode = mode;
    const first = this.#prefixes(mode);
    d.prefixBytes = this.#at - 1 - start;
    const encoding = this.#encoding;
    encoding.mode = mode;
    encoding.map = this.#isVex(first, mode) ? this.#vex(first, mode) : this.#map(first);
    d.opcode = encoding.opcode = encoding.map === 0 ? first : this.#byte();
    const candidates = OPCODE_TABLES[encoding.map]![d.opcode]!;
    if (candidates.length === 0) return 'undefined';
    encoding.modrm = candidates[0]!.hasModrm ? this.#byte() : 0;
    encoding.repeat = d.repeat;
    encoding.rexB = d.rexB;
    encoding.vexRegister = d.vexRegister;
    const match = this.#matcher.find(encoding);
    if (!match) return 'undefined';
    const { row } = match;
    d.row = row;
    d.modrm = match.modrm;
    this.#shapeEnd = this.#at;
    d.bits = match.bits;
    if (!row.options.repeat) d.repeat = 0;
    d.isMemory = false;
    d.base = -1;
    d.index = -1;
    d.scale = 0;
    d.displacement = 0n;
    d.segment = d.segmentOverride < 0 ? 3 : d.segmentOverride;
    if (row.hasModrm && row.modrm === undefined && d.modrm < 0xc0) this.#memory(mode);
    if (d.lock && !(row.options.lock && d.isMemory)) return 'undefined';
    this.#immediatesAt = this.#at;
    this.#immediates(match.immediates);
    d.lengthBytes = this.#at - start;
    d.shapeBytes = mode === 64 && hasOneImmediate(match) ? this.#shapeEnd - start : 0;
    d.displacementBytes = this.#immediatesAt - this.#shapeEnd;
    return d.shapeBytes === 0 ? d : this.#shapes.keep(this.#bytes, start, d);
  }

  /** Reads prefixes and REX; returns the first opcode byte. */
  #prefixes(mode: ModeBits): number {
    const d = this.result;
    d.lock = false;
    d.repeat = 0;
    d.segmentOverride = -1;
    this.#encoding.operandPrefix = false;
    let addressPrefix = false;
    let rex = 0;
    let byte: number;
    for (;;) {
      byte = this.#byte();
      if (byte === 0x66) this.#encoding.operandPrefix = true;
      else if (byte === 0x67) addressPrefix = true;
      else if (byte === 0xf0) d.lock = true;
      else if (byte === 0xf2 || byte === 0xf3) d.repeat = byte;
      else if (byte in SEGMENT_PREFIX) {
        // In 64-bit mode only FS and GS count (SDM vol. 1 §3.3.7.1).
        const segment = SEGMENT_PREFIX[byte]!;
        if (mode !== 64 || segment >= 4) d.segmentOverride = segment;
      } else if (mode === 64 && (byte & 0xf0) === 0x40) {
        rex = byte;
        continue;
      } else break;
      rex = 0; // REX counts only directly before the opcode.
    }
    this.#encoding.vexLength = undefined;
    d.vexRegister = 0;
    d.hasRex = rex !== 0;
    this.#encoding.rexW = (rex & 8) !== 0;
    d.rexR = (rex & 4) << 1;
    this.#rexX = (rex & 2) << 2;
    d.rexB = (rex & 1) << 3;
    d.addressBits = mode === 64 ? (addressPrefix ? 32 : 64) : (mode === 32) !== addressPrefix ? 32 : 16;
    return byte;
  }

  /** The opcode map; its escape bytes are read. */
  #map(first: number): number {
    if (first !== 0x0f) return 0;
    const second = this.#bytes[this.#at];
    if (second !== 0x38 && second !== 0x3a) return 1;
    this.#at++;
    return second === 0x38 ? 2 : 3;
  }

  /** Outside 64-bit mode C4 and C5 are LES and LDS, but these have no register form (SDM vol. 2A §2.3.5). */
  #isVex(first: number, mode: ModeBits): boolean {
    if (first !== 0xc4 && first !== 0xc5) return false;
    if (mode === 64) return true;
    if (mode === 16) return false;
    if (this.#at >= this.#end) throw TRUNCATED;
    return this.#bytes[this.#at]! >= 0xc0;
  }

  /** Reads the rest of a VEX prefix (SDM vol. 2A figure 2-9); the table of its opcode map. */
  #vex(first: number, mode: ModeBits): number {
    const d = this.result;
    // Prefixes that VEX has a place for itself, and LOCK, make it undefined.
    if (this.#encoding.operandPrefix || d.repeat !== 0 || d.lock || d.hasRex) return VEX_TABLES;
    const second = this.#byte();
    const third = first === 0xc4 ? this.#byte() : second & 0x7f;
    const inverted = first === 0xc4 ? ~second : ~second & 0x80;
    const long = mode === 64;
    d.rexR = long ? (inverted & 0x80) >> 4 : 0;
    this.#rexX = long ? (inverted & 0x40) >> 3 : 0;
    d.rexB = long ? (inverted & 0x20) >> 2 : 0;
    this.#encoding.rexW = long && (third & 0x80) !== 0;
    d.vexRegister = (~third >> 3) & (long ? 15 : 7);
    this.#encoding.vexLength = third & 4 ? 1 : 0;
    this.#encoding.operandPrefix = (third & 3) === 1;
    d.repeat = ([0, 0, 0xf3, 0xf2] as const)[third & 3]!;
    const map = first === 0xc4 ? second & 0x1f : 1;
    return map <= 3 ? VEX_TABLES + map : VEX_TABLES;
  }

  #signed(byteCount: number): bigint {
    let value = 0;
    if (byteCount === 8) {
      const low = this.#signed(4) & 0xffffffffn;
      return (this.#signed(4) << 32n) | low;
    }
    for (let index = 0; index < byteCount; index++) value |= this.#byte() << (index * 8);
    const shift = 32 - byteCount * 8;
    return BigInt((value << shift) >> shift);
  }

  #immediates(layouts: readonly ImmediateLayout[]): void {
    const d = this.result;
    d.immediate = 0n;
    d.immediate2 = 0n;
    let first = true;
    for (const { kind, sizeBytes } of layouts) {
      if (kind === 'absolute') {
        this.#absolute();
        continue;
      }
      const value = this.#signed(sizeBytes);
      if (first) d.immediate = value;
      else d.immediate2 = value;
      first = false;
      if (kind === 'far') d.immediate2 = this.#signed(2) & 0xffffn;
    }
  }

  /** MOV's absolute offset, as wide as the address size. */
  #absolute(): void {
    const d = this.result;
    const value = this.#signed(d.addressBits / 8);
    d.isMemory = true;
    d.displacement = BigInt.asUintN(d.addressBits, value);
  }

  #memory(mode: ModeBits): void {
    const d = this.result;
    d.isMemory = true;
    if (d.addressBits === 16) this.#memory16();
    else this.#memory32(mode);
    if (d.segmentOverride < 0 && (d.base === 4 || d.base === 5) && mode !== 64) d.segment = 2;
    if (d.segmentOverride < 0 && mode === 64) d.segment = d.base === 4 || d.base === 5 ? 2 : 3;
  }

  /** SDM vol. 2A table 2-1. */
  #memory16(): void {
    const d = this.result;
    const mod = d.modrm >> 6;
    const rm = d.modrm & 7;
    d.base = [3, 3, 5, 5, 6, 7, 5, 3][rm]!;
    d.index = [6, 7, 6, 7, -1, -1, -1, -1][rm]!;
    if (mod === 0 && rm === 6) {
      d.base = -1;
      d.displacement = this.#signed(2);
    } else if (mod === 1) d.displacement = this.#signed(1);
    else if (mod === 2) d.displacement = this.#signed(2);
  }

  /** SDM vol. 2A tables 2-2 and 2-3; §2.2.1.6 for RIP-relative. */
  #memory32(mode: ModeBits): void {
    const d = this.result;
    const mod = d.modrm >> 6;
    let rm = d.modrm & 7;
    if (rm === 4) {
      const sib = this.#byte();
      this.#shapeEnd = this.#at;
      d.scale = sib >> 6;
      const index = ((sib >> 3) & 7) | this.#rexX;
      d.index = index === 4 ? -1 : index;
      rm = sib & 7;
      d.base = rm | d.rexB;
      if (rm === 5 && mod === 0) {
        d.base = -1;
        d.displacement = this.#signed(4);
        return;
      }
    } else if (rm === 5 && mod === 0) {
      d.base = mode === 64 ? RIP_BASE : -1;
      d.displacement = this.#signed(4);
      return;
    } else d.base = rm | d.rexB;
    if (mod === 1) d.displacement = this.#signed(1);
    else if (mod === 2) d.displacement = this.#signed(4);
  }
}

/** One at most, and that a plain number. */
const hasOneImmediate = ({ immediates }: OpcodeMatch) => immediates.length === 0 || (immediates.length === 1 && immediates[0]!.kind === 'value');

/** Size in bits of one operand of a decoded instruction. */
export function operandBits(spec: OperandSpec, bits: IntegerBits): number {
  switch (spec.size) {
    case 'b': return 8;
    case 'w': return 16;
    case 'd': return 32;
    case 'q': return 64;
    case 'dq': return 128;
    case 't': return 80;
    case 'z': return Math.min(bits, 32);
    case 'y': return bits === 64 ? 64 : 32;
    default: return bits;
  }
}
