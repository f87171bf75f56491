import type { Value } from '@hanok/x86';
import { CPU } from '../../layout.ts';
import type { FunctionWriter } from '../../float/function-writer.ts';

/** Control and status word (SDM vol. 1 §8.1.3, §8.1.5), as `Words` holds them: control, status, tags, 16 bits each. */
const STATUS_SHIFT = 16;
const TAGS_SHIFT = 32;
const ES = 0x80n << 16n;
const PM = 0x20n;
const RC = 0xc00n;
const PC = 0x300n;
const PE_IN_WORDS = 0x20n << 16n;
export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
const TOP = 0x3800;
const TOP_SHIFT = 11;
const TAG_EMPTY = 3;
const REGISTER_BYTES = 16;
const CR0_PE_EM_TS = 0xdn;
const CR0_PE = 1n;
const VM_BIT = 17;

/** How a result was rounded (i32 conditions): PE and C1 come from it. */
export interface Rounding {
  readonly isInexact: Value;
  readonly isUp: Value;
}

/** A register's contents: sign and exponent as they are stored, and the significand. */
export interface Extended {
  readonly head: Value;
  readonly significand: Value;
}

/** The x87 registers of one instruction's ordinary case. Nothing is written before `set` and `commit`. */
export class Stack {
  readonly e: FunctionWriter;
  /** Control, status and tag word as they were. */
  readonly words: Value;
  readonly top: Value;

  constructor(e: FunctionWriter) {
    this.e = e;
    this.words = e.loadState('i64.load', CPU.x87Control);
    this.top = e.and(e.shrU(this.words, e.constant(STATUS_SHIFT + TOP_SHIFT)), e.constant(7));
  }

  /** No #NM, no pending exception, and pointers that are offsets. */
  get isReady(): Value {
    const { e } = this;
    const mode = e.eq(e.and(e.state('cr0'), e.constant(CR0_PE_EM_TS)), e.constant(CR0_PE));
    return this.all(mode, e.eqz(e.bit(e.state('systemFlags'), VM_BIT)), e.eqz(e.and(this.words, e.constant(ES))));
  }
  /** An inexact result raises nothing, and is rounded to nearest and 64 bits. */
  get roundsOrdinarily(): Value {
    const { e } = this;
    return e.eq(e.and(this.words, e.constant(RC | PC | PM)), e.constant(PC | PM));
  }
  get masksPrecision(): Value {
    return this.e.nez(this.e.and(this.words, this.e.constant(PM)));
  }
  get roundingControl(): Value {
    return this.e.and(this.e.shrU(this.words, this.e.constant(10)), this.e.constant(3));
  }

  all(...conditions: Value[]): Value {
    return conditions.reduce((a, b) => this.e.both(a, b));
  }

  #physical(index: Value): Value {
    return this.e.and(this.e.add(this.top, index), this.e.constant(7));
  }
  #tagShift(index: Value): Value {
    return this.e.add(this.e.shl(this.#physical(index), this.e.constant(1)), this.e.constant(TAGS_SHIFT));
  }
  isEmpty(index: Value): Value {
    const { e } = this;
    return e.eq(e.and(e.shrU(this.words, this.#tagShift(index)), e.constant(TAG_EMPTY)), e.constant(TAG_EMPTY));
  }

  #address(index: Value): Value {
    const { e } = this;
    return e.op('i32.add', e.parameter(0, 'i32'), e.narrow(e.shl(this.#physical(index), e.constant(Math.log2(REGISTER_BYTES)))));
  }
  get(index: Value): Extended {
    const address = this.#address(index);
    return { significand: this.e.loadAt('i64.load', address, CPU.x87Registers), head: this.e.loadAt('i64.load16_u', address, CPU.x87Registers + 8) };
  }
  set(index: Value, value: Extended): void {
    const address = this.#address(index);
    this.e.storeAt('i64.store', address, CPU.x87Registers, value.significand);
    this.e.storeAt('i64.store16', address, CPU.x87Registers + 8, value.head);
  }

  /**
   * Writes TOP moved by `move`, C0, C2 and C3, and the tags of registers filled and freed, where any of these is given; C1 and PE as
   * the result was rounded. What depends on the result is kept from TOP and tags, so that the next instruction need not wait for it.
   */
  commit(changes: { move?: Value; order?: Value; filled?: Value; freed?: readonly Value[]; rounding?: Rounding }): void {
    const { e } = this;
    const words = this.#changed(changes);
    if (words !== this.words) e.storeState('i64.store', CPU.x87Control, words);
    const { rounding } = changes;
    e.storeState('i64.store', CPU.x87Condition1, rounding ? e.select(rounding.isUp, e.constant(C1), e.constant(0)) : e.constant(0));
    if (!rounding) return;
    const isNew = e.eqz(e.and(this.words, e.constant(PE_IN_WORDS)));
    e.rarely(e.both(rounding.isInexact, isNew), () => e.storeState('i64.store', CPU.x87Control, e.or(words, e.constant(PE_IN_WORDS))));
  }

  #changed({ move, order, filled, freed = [] }: { move?: Value; order?: Value; filled?: Value; freed?: readonly Value[] }): Value {
    const { e } = this;
    let { words } = this;
    if (move) {
      const top = e.and(e.add(this.top, move), e.constant(7));
      words = e.or(e.and(words, e.constant(~(BigInt(TOP) << BigInt(STATUS_SHIFT)))), e.shl(top, e.constant(STATUS_SHIFT + TOP_SHIFT)));
    }
    if (order) words = e.or(e.and(words, e.constant(~(BigInt(C0 | C2 | C3) << BigInt(STATUS_SHIFT)))), e.shl(order, e.constant(STATUS_SHIFT)));
    const tag = (index: Value) => e.shl(e.constant(TAG_EMPTY), this.#tagShift(index));
    if (filled) words = e.and(words, e.not(tag(filled)));
    for (const index of freed) words = e.or(words, tag(index));
    return words;
  }

  /** The status word as the program sees it. */
  get status(): Value {
    const { e } = this;
    const held = e.zeroExtend(e.shrU(this.words, e.constant(STATUS_SHIFT)), 16);
    return e.or(e.and(held, e.constant(~C1)), e.loadState('i64.load', CPU.x87Condition1));
  }

  /** The instruction's and its operand's address, as FNSTENV shows them. */
  record(instruction: Value, data?: Value): void {
    this.e.storeState('i64.store', CPU.x87InstructionPointer, instruction);
    if (data) this.e.storeState('i64.store', CPU.x87DataPointer, data);
  }
}
