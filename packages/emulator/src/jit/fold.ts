import type { Value } from '@hanok/x86';
import type { Node } from '../ir.ts';
import type { Emitter } from '../emitter.ts';

const wide = (value: bigint) => BigInt.asIntN(64, value);
const unsigned = (value: bigint) => BigInt.asUintN(64, value);
const truth = (value: boolean) => (value ? 1 : 0);

/** Operations on two i64 constants; an i32 result is a condition. */
const BINARY: Readonly<Record<string, (a: bigint, b: bigint) => bigint | number>> = {
  'i64.add': (a, b) => wide(a + b),
  'i64.sub': (a, b) => wide(a - b),
  'i64.mul': (a, b) => wide(a * b),
  'i64.and': (a, b) => a & b,
  'i64.or': (a, b) => a | b,
  'i64.xor': (a, b) => a ^ b,
  'i64.shl': (a, b) => wide(a << (b & 63n)),
  'i64.shr_u': (a, b) => wide(unsigned(a) >> (b & 63n)),
  'i64.shr_s': (a, b) => a >> (b & 63n),
  'i64.eq': (a, b) => truth(a === b),
  'i64.ne': (a, b) => truth(a !== b),
  'i64.lt_u': (a, b) => truth(unsigned(a) < unsigned(b)),
  'i64.lt_s': (a, b) => truth(a < b),
  'i32.and': (a, b) => Number(a & b),
  'i32.or': (a, b) => Number(a | b),
  'i32.shl': (a, b) => Number(BigInt.asIntN(32, a << (b & 31n))),
};
const UNARY: Readonly<Record<string, (a: bigint) => bigint | number>> = {
  'i64.eqz': (a) => truth(a === 0n),
  'i32.eqz': (a) => truth(a === 0n),
  'i32.wrap_i64': (a) => Number(BigInt.asIntN(32, a)),
  'i64.extend_i32_u': (a) => BigInt.asUintN(32, a),
  'i64.extend8_s': (a) => BigInt.asIntN(8, a),
  'i64.extend16_s': (a) => BigInt.asIntN(16, a),
  'i64.extend32_s': (a) => BigInt.asIntN(32, a),
};
/** Operations that a zero on the right leaves alone. */
const ZERO_IS_NEUTRAL = new Set(['i64.add', 'i64.sub', 'i64.or', 'i64.xor', 'i64.shl', 'i64.shr_u', 'i64.shr_s', 'i32.or', 'i32.shl']);

/** The result where it is known: an i64 (bigint), an i32 (number), or one of the operands. */
export function fold(name: string, operands: readonly Node[]): bigint | number | Value | undefined {
  const [a, b] = operands;
  if (operands.length === 1 && a!.constant !== undefined) return UNARY[name]?.(a!.constant);
  if (operands.length !== 2) return undefined;
  if (a!.constant !== undefined && b!.constant !== undefined) return BINARY[name]?.(a!.constant, b!.constant);
  if (b!.constant === 0n && ZERO_IS_NEUTRAL.has(name)) return a;
  if (a!.constant === 0n && (name === 'i64.add' || name === 'i64.or' || name === 'i32.or')) return b;
  return undefined;
}

/** Operations whose low bits come from their operands' low bits alone. */
const LOW_BITS = new Set(['i64.add', 'i64.sub', 'i64.mul', 'i64.and', 'i64.or', 'i64.xor']);
const SIGN_EXTENSION: Readonly<Record<string, number>> = { 'i64.extend8_s': 8, 'i64.extend16_s': 16, 'i64.extend32_s': 32 };
/** How deep a sum is looked into. */
const DEPTH_MAX = 3;

/** The same low `bits`, without the sign extensions that do not reach them. */
function lowBits(e: Emitter, value: Node, bits: number, depth: number): Value {
  const { operation } = value;
  if (!operation || depth === 0) return value;
  if ((SIGN_EXTENSION[operation.name] ?? 0) >= bits) return lowBits(e, operation.operands[0] as Node, bits, depth);
  if (!LOW_BITS.has(operation.name)) return value;
  const operands = operation.operands.map((operand) => lowBits(e, operand as Node, bits, depth - 1));
  return operands.every((operand, index) => operand === operation.operands[index]) ? value : e.op(operation.name, ...operands);
}

/** A zero extension, left out where the value is known to fit. */
export function simplifyZeroExtend(e: Emitter, value: Node, bits: number, extend: (value: Value) => Value): Value {
  if (value.constant !== undefined) return e.constant(BigInt.asUintN(bits, value.constant));
  if ((value.knownBits ?? 64) <= bits) return value;
  const low = lowBits(e, value, bits, DEPTH_MAX) as Node;
  if ((low.knownBits ?? 64) <= bits) return low;
  return Object.assign(extend(low) as Node, { knownBits: bits });
}
