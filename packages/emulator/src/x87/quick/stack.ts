import type { Value } from '@hanok/x86';
import { BLOCK_TAG, CPU } from '../../layout.ts';
import type { FunctionWriter } from '../../float/function-writer.ts';
import { C1, ES, ORDER, PC, PE, PM, RC, RC_SHIFT, REGISTER_BYTES, STATUS_SHIFT, TAG_EMPTY, TAGS_SHIFT, TOP, TWICE_TOP_MASK, TWICE_TOP_SHIFT } from './words.ts';

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

/** The x87 registers of one instruction's ordinary case. What it needs comes first (`require…`), then what it does. */
export class Stack {
  readonly e: FunctionWriter;
  /** Control, status and tag word as they were. */
  readonly words: Value;
  /** Twice TOP, which is where its tag is. */
  readonly #top: Value;

  /** @param ordinaryRounding an inexact result raises nothing, and is rounded to nearest and 64 bits */
  constructor(e: FunctionWriter, ordinaryRounding: boolean) {
    this.e = e;
    this.words = e.loadState('i64.load', CPU.x87Control);
    this.#top = e.and(e.shrU(this.words, e.constant(TWICE_TOP_SHIFT)), e.constant(TWICE_TOP_MASK));
    // No exception may be pending, and the pointers must be offsets.
    const looked = e.and(this.words, e.constant(ordinaryRounding ? ES | RC | PC | PM : ES));
    e.failUnless(e.eq(looked, e.constant(ordinaryRounding ? PC | PM : 0)));
    e.failUnless(e.op('i32.eqz', e.op('i32.and', e.loadState('i32.load', CPU.blockTag), e.constant32(BLOCK_TAG.linearPointers))));
  }

  requireMaskedPrecision(): void {
    this.e.failUnless(this.e.nez(this.e.and(this.words, this.e.constant(PM))));
  }
  get roundingControl(): Value {
    return this.e.and(this.e.shrU(this.words, this.e.constant(RC_SHIFT)), this.e.constant(3));
  }

  /** Twice the number of the register that ST(`index`) is. */
  #physical(index: Value): Value {
    return this.e.and(this.e.add(this.#top, this.e.shl(index, this.e.constant(1))), this.e.constant(TWICE_TOP_MASK));
  }
  /** Bit 0: whether a register is empty (its tag is 3). */
  #emptiness(index: Value): Value {
    const { e } = this;
    const both = e.and(this.words, e.shrU(this.words, e.constant(1)));
    return e.shrU(e.shrU(both, e.constant(TAGS_SHIFT)), this.#physical(index));
  }
  requireFilled(...indices: readonly Value[]): void {
    const { e } = this;
    const anyEmpty = indices.map((index) => this.#emptiness(index)).reduce((a, b) => e.or(a, b));
    e.failUnless(e.eqz(e.and(anyEmpty, e.constant(1))));
  }
  requireEmpty(index: Value): void {
    this.e.failUnless(this.e.nez(this.e.and(this.#emptiness(index), this.e.constant(1))));
  }

  #address(index: Value): Value {
    const { e } = this;
    return e.op('i32.add', e.parameter(0, 'i32'), e.narrow(e.shl(this.#physical(index), e.constant(Math.log2(REGISTER_BYTES / 2)))));
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
    const isNew = e.eqz(e.and(this.words, e.constant(PE)));
    e.rarely(e.both(rounding.isInexact, isNew), () => e.storeState('i64.store', CPU.x87Control, e.or(words, e.constant(PE))));
  }

  #changed({ move, order, filled, freed = [] }: { move?: Value; order?: Value; filled?: Value; freed?: readonly Value[] }): Value {
    const { e } = this;
    let { words } = this;
    if (move) {
      words = e.or(e.and(words, e.constant(~TOP)), e.shl(this.#physical(move), e.constant(TWICE_TOP_SHIFT)));
    }
    if (order) words = e.or(e.and(words, e.constant(~ORDER)), e.shl(order, e.constant(STATUS_SHIFT)));
    const tag = (index: Value) => e.shl(e.constant(TAG_EMPTY), this.#physical(index));
    if (filled) words = e.and(words, e.not(tag(filled)));
    for (const index of freed) words = e.or(words, tag(index));
    return words;
  }

  /** Commits, and pops as often as told: never, once or twice. */
  pop(pops: Value, changes: { order?: Value; rounding?: Rounding }): void {
    const { e } = this;
    const first = e.constant(0);
    e.if(
      e.eqz(pops),
      () => this.commit(changes),
      () => e.if(
        e.eq(pops, e.constant(1)),
        () => this.commit({ ...changes, move: pops, freed: [first] }),
        () => this.commit({ ...changes, move: pops, freed: [first, e.constant(1)] }),
      ),
    );
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
