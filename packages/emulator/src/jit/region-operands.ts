import type { MemoryOp } from '@hanok/wasm';
import { type Decoded, type IntegerBits, isLocked, type OperandSpec, operandBits, type Operands, type Value } from '@hanok/x86';
import type { Node } from '../ir.ts';
import { CPU, SEGMENT, SEGMENT_INDEX, segmentField } from '../layout.ts';
import { emitLockedLoad, emitLockedPairLoad, emitLockedPairStore, emitLockedStore, type LockedAccess, lockedAccess } from '../locked-emit.ts';
import { LOAD_OPS, STORE_OPS } from '../memory-emit.ts';
import { type Access, decodedField, isMemoryOperand, VECTOR_LOADS } from '../operands.ts';
import type { ModifiedPlace } from './memory-emitter.ts';
import type { RegionEmitter } from './region-emitter.ts';
import { NotCompilable } from './region-exits.ts';

const RIP_BASE = 16;
const ALIGNMENT_MASK = 15;

/** Operands of one decoded instruction: registers are named, immediates and displacements are constants. */
export class RegionOperands implements Operands {
  readonly bits: IntegerBits;
  readonly addressBits: 16 | 32 | 64;
  readonly repeat: 0 | 0xf2 | 0xf3;
  readonly count: number;
  readonly #e: RegionEmitter;
  readonly #d: Decoded;
  readonly #access: Access;
  #linear: Value | undefined;
  #displacement: Value | undefined;
  #modified: ModifiedPlace | undefined;
  #locked: LockedAccess | undefined;

  constructor(e: RegionEmitter, decoded: Decoded, access: Access) {
    this.#e = e;
    this.#d = decoded;
    this.#access = access;
    this.bits = decoded.bits;
    this.addressBits = decoded.addressBits;
    this.repeat = decoded.repeat;
    this.count = decoded.row.operands.length;
  }

  #spec(index: number): OperandSpec {
    return this.#d.row.operands[index]!;
  }
  sizeBits(index: number): number {
    return operandBits(this.#spec(index), this.bits);
  }
  isMemory(index: number): boolean {
    return isMemoryOperand(this.#spec(index), this.#d.isMemory);
  }
  isImmediate(index: number): boolean {
    return this.#spec(index).kind === 'I';
  }

  read(index: number): Value {
    return this.#readInteger(index, false);
  }
  readSigned(index: number): Value {
    return this.#readInteger(index, true);
  }

  #readInteger(index: number, signed: boolean): Value {
    const e = this.#e;
    const spec = this.#spec(index);
    const bits = this.sizeBits(index) as IntegerBits;
    if (spec.kind === 'I') return this.#immediate(spec, index, signed);
    if (spec.kind === 'fixed' && spec.fixedClass === 'constant') return e.constant(spec.fixed);
    if (spec.kind === 'S' || spec.fixedClass === 'segment') return this.#selector(spec, index);
    if (this.isMemory(index)) return this.#loadMemory(index, bits, signed ? 'signed' : 'unsigned');
    return signed ? e.signExtend(this.#register(index, bits), bits) : e.zeroExtend(this.#register(index, bits), bits);
  }

  #immediate(spec: OperandSpec, index: number, signed: boolean): Value {
    const isSecond = this.#d.row.operands.findIndex((other) => other.kind === 'I') !== index;
    const raw = isSecond ? BigInt.asIntN(32, this.#d.immediate2) : this.#d.immediate;
    if (this.#d.row.operands.some(({ kind }) => 'VWUPQN'.includes(kind))) return this.#e.constant(BigInt.asUintN(spec.size === 'b' ? 8 : 16, raw));
    return this.#e.constant(signed ? raw : BigInt.asUintN(this.bits, raw));
  }

  #selector(spec: OperandSpec, index: number): Value {
    const segment = spec.kind === 'fixed' ? spec.fixed : decodedField(spec, this.#d);
    if (segment > SEGMENT_INDEX.GS || index < 0) throw new NotCompilable();
    return this.#e.loadState('i64.load16_u', segmentField(0, 'selector') + segment * SEGMENT.sizeBytes);
  }

  /** A general register, with bits beyond the operand's size left in; or an x87/MMX register's low half. */
  #register(index: number, bits: number): Value {
    const field = decodedField(this.#spec(index), this.#d);
    if (field >= CPU.xmm) {
      if (field >= CPU.x87Registers) return this.#e.loadState(LOAD_OPS[bits as IntegerBits].unsigned, field);
      return this.#e.lane('i64x2.extract_lane', 0, this.#e.vectorRegister((field - CPU.xmm) >> 4));
    }
    const register = (field - CPU.gpr) >> 3;
    return field & 1 ? this.#e.highByte(register) : this.#e.register(register);
  }

  #offset(): Value {
    const e = this.#e;
    const d = this.#d;
    let sum: Value | undefined;
    if (d.base === RIP_BASE) sum = e.ripPlus(d.lengthBytes + Number(d.displacement));
    else {
      if (d.base >= 0) sum = e.register(d.base);
      if (d.index >= 0) {
        const scaled = e.shl(e.register(d.index), e.constant(d.scale));
        sum = sum ? e.add(sum, scaled) : scaled;
      }
      const displacement = e.constant(d.displacement);
      sum = sum ? e.add(sum, displacement) : displacement;
    }
    return d.addressBits === 64 ? sum : e.zeroExtend(sum, d.addressBits);
  }

  #linearAddress(index: number): Value {
    if (this.#linear) return this.#linear;
    const e = this.#e;
    let linear = this.#offset();
    if (this.#d.segment >= SEGMENT_INDEX.FS) linear = e.add(linear, e.loadState('i64.load', segmentField(this.#d.segment, 'base')));
    if (this.#displacement) linear = e.add(linear, this.#displacement);
    this.#linear = linear;
    const isVector = this.#d.row.operands.some(({ kind }) => 'VWUPQN'.includes(kind));
    if (this.sizeBits(index) === 128 && isVector && !this.#d.row.options.unaligned) {
      e.if(e.nez(e.and(linear, e.constant(ALIGNMENT_MASK))), () => e.fault());
    }
    return linear;
  }

  #modifies(index: number): boolean {
    return this.#access.reads.has(index) && this.#access.writes.has(index);
  }

  #loadMemory(index: number, bits: IntegerBits, sign: 'unsigned' | 'signed'): Value {
    if (this.#modifies(index) && isLocked(this.#d)) return this.#lockedLoad(index, bits, sign);
    const op = LOAD_OPS[bits][sign];
    const value = this.#load(index, 'i64', op, bits / 8);
    return sign === 'unsigned' ? this.#e.loaded(value, bits) : value;
  }

  #lockedLoad(index: number, bits: IntegerBits, sign: 'unsigned' | 'signed'): Value {
    const linear = this.#linearAddress(index);
    this.#e.memory.addOther();
    const locked = (this.#locked = lockedAccess(bits));
    const value = this.#e.node('i64', 'effect', [linear], (l) => emitLockedLoad(l, locked, l.local(linear), sign));
    return sign === 'unsigned' ? this.#e.loaded(value, bits) : value;
  }

  #load(index: number, type: 'i64' | 'v128', op: MemoryOp, sizeBytes: number): Node {
    const e = this.#e;
    const linear = this.#linearAddress(index);
    if (type === 'v128' && this.#modifies(index) && isLocked(this.#d)) {
      e.memory.addOther();
      const locked = (this.#locked = lockedAccess(128));
      return e.node(type, 'effect', [linear], (l) => emitLockedPairLoad(l, locked, l.local(linear)));
    }
    if (!this.#modifies(index)) return e.loadAt(linear, type, op, sizeBytes);
    return (this.#modified ??= e.modifyAt(linear, sizeBytes)).load(type, op);
  }

  write(index: number, value: Value): void {
    const bits = this.sizeBits(index) as IntegerBits;
    if (this.isMemory(index)) {
      this.#storeMemory(index, value, STORE_OPS[bits], bits / 8);
      return;
    }
    const field = decodedField(this.#spec(index), this.#d);
    if (field >= CPU.x87Registers) {
      this.#e.storeState(STORE_OPS[bits], field, value);
      this.#e.x87Written();
    } else if (field >= CPU.xmm) {
      const register = (field - CPU.xmm) >> 4;
      this.#e.setVectorRegister(register, this.#e.lane('i64x2.replace_lane', 0, this.#e.vectorRegister(register), this.#e.zeroExtend(value, bits)));
    } else if (field & 1) this.#e.setHighByte((field - CPU.gpr) >> 3, value);
    else this.#e.setRegister((field - CPU.gpr) >> 3, value, bits);
  }

  #storeMemory(index: number, value: Value, op: MemoryOp, sizeBytes: number): void {
    const locked = this.#locked;
    if (locked) {
      this.#e.action([value], (l) => (locked.bits === 128 ? emitLockedPairStore : emitLockedStore)(l, locked, l.local(value)));
      this.#e.noteEffect();
      return;
    }
    const linear = this.#linearAddress(index);
    if (this.#modifies(index) && this.#modified) this.#modified.store(value, op);
    else this.#e.storeAt(linear, value, op, sizeBytes);
    this.#e.noteEffect();
  }

  readVector(index: number): Value {
    if (this.isMemory(index)) return this.#load(index, 'v128', VECTOR_LOADS[this.sizeBits(index)]!, this.sizeBits(index) / 8);
    const field = decodedField(this.#spec(index), this.#d);
    return field >= CPU.x87Registers ? this.#e.loadState('v128.load', field) : this.#e.vectorRegister((field - CPU.xmm) >> 4);
  }

  writeVector(index: number, value: Value): void {
    const bits = this.sizeBits(index);
    if (this.isMemory(index)) {
      if (bits === 128) this.#storeMemory(index, value, 'v128.store', 16);
      else this.#storeMemory(index, this.#e.lane('i64x2.extract_lane', 0, value), STORE_OPS[bits as IntegerBits], bits / 8);
      return;
    }
    const field = decodedField(this.#spec(index), this.#d);
    if (field >= CPU.x87Registers) {
      this.#e.storeState('v128.store', field, value);
      this.#e.x87Written();
    } else this.#e.setVectorRegister((field - CPU.xmm) >> 4, value);
  }

  offset(_index: number): Value {
    return this.#offset();
  }
  linear(index: number): Value {
    return this.#linearAddress(index);
  }
  displace(_index: number, byteOffset: Value): void {
    this.#displacement = byteOffset;
    this.#linear = undefined;
    this.#modified = undefined;
  }
  readWord(index: number): Value {
    return this.#loadMemory(index, 16, 'unsigned');
  }
  writeSelector(index: number, value: Value): void {
    if (this.isMemory(index)) this.#storeMemory(index, value, 'i64.store16', 2);
    else this.write(index, this.#e.zeroExtend(value, 16));
  }
  farImmediate(): [selector: Value, offset: Value] {
    throw new NotCompilable();
  }

  number(index: number): Value {
    const spec = this.#spec(index);
    if (spec.kind === 'fixed') return this.#e.constant(spec.fixed);
    const field = decodedField(spec, this.#d);
    return this.#e.constant('PQN'.includes(spec.kind) ? (field - CPU.x87Registers) >> 4 : field);
  }
}
