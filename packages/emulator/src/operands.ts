import type { MemoryOp } from '@hanok/wasm';
import { type Decoded, type IntegerBits, type OperandSpec, operandBits, type Operands, type Row, type Value, Vector } from '@hanok/x86';
import type { Emitter } from './emitter.ts';
import { CPU, SEGMENT, SLOT, segmentField } from './layout.ts';
import { emitLockedLoad, emitLockedPairLoad, emitLockedPairStore, emitLockedStore, emitUnlock, type LockedAccess, lockedAccess } from './locked-emit.ts';
import { emitLoad, emitModifyPointer, emitStore, emitWriteBack, LOAD_OPS, operandLinear, operandOffset, STORE_OPS } from './memory-emit.ts';

/** What decides which handler a decoded instruction gets, besides its row. */
export interface Form {
  readonly row: Row;
  readonly memory: boolean;
  readonly bits: IntegerBits;
  readonly addressBits: 16 | 32 | 64;
  readonly repeat: 0 | 0xf2 | 0xf3;
  readonly mode64: boolean;
  /** The memory operand is read and written as one atomic access. */
  readonly locked: boolean;
}

/** Which operands a body reads and writes; found by running it once. */
export interface Access {
  readonly reads: Set<number>;
  readonly writes: Set<number>;
}

export const VECTOR_LOADS: Record<number, MemoryOp> = { 8: 'v128.load8_splat', 16: 'v128.load16_splat', 32: 'v128.load32_zero', 64: 'v128.load64_zero', 128: 'v128.load' };
const OPERAND_FIELDS = [SLOT.operand0, SLOT.operand1, SLOT.operand2];

export const isMemoryOperand = (spec: OperandSpec, memory: boolean) =>
  spec.kind === 'O' || (memory && (spec.kind === 'E' || spec.kind === 'M' || spec.kind === 'W' || spec.kind === 'Q'));

const isVectorRow = (row: Row) => row.operands.some(({ kind }) => 'VWUPQN'.includes(kind));

/** Operands read from the decoded slot while the guest runs. */
export class SlotOperands implements Operands {
  readonly bits: IntegerBits;
  readonly addressBits: 16 | 32 | 64;
  readonly repeat: 0 | 0xf2 | 0xf3;
  readonly count: number;
  readonly access: Access = { reads: new Set(), writes: new Set() };
  readonly #form: Form;
  readonly #e: Emitter;
  /** From the trial run; absent during it. */
  readonly #known: Access | undefined;
  #linear: Value | undefined;
  #displacement: Value | undefined;
  #pointer: { local: number } | undefined;
  #locked: LockedAccess | undefined;

  constructor(e: Emitter, form: Form, known?: Access) {
    this.#e = e;
    this.#form = form;
    this.#known = known;
    this.bits = form.bits;
    this.addressBits = form.addressBits;
    this.repeat = form.repeat;
    this.count = form.row.operands.length;
  }

  #spec(index: number): OperandSpec {
    const spec = this.#form.row.operands[index];
    if (!spec) throw new Error(`${this.#form.row.insn.name}: the row ${this.#form.row.text} has no operand ${index}`);
    return spec;
  }

  sizeBits(index: number): number {
    return operandBits(this.#spec(index), this.bits);
  }
  isMemory(index: number): boolean {
    return isMemoryOperand(this.#spec(index), this.#form.memory);
  }
  isImmediate(index: number): boolean {
    return this.#spec(index).kind === 'I';
  }

  read(index: number): Value {
    return this.#readInteger(index, 'unsigned');
  }
  readSigned(index: number): Value {
    return this.#readInteger(index, 'signed');
  }

  #readInteger(index: number, sign: 'unsigned' | 'signed'): Value {
    const spec = this.#spec(index);
    if (spec.kind === 'I' || spec.kind === 'J') return this.#immediate(spec, index, sign);
    if (spec.kind === 'fixed' && spec.fixedClass === 'constant') return this.#e.constant(spec.fixed);
    if (spec.kind === 'S' || spec.fixedClass === 'segment') return this.#selector(spec, index);
    const bits = this.sizeBits(index) as IntegerBits;
    if (this.isMemory(index)) {
      this.access.reads.add(index);
      return this.#loadMemory(index, bits, sign);
    }
    return this.#loadRegister(index, LOAD_OPS[bits][sign], 'i64');
  }

  /** Vector instructions take immediates as they are; integer ones sign-extend them to the operand size. */
  #immediate(spec: OperandSpec, index: number, sign: 'unsigned' | 'signed'): Value {
    const e = this.#e;
    const isSecond = this.#form.row.operands.findIndex((other) => other.kind === 'I' || other.kind === 'J') !== index;
    const raw = e.node('i64', 'effect', [], (l) => {
      if (isSecond) l.code.localGet(l.slot).memory('i64.load32_s', SLOT.displacement);
      else l.code.localGet(l.slot).memory('i64.load', SLOT.immediate);
    });
    if (isVectorRow(this.#form.row)) return e.zeroExtend(raw, spec.size === 'b' ? 8 : 16);
    return sign === 'signed' ? raw : e.zeroExtend(raw, this.bits);
  }

  #selector(spec: OperandSpec, index: number): Value {
    const offset = segmentField(0, 'selector');
    if (spec.kind === 'fixed') return this.#e.loadState('i64.load16_u', offset + spec.fixed * SEGMENT.sizeBytes);
    return this.#e.node('i64', 'effect', [], (l) => {
      l.code.localGet(l.slot).memory('i32.load16_u', OPERAND_FIELDS[index]!).i32(SEGMENT.sizeBytes).op('i32.mul');
      l.code.localGet(l.cpu).op('i32.add').memory('i64.load16_u', offset);
    });
  }

  #registerAddress(index: number) {
    return (l: Parameters<Parameters<Emitter['action']>[1]>[0]) =>
      l.code.localGet(l.cpu).localGet(l.slot).memory('i32.load16_u', OPERAND_FIELDS[index]!).op('i32.add');
  }

  #loadRegister(index: number, op: MemoryOp, type: 'i64' | 'v128'): Value {
    const address = this.#registerAddress(index);
    return this.#e.node(type, 'effect', [], (l) => address(l).memory(op));
  }

  #linearAddress(index: number): Value {
    if (!this.#linear) {
      const write = this.#known?.writes.has(index) ?? false;
      const plain = operandLinear(this.#e, this.sizeBits(index) / 8, write);
      this.#linear = this.#displacement ? this.#e.add(plain, this.#displacement) : plain;
      const { options } = this.#form.row;
      if (this.sizeBits(index) === 128 && isVectorRow(this.#form.row) && !options.unaligned) {
        this.#e.if(this.#e.nez(this.#e.and(this.#linear, this.#e.constant(15))), () => this.#e.fault(Vector.GP, 0));
      }
    }
    return this.#linear;
  }

  /** An operand that is read and then written is translated once, for writing, before it is read. */
  #modifies(index: number): boolean {
    return this.#known !== undefined && this.#known.reads.has(index) && this.#known.writes.has(index);
  }

  #loadMemory(index: number, bits: IntegerBits, sign: 'unsigned' | 'signed'): Value {
    const linear = this.#linearAddress(index);
    const op = LOAD_OPS[bits][sign];
    if (!this.#modifies(index)) return this.#e.node('i64', 'effect', [linear], (l) => emitLoad(l, l.local(linear), op, bits / 8));
    if (this.#form.locked) {
      const locked = (this.#locked = lockedAccess(bits));
      return this.#e.node('i64', 'effect', [linear], (l) => emitLockedLoad(l, locked, l.local(linear), sign));
    }
    const pointer = this.#modifyPointer(linear, bits / 8);
    return this.#e.node('i64', 'effect', [], (l) => l.code.localGet(pointer.local).memory(op, 0, 1));
  }

  #modifyPointer(linear: Value, sizeBytes: number): { local: number } {
    if (this.#pointer) return this.#pointer;
    const pointer = { local: -1 };
    this.#pointer = pointer;
    this.#e.action([linear], (l) => void (pointer.local = emitModifyPointer(l, l.local(linear), sizeBytes)));
    return pointer;
  }

  write(index: number, value: Value): void {
    const bits = this.sizeBits(index) as IntegerBits;
    if (this.isMemory(index)) this.#storeMemory(index, value, STORE_OPS[bits], bits / 8);
    else this.#storeRegister(index, bits === 32 ? this.#e.zeroExtend(value, 32) : value, bits === 32 ? 'i64.store' : STORE_OPS[bits]);
  }

  #storeRegister(index: number, value: Value, op: MemoryOp): void {
    const address = this.#registerAddress(index);
    this.#e.action([value], (l) => {
      address(l);
      l.push(value).code.memory(op);
    });
  }

  #storeMemory(index: number, value: Value, op: MemoryOp, sizeBytes: number): void {
    this.access.writes.add(index);
    const linear = this.#linearAddress(index);
    const locked = this.#locked;
    if (locked) {
      this.#e.action([linear, value], (l) => {
        (locked.bits === 128 ? emitLockedPairStore : emitLockedStore)(l, locked, l.local(value));
        emitUnlock(l, locked, l.local(linear));
      });
      return;
    }
    const pointer = this.#modifies(index) ? this.#pointer : undefined;
    this.#e.action([linear, value], (l) => {
      if (pointer) emitWriteBack(l, pointer.local, l.local(linear), l.local(value), op, sizeBytes);
      else emitStore(l, l.local(linear), l.local(value), op, sizeBytes);
    });
  }

  readVector(index: number): Value {
    const bits = this.sizeBits(index);
    if (!this.isMemory(index)) return this.#loadRegister(index, 'v128.load', 'v128');
    this.access.reads.add(index);
    const linear = this.#linearAddress(index);
    const op = VECTOR_LOADS[bits]!;
    if (this.#modifies(index) && this.#form.locked) {
      const locked = (this.#locked = lockedAccess(128));
      return this.#e.node('v128', 'effect', [linear], (l) => emitLockedPairLoad(l, locked, l.local(linear)));
    }
    if (!this.#modifies(index)) return this.#e.node('v128', 'effect', [linear], (l) => emitLoad(l, l.local(linear), op, bits / 8));
    const pointer = this.#modifyPointer(linear, bits / 8);
    return this.#e.node('v128', 'effect', [], (l) => l.code.localGet(pointer.local).memory(op, 0, 1));
  }

  writeVector(index: number, value: Value): void {
    const bits = this.sizeBits(index);
    if (!this.isMemory(index)) this.#storeRegister(index, value, 'v128.store');
    else if (bits === 128) this.#storeMemory(index, value, 'v128.store', 16);
    else this.#storeMemory(index, this.#e.lane('i64x2.extract_lane', 0, value), STORE_OPS[bits as IntegerBits], bits / 8);
  }

  offset(index: number): Value {
    if (!this.isMemory(index)) throw new Error(`${this.#form.row.text}: operand ${index} is not memory`);
    return operandOffset(this.#e);
  }
  linear(index: number, purpose?: 'write'): Value {
    if (purpose) this.access.writes.add(index);
    return this.#linearAddress(index);
  }
  displace(_index: number, byteOffset: Value): void {
    this.#displacement = byteOffset;
    this.#linear = undefined;
    this.#pointer = undefined;
  }
  readWord(index: number): Value {
    return this.#loadMemory(index, 16, 'unsigned');
  }
  writeSelector(index: number, value: Value): void {
    if (this.isMemory(index)) this.#storeMemory(index, value, 'i64.store16', 2);
    else this.write(index, this.#e.zeroExtend(value, 16));
  }

  farImmediate(): [selector: Value, offset: Value] {
    const e = this.#e;
    const selector = e.node('i64', 'effect', [], (l) => l.code.localGet(l.slot).memory('i64.load32_u', SLOT.displacement));
    return [selector, e.zeroExtend(e.node('i64', 'effect', [], (l) => l.code.localGet(l.slot).memory('i64.load', SLOT.immediate)), this.bits)];
  }

  /** The decoder leaves register numbers in these kinds' operand fields. */
  number(index: number): Value {
    const spec = this.#spec(index);
    if (spec.kind === 'fixed') return this.#e.constant(spec.fixed);
    if ('PQN'.includes(spec.kind)) {
      const offset = this.#e.node('i64', 'effect', [], (l) => l.code.localGet(l.slot).memory('i64.load16_u', OPERAND_FIELDS[index]!));
      return this.#e.shrU(this.#e.sub(offset, this.#e.constant(CPU.x87Registers)), this.#e.constant(4));
    }
    return this.#e.node('i64', 'effect', [], (l) => l.code.localGet(l.slot).memory('i64.load16_u', OPERAND_FIELDS[index]!));
  }
}

/** The operand field of a decoded instruction, or -1 for operands that have none. */
export function decodedField(spec: OperandSpec, d: Decoded): number {
  const reg = (d.modrm >> 3) & 7;
  const rm = d.modrm & 7;
  switch (spec.kind) {
    case 'fixed':
      return spec.fixedClass === 'general' ? operandField(spec, spec.fixed, false) : -1;
    case 'G':
      return operandField(spec, reg | d.rexR, isHighByte(spec, d, reg | d.rexR));
    case 'C': case 'D': case 'V':
      return operandField(spec, reg | d.rexR, false);
    case 'S': case 'P':
      return operandField(spec, reg, false);
    case 'E': case 'R':
      return operandField(spec, rm | d.rexB, isHighByte(spec, d, rm | d.rexB));
    case 'W': case 'U':
      return operandField(spec, rm | d.rexB, false);
    case 'Q': case 'N': case 'T':
      return operandField(spec, rm, false);
    case 'B':
      return operandField(spec, d.vexRegister, false);
    case 'Z':
      return operandField(spec, (d.opcode & 7) | d.rexB, isHighByte(spec, d, (d.opcode & 7) | d.rexB));
    default:
      return -1;
  }
}

/** Byte registers 4 to 7 are AH, CH, DH and BH without a REX prefix. */
const isHighByte = (spec: OperandSpec, d: Decoded, number: number) => spec.size === 'b' && !d.hasRex && number >= 4 && number < 8;

/** What the decoder writes to an operand field: an offset in the state block, or a bare number for kinds read by `number`. */
function operandField(spec: OperandSpec, registerNumber: number, highByte: boolean): number {
  switch (spec.kind) {
    case 'V': case 'W': case 'U':
      return CPU.xmm + registerNumber * 16;
    case 'P': case 'Q': case 'N':
      return CPU.x87Registers + (registerNumber & 7) * 16;
    case 'S': case 'C': case 'D': case 'T':
      return registerNumber;
    default:
      return highByte ? CPU.gpr + (registerNumber - 4) * 8 + 1 : CPU.gpr + registerNumber * 8;
  }
}
