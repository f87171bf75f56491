import { u32SizeBytes } from './byte-buffer.ts';
import type { ByteBuffer } from './byte-buffer.ts';
import { Code } from './code.ts';
import { OP } from './opcodes.ts';
import { valueTypeCode } from './value-types.ts';
import type { ValueType } from './value-types.ts';

const INITIAL_CODE_BYTES = 256;

/** One function of a module: its index holds from the start, its body may be written at any time before `toBytes`. */
export class FunctionBuilder {
  readonly index: number;
  readonly typeIndex: number;
  readonly code = new Code(INITIAL_CODE_BYTES);
  /** Shown in stack traces and profiles; kept in the name section. */
  name?: string;
  private nextLocal: number;
  private readonly runTypes: number[] = [];
  private readonly runCounts: number[] = [];

  constructor(index: number, typeIndex: number, parameterCount: number) {
    this.index = index;
    this.typeIndex = typeIndex;
    this.nextLocal = parameterCount;
  }

  /** Declares a local, zero at entry, and returns its index. */
  local(type: ValueType): number {
    const code = valueTypeCode(type);
    const last = this.runTypes.length - 1;
    if (this.runTypes[last] === code) this.runCounts[last] = (this.runCounts[last] ?? 0) + 1;
    else {
      this.runTypes.push(code);
      this.runCounts.push(1);
    }
    return this.nextLocal++;
  }

  /** Size of the declarations of the locals, which branch hints count offsets from. */
  get localsSizeBytes(): number {
    let size = u32SizeBytes(this.runTypes.length);
    for (const count of this.runCounts) size += u32SizeBytes(count) + 1;
    return size;
  }

  /** Size of the whole body with its final `end`. */
  get bodySizeBytes(): number {
    return this.localsSizeBytes + this.code.sizeBytes + 1;
  }

  /** Throws if the body cannot be right: blocks left open, or a hint without a branch. */
  assertComplete(): void {
    this.code.assertHintsPlaced();
    const { depth } = this.code;
    if (depth === 0) return;
    const what =
      depth > 0 ? `leaves ${depth} block(s) open; add op('end')` : `closes ${-depth} block(s) too many; toBytes adds the final end`;
    throw new Error(`function ${this.index}${this.name === undefined ? '' : ` (${this.name})`} ${what}`);
  }

  /** Writes the body as an entry of the code section (core specification, section 5.5.13). */
  writeTo(out: ByteBuffer): void {
    out.u32(this.bodySizeBytes).u32(this.runTypes.length);
    for (let i = 0; i < this.runTypes.length; i++) out.u32(this.runCounts[i] ?? 0).u8(this.runTypes[i] ?? 0);
    out.append(this.code.buffer).u8(OP.end);
  }
}
