/** The x87 register stack, control, status and tag words, as they lie in the vCPU's state block. */
import { CPU } from '../layout.ts';
import { Condition } from './compare.ts';
import { EXPONENT_MAX, Exception, float80, type Float80, INDEFINITE, isUnsupported, isZero } from './float80.ts';
import { FloatEnvironment } from './rounding.ts';

/** Status word (SDM vol. 1 §8.1.3). */
export const Status = { SF: 0x40, ES: 0x80, TOP: 0x3800, B: 0x8000 } as const;
const TOP_SHIFT = 11;
const EXCEPTION_FLAGS = 0x3f;

/** Bits of the control word that can be written, and the one that always reads as 1. */
const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_FIXED = 0x40;

/** After FNINIT (SDM vol. 3A table 10-1). */
const CONTROL_INITIAL = 0x37f;
export const TAGS_EMPTY = 0xffff;
const TAG_EMPTY = 3;

const REGISTER_BYTES = 16;

/** Puts C1 into the status word, where all but generated code looks for it; and back. */
export function gatherCondition1(view: DataView): void {
  const status = view.getUint16(CPU.x87Status, true) & ~Condition.C1;
  view.setUint16(CPU.x87Status, status | view.getUint16(CPU.x87Condition1, true), true);
}
export function spreadCondition1(view: DataView): void {
  view.setUint16(CPU.x87Condition1, view.getUint16(CPU.x87Status, true) & Condition.C1, true);
}

/** The status word with ES and B as the flags and the masks demand. */
function withSummary(status: number, control: number): number {
  const pending = (status & ~control & EXCEPTION_FLAGS) !== 0;
  return pending ? status | Status.ES | Status.B : status & ~(Status.ES | Status.B);
}

export function setControl(view: DataView, control: number): void {
  const value = (control & CONTROL_WRITABLE) | CONTROL_FIXED;
  view.setUint16(CPU.x87Control, value, true);
  view.setUint16(CPU.x87Status, withSummary(view.getUint16(CPU.x87Status, true), value), true);
}

export function setStatus(view: DataView, status: number): void {
  view.setUint16(CPU.x87Status, withSummary(status, view.getUint16(CPU.x87Control, true)), true);
}

/** FNINIT. Register contents stay. */
export function initialize(view: DataView): void {
  view.setUint16(CPU.x87Control, CONTROL_INITIAL, true);
  view.setUint16(CPU.x87Status, 0, true);
  view.setUint16(CPU.x87Tag, TAGS_EMPTY, true);
  view.setUint16(CPU.x87Opcode, 0, true);
  view.setBigUint64(CPU.x87InstructionPointer, 0n, true);
  view.setBigUint64(CPU.x87DataPointer, 0n, true);
}

export function topOf(view: DataView): number {
  return (view.getUint16(CPU.x87Status, true) >> TOP_SHIFT) & 7;
}

/** Byte offset in the state block of stack register `index`. */
export function registerOffset(top: number, index: number): number {
  return CPU.x87Registers + ((top + index) & 7) * REGISTER_BYTES;
}

function readRegister(view: DataView, offset: number): Float80 {
  const head = view.getUint16(offset + 8, true);
  return float80((head & 0x8000) !== 0, head & EXPONENT_MAX, view.getBigUint64(offset, true));
}

/**
 * The full tag word (SDM vol. 1 §8.1.7). The state block holds only whether a register is empty (3) or not (anything
 * else); like the processor, the rest is worked out from the contents when the word is asked for.
 */
export function fullTagWord(view: DataView): number {
  const held = view.getUint16(CPU.x87Tag, true);
  let tags = 0;
  for (let register = 0; register < 8; register++) {
    let tag = (held >> (register * 2)) & 3;
    if (tag !== TAG_EMPTY) {
      const value = readRegister(view, CPU.x87Registers + register * REGISTER_BYTES);
      tag = isZero(value) ? 1 : value.exponent === 0 || value.exponent === EXPONENT_MAX || isUnsupported(value) ? 2 : 0;
    }
    tags |= tag << (register * 2);
  }
  return tags;
}

/**
 * One instruction's view of the stack. Registers are written at once; TOP, tags and status with `commit`, so everything
 * that may fault comes before the first `set`.
 */
export class Fpu {
  readonly view: DataView;
  readonly env: FloatEnvironment;
  private top: number;
  private tags: number;
  private status: number;

  /** @param rounding instead of the control word's */
  constructor(view: DataView, rounding?: number) {
    this.view = view;
    this.env = new FloatEnvironment(view.getUint16(CPU.x87Control, true), rounding);
    this.status = view.getUint16(CPU.x87Status, true);
    this.tags = view.getUint16(CPU.x87Tag, true);
    this.top = (this.status >> TOP_SHIFT) & 7;
  }

  isEmpty(index: number): boolean {
    return ((this.tags >> (((this.top + index) & 7) * 2)) & 3) === TAG_EMPTY;
  }

  get(index: number): Float80 {
    return readRegister(this.view, registerOffset(this.top, index));
  }

  set(index: number, value: Float80): void {
    const offset = registerOffset(this.top, index);
    this.view.setBigUint64(offset, value.significand, true);
    this.view.setUint16(offset + 8, (value.negative ? 0x8000 : 0) | value.exponent, true);
    this.tags &= ~(TAG_EMPTY << (((this.top + index) & 7) * 2));
  }

  free(index: number): void {
    this.tags |= TAG_EMPTY << (((this.top + index) & 7) * 2);
  }

  rotate(distance: number): void {
    this.top = (this.top + distance) & 7;
  }

  pop(): void {
    this.free(0);
    this.rotate(1);
  }

  push(value: Float80): void {
    this.rotate(-1);
    this.set(0, value);
  }

  /** True, and a stack underflow reported, when one of the registers is empty (SDM vol. 1 §8.5.1.1). */
  underflows(...indexes: number[]): boolean {
    if (!indexes.some((index) => this.isEmpty(index))) return false;
    this.env.signal(Exception.IE);
    this.status |= Status.SF;
    return true;
  }

  /** True, and a stack overflow reported, when a push would overwrite a register. */
  overflows(): boolean {
    if (this.isEmpty(7)) return false;
    this.env.signal(Exception.IE);
    this.status |= Status.SF;
    this.env.roundedUp = true;
    return true;
  }

  /** Pushes what `value` gives, or the indefinite after a stack overflow; unless an unmasked exception forbids. */
  pushResult(value: () => Float80): void {
    const result = this.overflows() ? INDEFINITE : value();
    if (!this.env.aborted) this.push(result);
    this.commit();
  }

  /** For the few instructions that leave C1 alone. */
  keepCondition1(): void {
    this.env.roundedUp = (this.status & Condition.C1) !== 0;
  }

  /** Writes back; `conditions` replaces those of C0, C2 and C3 in `which`. C1 tells of rounding and of stack overflow. */
  commit(conditions = 0, which = 0): void {
    let status = (this.status & ~(Status.TOP | Condition.C1)) | this.env.raised | (this.top << TOP_SHIFT);
    status = (status & ~which) | conditions;
    if (this.env.roundedUp) status |= Condition.C1;
    this.view.setUint16(CPU.x87Status, withSummary(status, this.view.getUint16(CPU.x87Control, true)), true);
    this.view.setUint16(CPU.x87Tag, this.tags, true);
  }
}
