import type { Routine, Value } from '@hanok/x86';
import { Emitter } from '../emitter.ts';
import type { Node } from '../ir.ts';
import { fold, simplifyZeroExtend } from './fold.ts';
import { assemble, bytesOf, type ByteSource, foldBytes, replaceHalf } from './fold-vector.ts';

/** Simplifies what is known while an instruction's code is built. */
export class FoldingEmitter extends Emitter {
  readonly #registerNodes: Node[] = [];

  override op(name: string, ...operands: Value[]): Value {
    const folded = fold(name, operands as Node[]);
    if (typeof folded === 'bigint') return this.constant(folded);
    if (typeof folded === 'number') return this.constant32(folded);
    if (folded) return folded;
    const bytes = foldBytes(name, operands as Node[]);
    return (bytes && this.#assembled(bytes)) ?? this.#plain(name, operands);
  }
  #plain(name: string, operands: readonly Value[]): Value {
    const node = super.op(name, ...operands) as Node;
    node.operation = { name, operands };
    return this.track(node);
  }
  override constant32(value: number): Value {
    const node = super.constant32(value) as Node;
    return Object.assign(node, { constant: BigInt(value | 0) });
  }
  override zeroExtend(a: Value, bits: number): Value {
    return bits === 64 ? a : simplifyZeroExtend(this, a as Node, bits, (value) => super.zeroExtend(value, bits));
  }
  override select(condition: Value, a: Value, b: Value): Value {
    const { constant } = condition as Node;
    if (constant !== undefined) return constant !== 0n ? a : b;
    const node = super.select(condition, a, b) as Node;
    return this.track(node);
  }
  override lane(name: string, index: number, ...operands: Value[]): Value {
    const bytes = name === 'i64x2.replace_lane' ? replaceHalf(index, operands[0] as Node, operands[1] as Node) : undefined;
    const assembled = bytes && this.#assembled(bytes);
    if (assembled) return assembled;
    const node = super.lane(name, index, ...operands) as Node;
    node.operation = { name, operands, lane: index };
    return this.track(node);
  }
  override shuffle(lanes: readonly number[], a: Value, b: Value): Value {
    const [x, y] = [bytesOf(a), bytesOf(b)];
    const bytes = lanes.map((lane) => (lane < 16 ? x[lane]! : y[lane - 16]!));
    return this.#assembled(bytes) ?? this.track(super.shuffle(lanes, a, b) as Node);
  }
  /** A vector of these bytes, where one operation makes it. */
  #assembled(bytes: readonly ByteSource[]): Value | undefined {
    const assembly = assemble(bytes);
    if (!assembly || assembly.kind === 'same') return assembly?.node;
    if (assembly.kind === 'constant') return this.constantVector(assembly.bytes);
    const isSwizzle = assembly.kind === 'swizzle';
    const made = isSwizzle ? this.#plain('i8x16.swizzle', [assembly.node, this.constantVector(assembly.indices)]) : super.shuffle(assembly.lanes, assembly.a, assembly.b);
    return Object.assign(isSwizzle ? made : this.track(made as Node), { bytes });
  }
  override call(routine: Routine, ...args: Value[]): Value {
    return this.track(super.call(routine, ...args) as Node);
  }
  /** Values made of registers are kept where they were made, should the registers change (`invalidate`). */
  protected track(node: Node): Node {
    if (node.registers) this.#registerNodes.push(node);
    return node;
  }

  /** Values read from a register that changes now must be kept where they were made, if they are used again. */
  protected invalidate(mask: number): void {
    for (const node of this.#registerNodes) if ((node.registers ?? 0) & mask) node.stale = true;
  }

}
