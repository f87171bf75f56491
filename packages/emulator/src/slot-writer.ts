import { ALL_ROWS, type Decoded, RIP_BASE, type Row } from '@hanok/x86';
import { formIndexOf } from './forms.ts';
import type { InterpreterTables } from './interpreter.ts';
import { ADDRESS_KIND, CPU, SEGMENT_INDEX, SLOT, segmentField } from './layout.ts';
import { decodedField } from './operands.ts';

/** Writes decoded instructions to slots. */
export class SlotWriter {
  readonly #handlers: ReadonlyMap<Row, Uint16Array>;
  readonly #view: DataView;
  readonly #words: Int32Array;

  constructor(buffer: ArrayBufferLike, { handlers }: Pick<InterpreterTables, 'handlers'>) {
    this.#handlers = new Map(ALL_ROWS.map((row, index) => [row, handlers[index]!]));
    this.#view = new DataView(buffer);
    this.#words = new Int32Array(buffer);
  }

  write(slot: number, d: Decoded, pageOffset: number): void {
    const handler = this.#handlers.get(d.row)![formIndexOf(d)]!;
    if (handler === 0xffff) throw new Error(`no handler for ${d.row.insn.name} ${d.row.text} at ${d.bits} bits`);
    this.#words.fill(0, slot / 4, (slot + SLOT.sizeBytes) / 4);
    const view = this.#view;
    view.setUint16(slot + SLOT.handler, handler, true);
    view.setUint8(slot + SLOT.length, d.lengthBytes);
    view.setUint16(slot + SLOT.pageOffset, pageOffset, true);
    const { operands } = d.row;
    for (let index = 0; index < operands.length; index++) {
      const field = decodedField(operands[index]!, d);
      if (field >= 0) view.setUint16(slot + SLOT.operand0 + index * 2, field, true);
    }
    if (d.immediate !== 0n) view.setBigInt64(slot + SLOT.immediate, d.immediate, true);
    if (d.isMemory) {
      this.#address(slot, d, pageOffset);
      return;
    }
    if (d.immediate2 !== 0n) view.setInt32(slot + SLOT.displacement, Number(BigInt.asIntN(32, d.immediate2)), true);
    // String instructions have a segment without a memory operand, and stack instructions use SS.
    const usesStack = d.row.options.default64 || d.row.options.force64;
    view.setUint8(slot + SLOT.segment, usesStack ? SEGMENT_INDEX.SS : d.segment);
    view.setUint16(slot + SLOT.segmentBase, segmentBaseField(d), true);
  }

  #address(slot: number, d: Decoded, pageOffset: number): void {
    const view = this.#view;
    // Numbers beyond 32 bits need not be exact: they are only told from those within.
    let displacement = Number(d.displacement);
    let kind: number = d.mode === 64 ? (d.addressBits === 64 ? ADDRESS_KIND.Long : ADDRESS_KIND.Long32) : d.addressBits === 32 ? ADDRESS_KIND.Legacy32 : ADDRESS_KIND.Legacy16;
    let base: number = d.base < 0 ? CPU.zero : CPU.gpr + d.base * 8;
    const index = d.index < 0 ? CPU.zero : CPU.gpr + d.index * 8;
    if (d.base === RIP_BASE) {
      base = CPU.codePage;
      displacement += pageOffset + d.lengthBytes;
    } else if (displacement !== (displacement | 0)) {
      // MOV's 64-bit absolute offset: its register fields are free, and so is the immediate.
      view.setBigInt64(slot + SLOT.immediate, BigInt.asIntN(64, d.displacement), true);
      kind = ADDRESS_KIND.Absolute;
      displacement = 0;
    }
    if (displacement !== (displacement | 0)) {
      kind = ADDRESS_KIND.FarRip;
      displacement = Number(d.displacement);
    }
    view.setUint8(slot + SLOT.addressKind, kind);
    view.setUint8(slot + SLOT.scale, d.scale);
    view.setUint16(slot + SLOT.base, base, true);
    view.setUint16(slot + SLOT.index, index, true);
    view.setInt32(slot + SLOT.displacement, displacement, true);
    view.setUint8(slot + SLOT.segment, d.segment);
    view.setUint16(slot + SLOT.segmentBase, segmentBaseField(d), true);
  }
}

/** In 64-bit mode only FS and GS have a base. */
function segmentBaseField(d: Decoded): number {
  return d.mode === 64 && d.segment < 4 ? CPU.zero : segmentField(d.segment, 'base');
}
