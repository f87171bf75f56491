import type { Value, Variable, X87Quick } from '@hanok/x86';
import type { Emitter } from '../emitter.ts';
import { DOUBLE, SINGLE } from '../float/format.ts';
import type { Lowering, Node } from '../ir.ts';
import { CPU } from '../layout.ts';
import { addMiddle, type MiddleOperation, multiplyMiddle, subtractMiddle } from '../x87/quick/arithmetic.ts';
import { orderConditions, orderFlags, orderOf } from '../x87/quick/comparisons.ts';
import { areMiddle, BIAS, EMPTY_BIT, fromInteger, fromMemory, isPlain, narrow } from '../x87/quick/numbers.ts';
import type { Extended } from '../x87/quick/stack.ts';
import { C1, ORDER, REGISTER_BYTES, STATUS_SHIFT, TAG_EMPTY, TOP, TWICE_TOP_MASK, TWICE_TOP_SHIFT } from '../x87/quick/words.ts';
import { loadIsOrdinary } from './load-x87.ts';
import type { TemplateCode } from './template-code.ts';
import { LOCAL } from './virtual-locals.ts';

/** A case in place: where it holds (i32), what it does, and the result (i32, not 0) where that is not 1. */
interface InPlace {
  readonly holds: Value;
  act(): Value | void;
}

/** Which registers (by their index before) an instruction writes, and how often it pops: -1 is a push. */
interface Changes {
  readonly written: readonly number[];
  readonly pops: number;
}

const FORMATS = { 32: SINGLE, 64: DOUBLE } as const;
const MIDDLE: Readonly<Record<string, MiddleOperation>> = { add: addMiddle, sub: subtractMiddle, subr: (e, a, b) => subtractMiddle(e, b, a), mul: multiplyMiddle };
const POPS_OPERAND: Readonly<Record<string, number>> = { compare: 2, order: 2, stored: 2 };

/**
 * Ordinary x87 instructions in a region. The registers are locals, counted from where TOP was at the region's entry, and marked where
 * they are empty; like those of other registers they always equal the state block. What is not quite ordinary calls the function of the
 * interpreter's module, and loads what that has changed.
 */
export class RegionX87 {
  readonly #e: Emitter;
  readonly #call: (name: X87Quick, operands: readonly Value[]) => Value;
  #stackMove = 0;
  /** What a store left: whether it was done in place, what to store, and whether it was rounded up. */
  #stored: { wasInPlace: Value; value: Variable; head: Variable; isUp: Value } | undefined;

  constructor(e: Emitter, call: (name: X87Quick, operands: readonly Value[]) => Value) {
    this.#e = e;
    this.#call = call;
  }

  /** By how much the instruction moves TOP. */
  get stackMove(): number {
    return this.#stackMove;
  }

  #local(type: 'i32' | 'i64', name: number): Value {
    return this.#e.node(type, 'effect', [], (l) => l.code.localGet(name));
  }
  get words(): Value {
    return this.#local('i64', LOCAL.x87Words);
  }
  #get(index: number): Extended {
    return { significand: this.#local('i64', LOCAL.x87Significand + (index & 7)), head: this.#local('i64', LOCAL.x87Head + (index & 7)) };
  }
  #isFilled({ head }: Extended): Value {
    return this.#e.ltU(head, this.#e.constant(EMPTY_BIT));
  }
  #isEmpty(index: number): Value {
    return this.#e.eqz(this.#isFilled(this.#get(index)));
  }
  #ordinaryAnd(...conditions: Value[]): Value {
    return conditions.reduce((a, b) => this.#e.both(a, b), this.#local('i32', LOCAL.x87IsOrdinary));
  }

  /** Twice a register's number. */
  #place(index: number): Value {
    const e = this.#e;
    return e.node('i32', 'effect', [], (l) => (l.code.localGet(LOCAL.x87Top) as TemplateCode).stackPlace(index).op('i32.add').i32(TWICE_TOP_MASK).op('i32.and'));
  }
  #pushAddress(l: Lowering, place: Value): void {
    l.code.localGet(l.cpu);
    l.push(place).code.i32(Math.log2(REGISTER_BYTES / 2)).op('i32.shl').op('i32.add');
  }
  #set(index: number, { head, significand }: Extended, place = this.#place(index)): void {
    const [toSignificand, toHead] = [LOCAL.x87Significand + (index & 7), LOCAL.x87Head + (index & 7)];
    this.#e.action([head, significand, place], (l) => {
      l.push(significand).push(head).code.localSet(toHead).localSet(toSignificand);
      this.#pushAddress(l, place);
      l.code.localGet(toSignificand).memory('i64.store', CPU.x87Registers);
      this.#pushAddress(l, place);
      l.code.localGet(toHead).memory('i64.store16', CPU.x87Registers + 8);
    });
  }
  #empty(index: number): void {
    const local = LOCAL.x87Head + (index & 7);
    this.#e.action([], (l) => l.code.localGet(local).i64(EMPTY_BIT).op('i64.or').localSet(local));
  }
  #setWords(words: Value): void {
    this.#e.action([words], (l) => l.push(words).code.localSet(LOCAL.x87Words).localGet(l.cpu).localGet(LOCAL.x87Words).memory('i64.store', CPU.x87Control));
  }

  /** TOP and tags after pops or a push, and after a register was filled. */
  #commit(pops: number, filled?: Value, order?: Value): void {
    const e = this.#e;
    const tag = (place: Value) => e.shl(e.constant(TAG_EMPTY), e.widen(place));
    let { words } = this;
    if (order) words = e.or(e.and(words, e.constant(~ORDER)), e.shl(order, e.constant(STATUS_SHIFT)));
    if (filled) words = e.and(words, e.not(tag(filled)));
    for (let index = 0; index < pops; index++) words = e.or(words, tag(this.#place(index)));
    if (pops !== 0) words = e.or(e.and(words, e.constant(~TOP)), e.shl(e.widen(this.#place(pops)), e.constant(TWICE_TOP_SHIFT)));
    if (order || filled || pops !== 0) this.#setWords(words);
    for (let index = 0; index < pops; index++) this.#empty(index);
  }

  #record(instruction: Value, data?: Value): void {
    this.#e.storeState('i64.store', CPU.x87InstructionPointer, instruction);
    if (data) this.#e.storeState('i64.store', CPU.x87DataPointer, data);
  }
  #setCondition1(isUp?: Value): void {
    const e = this.#e;
    e.storeState('i64.store', CPU.x87Condition1, isUp ? e.select(isUp, e.constant(C1), e.constant(0)) : e.constant(0));
  }

  /** Does an ordinary case; gives 0 where it is none. */
  quick(name: X87Quick, operands: readonly Value[]): Value {
    const changes = changesOf(name, operands);
    if (changes.pops !== 0) this.#stackMove = changes.pops;
    if (name === 'stored') return this.#finishStore(operands);
    const inPlace = this.#inPlace(name, operands);
    if (!inPlace) return this.#callFunction(name, operands, changes);
    const e = this.#e;
    const done = e.variable(e.constant32(1));
    e.if(
      e.eqz(inPlace.holds),
      () => {
        done.set(this.#callFunction(name, operands, changes));
        this.#takeStored();
      },
      () => {
        const result = inPlace.act();
        if (result) done.set(result);
      },
      true,
    );
    return done.get();
  }

  #callFunction(name: X87Quick, operands: readonly Value[], { written, pops }: Changes): Value {
    const e = this.#e;
    const done = this.#call(name, operands);
    if (name === 'control' || name === 'status') return done;
    e.action([], (l) => {
      l.code.localGet(l.cpu).memory('i64.load', CPU.x87Control).localSet(LOCAL.x87Words);
      loadIsOrdinary(l.code);
    });
    for (const index of written) {
      const place = this.#place(index);
      e.action([place], (l) => {
        this.#pushAddress(l, place);
        l.code.memory('i64.load', CPU.x87Registers).localSet(LOCAL.x87Significand + (index & 7));
        this.#pushAddress(l, place);
        l.code.memory('i64.load16_u', CPU.x87Registers + 8).localSet(LOCAL.x87Head + (index & 7));
      });
    }
    for (let index = 0; index < pops; index++) this.#empty(index);
    return done;
  }

  #inPlace(name: X87Quick, operands: readonly Value[]): InPlace | undefined {
    const [family, form] = name.split('.') as [string, string | undefined];
    if (family in MIDDLE) return this.#arithmetic(MIDDLE[family]!, form!, operands);
    if (family === 'load') return this.#load(form!, operands);
    if (family === 'compare' || family === 'order') return this.#compare(form, operands);
    if (family === 'store') return form === 'register' ? this.#storeRegister(operands) : this.#store(form!);
    if (family === 'exchange') return this.#exchange(operands);
    return family === 'sign' ? this.#sign(operands) : undefined;
  }

  #arithmetic(operation: MiddleOperation, form: string, [instruction, first, second]: readonly Value[]): InPlace {
    const e = this.#e;
    const isRegister = form === 'register' || form === 'pop';
    const destination = isRegister ? numberOf(first!) : 0;
    const { value, isPlain: isKnown } = isRegister ? { value: this.#get(numberOf(second!)), isPlain: undefined } : fromMemory(e, first!, Number(form) as 0 | 32 | 64);
    const a = this.#get(destination);
    const middle = areMiddle(e, a, value);
    return {
      holds: isKnown ? this.#ordinaryAnd(isKnown, middle) : this.#ordinaryAnd(middle),
      act: () => {
        const { value: result, rounding } = operation(e, a, value);
        this.#record(instruction!, isRegister ? undefined : second);
        this.#set(destination, result);
        this.#commit(form === 'pop' ? 1 : 0);
        this.#setCondition1(rounding.isUp);
      },
    };
  }

  #load(form: string, [instruction, first, second, third]: readonly Value[]): InPlace {
    const e = this.#e;
    const constant = (head: number, significand: bigint) => ({ value: { head: e.constant(head), significand: e.constant(significand) }, holds: [], data: undefined });
    const loads: Record<string, () => { value: Extended; holds: readonly Value[]; data?: Value | undefined }> = {
      one: () => constant(BIAS, 1n << 63n),
      zero: () => constant(0, 0n),
      integer: () => ({ value: fromInteger(e, first!), holds: [], data: second }),
      extended: () => ({ value: { significand: first!, head: second! }, holds: [], data: third }),
      register: () => {
        const value = this.#get(numberOf(first!));
        return { value, holds: [this.#isFilled(value)] };
      },
    };
    const float = () => {
      const { value, isPlain: isKnown } = fromMemory(e, first!, Number(form) as 32 | 64);
      return { value, holds: [isKnown], data: second };
    };
    const { value, holds, data } = (loads[form] ?? float)();
    return {
      holds: this.#ordinaryAnd(this.#isEmpty(-1), ...holds),
      act: () => {
        this.#record(instruction!, data);
        const place = this.#place(-1);
        this.#set(-1, value, place);
        this.#commit(-1, place);
        this.#setCondition1();
      },
    };
  }

  #compare(form: string | undefined, [instruction, other, pops, data]: readonly Value[]): InPlace {
    const e = this.#e;
    const isRegister = form === undefined || form === 'register';
    const { value, isPlain: isKnown } = isRegister ? { value: this.#get(numberOf(other!)), isPlain: undefined } : fromMemory(e, other!, Number(form) as 0 | 32 | 64);
    const a = this.#get(0);
    return {
      holds: this.#ordinaryAnd(isPlain(e, a), isKnown ?? isPlain(e, value)),
      act: () => {
        const order = orderOf(e, a, value);
        this.#record(instruction!, data);
        this.#commit(numberOf(pops!), undefined, form === undefined ? undefined : orderConditions(e, order));
        this.#setCondition1();
        return form === undefined ? orderFlags(e, order) : undefined;
      },
    };
  }

  #storeRegister([instruction, destination, pops]: readonly Value[]): InPlace {
    const value = this.#get(0);
    const index = numberOf(destination!);
    return {
      holds: this.#ordinaryAnd(this.#isFilled(value)),
      act: () => {
        this.#record(instruction!);
        const place = index === 0 ? undefined : this.#place(index);
        if (place) this.#set(index, value, place);
        this.#commit(numberOf(pops!), place);
        this.#setCondition1();
      },
    };
  }

  #exchange([instruction, other]: readonly Value[]): InPlace {
    const index = numberOf(other!);
    const [a, b] = [this.#get(0), this.#get(index)];
    return {
      holds: this.#ordinaryAnd(this.#isFilled(a), this.#isFilled(b)),
      act: () => {
        this.#record(instruction!);
        this.#set(0, b);
        this.#set(index, a);
        this.#setCondition1();
      },
    };
  }

  #sign([instruction, clears]: readonly Value[]): InPlace {
    const e = this.#e;
    const { head, significand } = this.#get(0);
    return {
      holds: this.#ordinaryAnd(this.#isFilled({ head, significand })),
      act: () => {
        this.#record(instruction!);
        this.#set(0, { head: numberOf(clears!) ? e.and(head, e.constant(0x7fff)) : e.xor(head, e.constant(0x8000)), significand });
        this.#setCondition1();
      },
    };
  }

  /** What to store is worked out before memory is looked at. */
  #store(form: string): InPlace | undefined {
    if (form === 'integer') return undefined;
    const e = this.#e;
    const value = this.#get(0);
    const extended = () => ({ raw: value.significand, fits: this.#isFilled(value), rounding: { isUp: e.constant32(0) } });
    const { raw, fits, rounding } = form === 'extended' ? extended() : narrow(e, FORMATS[Number(form) as 32 | 64], value);
    const holds = this.#ordinaryAnd(fits);
    this.#stored = { wasInPlace: holds, value: e.variable(raw), head: e.variable(value.head), isUp: rounding.isUp };
    return { holds, act: () => undefined };
  }
  /** What the function of a store has left. */
  #takeStored(): void {
    const e = this.#e;
    this.#stored?.value.set(e.loadState('i64.load', CPU.result));
    this.#stored?.head.set(e.loadState('i64.load', CPU.x87StoredHead));
  }
  /** What is to be stored; undefined where the function of a store says it. */
  stored(part: 'value' | 'head'): Value | undefined {
    return this.#stored?.[part].get();
  }
  #finishStore(operands: readonly Value[]): Value {
    const e = this.#e;
    const stored = this.#stored;
    const finish = () => void this.#callFunction('stored', operands, changesOf('stored', operands));
    if (!stored) finish();
    else {
      const [instruction, data, pops] = operands;
      e.if(
        e.eqz(stored.wasInPlace),
        finish,
        () => {
          this.#record(instruction!, data);
          this.#commit(numberOf(pops!));
          this.#setCondition1(stored.isUp);
        },
        true,
      );
    }
    return e.constant32(1);
  }
}

/** The value of an operand that is known. */
const numberOf = (operand: Value): number => Number((operand as Node).constant);

function changesOf(name: X87Quick, operands: readonly Value[]): Changes {
  const [family, form] = name.split('.') as [string, string | undefined];
  if (family === 'load') return { written: [-1], pops: -1 };
  if (family === 'store' && form === 'register') return { written: [numberOf(operands[1]!)], pops: numberOf(operands[2]!) };
  if (family in POPS_OPERAND) return { written: [], pops: numberOf(operands[POPS_OPERAND[family]!]!) };
  if (family === 'exchange') return { written: [0, numberOf(operands[1]!)], pops: 0 };
  if (family === 'sign' || family === 'move') return { written: [0], pops: 0 };
  if (form === 'pop' || form === 'register') return { written: [numberOf(operands[1]!)], pops: form === 'pop' ? 1 : 0 };
  return { written: /^(add|sub|mul|div)/.test(family) ? [0] : [], pops: 0 };
}
