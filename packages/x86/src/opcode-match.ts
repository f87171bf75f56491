import type { IntegerBits } from './emit.ts';
import type { Row } from './insn.ts';
import type { OperandSpec } from './operand.ts';
import { OPCODE_TABLES } from './table.ts';

export type ModeBits = 16 | 32 | 64;

/** Everything that chooses a row: what the decoder has read before it looks at operands. */
export interface Encoding {
  mode: ModeBits;
  /** Index of OPCODE_TABLES. */
  map: number;
  opcode: number;
  modrm: number;
  operandPrefix: boolean;
  repeat: 0 | 0xf2 | 0xf3;
  rexW: boolean;
  rexB: number;
  /** Of VEX.L; undefined without VEX. */
  vexLength: 0 | 1 | undefined;
  vexRegister: number;
}

/** One thing that follows ModRM and displacement: so many bytes, a far pointer (so many bytes and a selector), or an absolute offset. */
export interface ImmediateLayout {
  readonly kind: 'value' | 'far' | 'absolute';
  readonly sizeBytes: number;
}

/** The row of an encoding, and what follows from both. */
export interface OpcodeMatch {
  readonly row: Row;
  /** As the instruction means it. */
  readonly modrm: number;
  readonly bits: IntegerBits;
  readonly immediates: readonly ImmediateLayout[];
}

/** Matches kept at most; then all are forgotten. Real code has a few thousand. */
const MATCHES_MAX = 0x10000;

/** Finds the row of an encoding. Code repeats itself: what was found is kept. */
export class OpcodeMatcher {
  readonly #matches = new Map<number, OpcodeMatch>();

  find(encoding: Encoding): OpcodeMatch | undefined {
    const key = keyOf(encoding);
    const known = this.#matches.get(key);
    if (known) return known;
    const found = findMatch(encoding);
    if (!found) return undefined;
    if (this.#matches.size === MATCHES_MAX) this.#matches.clear();
    this.#matches.set(key, found);
    return found;
  }
}

/** 30 bits: encodings with the same number have the same match. */
function keyOf({ mode, map, opcode, modrm, operandPrefix, repeat, rexW, rexB, vexLength, vexRegister }: Encoding): number {
  const flags = (operandPrefix ? 1 : 0) | (rexW ? 2 : 0) | (rexB ? 4 : 0) | (vexRegister ? 8 : 0);
  const vex = vexLength === undefined ? 0 : vexLength + 1;
  const repeatIndex = repeat === 0 ? 0 : repeat - 0xf1;
  return opcode | (modrm << 8) | (flags << 16) | (vex << 20) | (repeatIndex << 22) | ((mode >> 5) << 24) | (map << 26);
}

function findMatch(encoding: Encoding): OpcodeMatch | undefined {
  const row = OPCODE_TABLES[encoding.map]![encoding.opcode]!.find((candidate) => matches(candidate, encoding));
  if (!row) return undefined;
  const bits = effectiveBits(row, encoding.mode, encoding.operandPrefix, encoding.rexW);
  // MOV to and from control registers takes mod as 3 whatever it says (SDM vol. 2B, "MOV").
  const modrm = row.operands.some(({ kind }) => kind === 'R') ? encoding.modrm | 0xc0 : encoding.modrm;
  return { row, modrm, bits, immediates: row.operands.flatMap((spec) => immediateLayout(spec, bits) ?? []) };
}

function matches(row: Row, { mode, map, opcode, modrm, operandPrefix, repeat, rexW, rexB, vexLength, vexRegister }: Encoding): boolean {
  const { options } = row;
  if (mode === 64 ? options.not64 : options.only64) return false;
  if (row.prefix === 'none' && (operandPrefix || repeat !== 0)) return false;
  if (row.prefix === 0x66 && (!operandPrefix || repeat !== 0)) return false;
  if ((row.prefix === 0xf2 || row.prefix === 0xf3) && row.prefix !== repeat) return false;
  if (row.rexW !== undefined && row.rexW !== rexW) return false;
  if (row.vexLength !== vexLength) return false;
  if (vexRegister !== 0 && !row.operands.some(({ kind }) => kind === 'B')) return false;
  if (row.modrm !== undefined) return row.modrm === modrm;
  if (row.extension !== undefined && row.extension !== ((modrm >> 3) & 7)) return false;
  // 90 names no register, so that with REX.B it is XCHG R8.
  if (map === 0 && opcode === 0x90 && !row.plusRegister && rexB !== 0) return false;
  return row.operands.every(({ kind }) => takesModrm(row, kind, modrm));
}

function takesModrm(row: Row, kind: OperandSpec['kind'], modrm: number): boolean {
  if (kind === 'M') return modrm < 0xc0;
  if (kind === 'U' || kind === 'N' || kind === 'T') return modrm >= 0xc0;
  if (kind === 'R') return modrm >= 0xc0 || row.operands.some((other) => other.kind === 'C' || other.kind === 'D');
  return true;
}

function immediateLayout(spec: OperandSpec, bits: number): ImmediateLayout | undefined {
  if (spec.kind === 'O') return { kind: 'absolute', sizeBytes: 0 };
  if (spec.kind !== 'I' && spec.kind !== 'J' && spec.kind !== 'A') return undefined;
  return { kind: spec.kind === 'A' ? 'far' : 'value', sizeBytes: immediateBytes(spec, bits) };
}

function immediateBytes(spec: OperandSpec, bits: number): number {
  if (spec.size === 'b') return 1;
  if (spec.size === 'w') return 2;
  if (spec.size === 'v') return bits / 8;
  return bits === 16 ? 2 : 4;
}

const namesSize = (spec: OperandSpec) => spec.kind !== 'I' && spec.kind !== 'J' && !(spec.kind === 'fixed' && spec.fixedClass !== 'general');
const SIZE_BITS: Partial<Record<OperandSpec['size'], IntegerBits>> = { b: 8, w: 16, d: 32, q: 64 };

/** Effective operand size of a row under prefixes (SDM vol. 1 §3.6.1). */
export function effectiveBits(row: Row, mode: ModeBits, operandPrefix: boolean, rexW: boolean): IntegerBits {
  const { options } = row;
  let bits: IntegerBits = rexW ? 64 : (mode === 16) === operandPrefix ? 32 : 16;
  if (mode === 64 && ((options.default64 && bits === 32) || options.force64)) bits = 64;
  const sized = row.operands.filter(namesSize);
  if (sized.some(({ size }) => size === 'v')) return bits;
  for (const spec of sized) {
    if (spec.size === 'y') return (options.force64 ? mode === 64 : rexW) ? 64 : 32;
    if (spec.kind === 'fixed' && spec.size === 'z') return bits === 64 ? 32 : bits;
  }
  return SIZE_BITS[sized[0]?.size ?? 'none'] ?? bits;
}
