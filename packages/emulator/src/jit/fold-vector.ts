import type { Value } from '@hanok/x86';
import type { Node } from '../ir.ts';

/**
 * Vectors of which it is known where each byte comes from. Bodies build shuffles from immediates as if these were unknown; in a
 * region they are known, and what remains is a constant or one shuffle of other vectors.
 */

/** A byte that is known, or one of another vector. */
export type ByteSource = number | { readonly node: Node; readonly index: number };

const BYTES = 16;
const ALL_ONES = 0xff;

/** The bytes of a vector; each its own where nothing else is known. */
export function bytesOf(value: Value): readonly ByteSource[] {
  const node = value as Node;
  return node.bytes ?? Array.from({ length: BYTES }, (_, index) => ({ node, index }));
}

/** What makes a vector of these bytes, as cheaply as one operation can; undefined where it cannot. */
export type Assembly =
  | { readonly kind: 'constant'; readonly bytes: readonly number[] }
  | { readonly kind: 'same'; readonly node: Node }
  | { readonly kind: 'swizzle'; readonly node: Node; readonly indices: readonly number[] }
  | { readonly kind: 'shuffle'; readonly lanes: readonly number[]; readonly a: Node; readonly b: Node };

/** An index that swizzle answers with zero; its top bit spares V8 a check. */
const NOTHING = 0x80;

export function assemble(bytes: readonly ByteSource[]): Assembly | undefined {
  const sources = [...new Set(bytes.flatMap((byte) => (typeof byte === 'number' ? [] : [byte.node])))];
  const constants = bytes.filter((byte) => typeof byte === 'number');
  const [a, b] = sources;
  if (!a) return { kind: 'constant', bytes: constants };
  const indices = bytes.map((byte) => (typeof byte === 'number' ? NOTHING : byte.index + (byte.node === a ? 0 : BYTES)));
  if (sources.length === 1 && constants.length === 0) {
    return indices.every((from, to) => from === to) ? { kind: 'same', node: a } : { kind: 'shuffle', lanes: indices, a, b: a };
  }
  if (sources.length === 1 && constants.every((byte) => byte === 0)) return { kind: 'swizzle', node: a, indices };
  return sources.length === 2 && constants.length === 0 ? { kind: 'shuffle', lanes: indices, a, b: b! } : undefined;
}

type Merge = (a: ByteSource, b: ByteSource) => ByteSource | undefined;

const isNumber = (byte: ByteSource): byte is number => typeof byte === 'number';

/** Operations on bytes, where one of two bytes decides, or both are known. */
const MERGES: Readonly<Record<string, Merge>> = {
  'v128.or': (a, b) => (a === 0 ? b : b === 0 ? a : isNumber(a) && isNumber(b) ? a | b : undefined),
  'v128.and': (a, b) => (a === 0 || b === 0 ? 0 : a === ALL_ONES ? b : b === ALL_ONES ? a : isNumber(a) && isNumber(b) ? a & b : undefined),
  'v128.andnot': (a, b) => (a === 0 || b === ALL_ONES ? 0 : b === 0 ? a : isNumber(a) && isNumber(b) ? a & ~b : undefined),
  'i8x16.add': (a, b) => (isNumber(a) && isNumber(b) ? (a + b) & ALL_ONES : undefined),
  'i8x16.sub': (a, b) => (isNumber(a) && isNumber(b) ? (a - b) & ALL_ONES : undefined),
};

function all<T>(items: readonly (T | undefined)[]): T[] | undefined {
  return items.every((item) => item !== undefined) ? (items as T[]) : undefined;
}

function select(x: readonly ByteSource[], y: readonly ByteSource[], mask: readonly ByteSource[]): ByteSource[] | undefined {
  return all(mask.map((bit, index) => (bit === ALL_ONES ? x[index] : bit === 0 ? y[index] : undefined)));
}

/** Lanes of known bytes compared: all ones where they are equal. */
function equalLanes(laneBytes: number, a: readonly ByteSource[], b: readonly ByteSource[]): ByteSource[] | undefined {
  if (![...a, ...b].every(isNumber)) return undefined;
  const lane = (index: number) => index - (index % laneBytes);
  return a.map((_, index) => (a.slice(lane(index), lane(index) + laneBytes).every((byte, at) => byte === b[lane(index) + at]) ? ALL_ONES : 0));
}

const LANE_BYTES: Readonly<Record<string, number>> = { i8x16: 1, i16x8: 2, i32x4: 4, i64x2: 8 };

/** The bytes of an operation's result where they are known. */
export function foldBytes(name: string, operands: readonly Node[]): readonly ByteSource[] | undefined {
  const [shape, operation] = name.split('.') as [string, string];
  const laneBytes = LANE_BYTES[shape];
  const [a, b, c] = operands;
  if (operation === 'splat' && laneBytes && a!.constant !== undefined) {
    return Array.from({ length: BYTES }, (_, index) => Number((a!.constant! >> BigInt(8 * (index % laneBytes))) & 0xffn));
  }
  if (name === 'i8x16.swizzle') {
    const [source, indices] = [bytesOf(a!), bytesOf(b!)];
    return all(indices.map((index) => (isNumber(index) ? (index < BYTES ? source[index] : 0) : undefined)));
  }
  if (name === 'v128.bitselect') return select(bytesOf(a!), bytesOf(b!), bytesOf(c!));
  if (operation === 'eq' && laneBytes) return equalLanes(laneBytes, bytesOf(a!), bytesOf(b!));
  const merge = MERGES[name];
  if (!merge || !(a!.bytes || b!.bytes)) return undefined;
  const y = bytesOf(b!);
  return all(bytesOf(a!).map((byte, index) => merge(byte, y[index]!)));
}

/** The bytes of a vector after a 64-bit lane was replaced by a constant or by a lane of another. */
export function replaceHalf(index: number, vector: Node, value: Node): readonly ByteSource[] | undefined {
  const half = halfOf(value);
  return half && bytesOf(vector).map((byte, at) => (at >> 3 === index ? half[at & 7]! : byte));
}

function halfOf({ constant, operation }: Node): readonly ByteSource[] | undefined {
  if (constant !== undefined) return Array.from({ length: 8 }, (_, byte) => Number((constant >> BigInt(8 * byte)) & 0xffn));
  if (operation?.name !== 'i64x2.extract_lane') return undefined;
  const first = 8 * operation.lane!;
  return bytesOf(operation.operands[0]!).slice(first, first + 8);
}
