import type { ModuleBuilder } from '@hanok/wasm';
import type { Value, X87Quick } from '@hanok/x86';
import { defineDivideWide } from '../../float/arithmetic.ts';
import { DOUBLE, Rounding, shiftRightSticky, SINGLE } from '../../float/format.ts';
import { type Defined, defineFunction, type FunctionWriter } from '../../float/function-writer.ts';
import { roundShift } from '../../float/round.ts';
import { CPU } from '../../layout.ts';
import { add, divide, divideReversed, multiply, type Operation, subtract, subtractReversed } from './arithmetic.ts';
import { x87QuickParameters } from './names.ts';
import { BIAS, exponentOf, fromInteger, fromMemory, isPlain, isZero, narrow, signOfExtended } from './numbers.ts';
import { C0, C3, type Extended, type Rounding as Rounded, Stack } from './stack.ts';

const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_FIXED = 0x40;
const EXCEPTION_FLAGS = 0x3f;

/** Writes the functions of the ordinary cases: each gives 0 and has changed nothing where its case is another. */
class QuickFunctions {
  readonly indices = new Map<X87Quick, number>();
  readonly #module: ModuleBuilder;

  constructor(module: ModuleBuilder) {
    this.#module = module;
  }

  /** `build` returns whether the case is ordinary, and what to do then; `act` gives the function's result, 1 by default. */
  define(name: X87Quick, build: (e: FunctionWriter, stack: Stack, ...parameters: Value[]) => { holds: Value; act: () => Value | void }): void {
    const { index } = defineFunction(this.#module, name, x87QuickParameters(name).map(() => 'i64' as const), 'i32', (e, ...parameters) => {
      const stack = new Stack(e);
      const { holds, act } = build(e, stack, ...parameters);
      const result = e.variable(e.constant32(0));
      e.if(e.both(stack.isReady, holds), () => result.set(act() ?? e.constant32(1)));
      return result.get();
    });
    this.indices.set(name, index);
  }

  load(name: X87Quick, build: (e: FunctionWriter, ...parameters: Value[]) => { value: Extended; holds: Value; data?: Value }): void {
    this.define(name, (e, stack, instruction, ...parameters) => {
      const { value, holds, data } = build(e, ...parameters);
      const above = e.constant(-1);
      return {
        holds: e.both(holds!, stack.isEmpty(above)),
        act: () => {
          stack.record(instruction!, data);
          stack.set(above, value);
          stack.commit({ move: above, filled: above });
        },
      };
    });
  }
}

function defineLoads(functions: QuickFunctions): void {
  for (const [bits, format] of [[32, SINGLE], [64, DOUBLE]] as const) {
    functions.load(`load.${bits}`, (e, raw, data) => ({ ...fromMemory(e, raw!, format.bits), data: data! }));
  }
  functions.load('load.integer', (e, value, data) => ({ value: fromInteger(e, value!), holds: e.constant32(1), data: data! }));
  functions.load('load.extended', (e, significand, head, data) => ({ value: { significand: significand!, head: head! }, holds: e.constant32(1), data: data! }));
  functions.load('load.one', (e) => ({ value: { significand: e.constant(1n << 63n), head: e.constant(BIAS) }, holds: e.constant32(1) }));
  functions.load('load.zero', (e) => ({ value: { significand: e.constant(0), head: e.constant(0) }, holds: e.constant32(1) }));
  functions.define('load.register', (e, stack, instruction, index) => {
    const above = e.constant(-1);
    return {
      holds: e.both(e.eqz(stack.isEmpty(index!)), stack.isEmpty(above)),
      act: () => {
        const value = stack.get(index!);
        stack.record(instruction!);
        stack.set(above, value);
        stack.commit({ move: above, filled: above });
      },
    };
  });
}

function defineOperation(functions: QuickFunctions, name: 'add' | 'mul' | 'sub' | 'subr' | 'div' | 'divr', operation: Operation): void {
  functions.define(`${name}.register`, (e, stack, instruction, destination, source, pops) => {
    const { value, holds, rounding } = operation(e, stack.get(destination!), stack.get(source!));
    const filled = e.eqz(e.either(stack.isEmpty(destination!), stack.isEmpty(source!)));
    return {
      holds: stack.all(holds, filled, stack.roundsOrdinarily),
      act: () => {
        stack.record(instruction!);
        stack.set(destination!, value);
        e.if(e.nez(pops!), () => stack.commit({ move: pops!, freed: [e.constant(0)], rounding }), () => stack.commit({ rounding }));
      },
    };
  });
  for (const bits of [0, 32, 64] as const) {
    functions.define(`${name}.${bits}`, (e, stack, instruction, raw, data) => {
      const first = e.constant(0);
      const operand = fromMemory(e, raw!, bits);
      const { value, holds, rounding } = operation(e, stack.get(first), operand.value);
      return {
        holds: stack.all(holds, operand.holds, e.eqz(stack.isEmpty(first)), stack.roundsOrdinarily),
        act: () => {
          stack.record(instruction!, data!);
          stack.set(first, value);
          stack.commit({ rounding });
        },
      };
    });
  }
}

/** C0, C2 and C3 for two plain numbers. */
function order(e: FunctionWriter, a: Extended, b: Extended): { less: Value; equal: Value } {
  const zeros = e.both(isZero(e, a), isZero(e, b));
  const [signA, signB] = [e.nez(signOfExtended(e, a)), e.nez(signOfExtended(e, b))];
  const [exponentA, exponentB] = [exponentOf(e, a), exponentOf(e, b)];
  const sameExponent = e.eq(exponentA, exponentB);
  const below = e.either(e.ltU(exponentA, exponentB), e.both(sameExponent, e.ltU(a.significand, b.significand)));
  const same = e.both(sameExponent, e.eq(a.significand, b.significand));
  const sameSign = e.op('i32.eq', signA, signB);
  const equal = e.either(zeros, e.both(sameSign, same));
  const less = e.select(sameSign, e.op('i32.xor', below, signA), signA);
  return { less: e.both(less, e.eqz(equal)), equal };
}

function commitPops(e: FunctionWriter, stack: Stack, pops: Value, changes: { order?: Value; rounding?: Rounded }): void {
  const first = e.constant(0);
  e.if(
    e.eqz(pops),
    () => stack.commit(changes),
    () => e.if(
      e.eq(pops, e.constant(1)),
      () => stack.commit({ ...changes, move: pops, freed: [first] }),
      () => stack.commit({ ...changes, move: pops, freed: [first, e.constant(1)] }),
    ),
  );
}

function defineComparisons(functions: QuickFunctions): void {
  const finish = (e: FunctionWriter, stack: Stack, other: Extended, pops: Value) => {
    const { less, equal } = order(e, stack.get(e.constant(0)), other);
    const conditions = e.select(equal, e.constant(C3), e.select(less, e.constant(C0), e.constant(0)));
    commitPops(e, stack, pops, { order: conditions });
  };
  const plain = (e: FunctionWriter, stack: Stack) => e.both(e.eqz(stack.isEmpty(e.constant(0))), isPlain(e, stack.get(e.constant(0))));
  functions.define('compare.register', (e, stack, instruction, index, pops) => ({
    holds: stack.all(plain(e, stack), e.eqz(stack.isEmpty(index!)), isPlain(e, stack.get(index!))),
    act: () => {
      stack.record(instruction!);
      finish(e, stack, stack.get(index!), pops!);
    },
  }));
  for (const bits of [0, 32, 64] as const) {
    functions.define(`compare.${bits}`, (e, stack, instruction, raw, pops, data) => {
      const operand = fromMemory(e, raw!, bits);
      return {
        holds: e.both(plain(e, stack), operand.holds),
        act: () => {
          stack.record(instruction!, data!);
          finish(e, stack, operand.value, pops!);
        },
      };
    });
  }
  functions.define('order', (e, stack, instruction, index, pops) => ({
    holds: stack.all(plain(e, stack), e.eqz(stack.isEmpty(index!)), isPlain(e, stack.get(index!))),
    act: () => {
      const { less, equal } = order(e, stack.get(e.constant(0)), stack.get(index!));
      stack.record(instruction!);
      commitPops(e, stack, pops!, {});
      return e.either(e.constant32(8), e.either(equal, e.op('i32.shl', less, e.constant32(2))));
    },
  }));
}

/** Stores first find out what to store; memory may still fault before `stored` does the rest. */
function defineStores(functions: QuickFunctions): void {
  const first = (e: FunctionWriter) => e.constant(0);
  const peek = (e: FunctionWriter, stack: Stack, holds: Value, raw: Value, rounding?: Rounded, head?: Value) => ({
    holds: e.both(e.eqz(stack.isEmpty(first(e))), holds),
    act: () => {
      e.storeState('i64.store', CPU.result, raw);
      const bits = rounding && e.op('i32.or', rounding.isInexact, e.op('i32.shl', rounding.isUp, e.constant32(1)));
      e.storeState('i64.store', CPU.x87StoredRounding, bits ? e.widen(bits) : e.constant(0));
      if (head) e.storeState('i64.store', CPU.x87StoredHead, head);
    },
  });
  for (const [bits, format] of [[32, SINGLE], [64, DOUBLE]] as const) {
    functions.define(`store.${bits}`, (e, stack) => {
      const value = stack.get(first(e));
      const { raw, holds, rounding } = narrow(e, format, value);
      return peek(e, stack, stack.all(isPlain(e, value), holds, stack.masksPrecision, e.eq(stack.roundingControl, e.constant(Rounding.Nearest))), raw, rounding);
    });
  }
  functions.define('store.extended', (e, stack) => {
    const { significand, head } = stack.get(first(e));
    return peek(e, stack, e.constant32(1), significand, undefined, head);
  });
  functions.define('store.integer', (e, stack, bits, truncates) => {
    const value = stack.get(first(e));
    const { raw, holds, rounding } = toInteger(e, value, bits!, e.select(e.nez(truncates!), e.constant(Rounding.Zero), stack.roundingControl));
    return peek(e, stack, stack.all(isPlain(e, value), holds, stack.masksPrecision), raw, rounding);
  });
  functions.define('stored', (e, stack, instruction, data, pops) => ({
    holds: e.constant32(1),
    act: () => {
      stack.record(instruction!, data!);
      const bits = e.loadState('i64.load', CPU.x87StoredRounding);
      commitPops(e, stack, pops!, { rounding: { isInexact: e.bit(bits, 0), isUp: e.bit(bits, 1) } });
    },
  }));
}

/** A plain number as a signed integer of `bits`, by a rounding control; `holds` where it fits. */
function toInteger(e: FunctionWriter, v: Extended, bits: Value, control: Value): { raw: Value; holds: Value; rounding: Rounded } {
  const exponent = e.sub(exponentOf(e, v), e.constant(BIAS));
  const sign = signOfExtended(e, v);
  const isSmall = e.ltS(exponent, e.constant(1));
  const nearest = e.select(isSmall, shiftRightSticky(e, v.significand, e.select(isSmall, e.sub(e.constant(1), exponent), e.constant(0))), v.significand);
  const drop = e.select(isSmall, e.constant(62), e.sub(e.constant(63), exponent));
  const { quotient, isInexact } = roundShift(e, nearest, drop, sign, control);
  const isUp = e.both(isInexact, e.ne(quotient, e.shrU(nearest, drop)));
  const limit = e.shl(e.constant(1), e.sub(bits, e.constant(1)));
  const fits = e.both(e.ltS(exponent, e.constant(63)), e.ltU(quotient, limit));
  const isNothing = isZero(e, v);
  return {
    raw: e.select(isNothing, e.constant(0), e.select(e.nez(sign), e.sub(e.constant(0), quotient), quotient)),
    holds: e.either(isNothing, fits),
    rounding: { isInexact: e.both(isInexact, e.eqz(isNothing)), isUp: e.both(isUp, e.eqz(isNothing)) },
  };
}

function defineMoves(functions: QuickFunctions): void {
  const filled = (e: FunctionWriter, stack: Stack, ...indices: Value[]) => stack.all(...indices.map((index) => e.eqz(stack.isEmpty(index))));
  functions.define('store.register', (e, stack, instruction, index, pops) => ({
    holds: filled(e, stack, e.constant(0)),
    act: () => {
      stack.record(instruction!);
      stack.set(index!, stack.get(e.constant(0)));
      e.if(
        e.eqz(pops!),
        () => stack.commit({ filled: index! }),
        // ST(0) itself is filled, and then freed.
        () => stack.commit({ move: pops!, filled: index!, freed: [e.constant(0)] }),
      );
    },
  }));
  functions.define('exchange', (e, stack, instruction, index) => ({
    holds: filled(e, stack, e.constant(0), index!),
    act: () => {
      const [a, b] = [stack.get(e.constant(0)), stack.get(index!)];
      stack.record(instruction!);
      stack.set(e.constant(0), b);
      stack.set(index!, a);
      stack.commit({});
    },
  }));
  functions.define('sign', (e, stack, instruction, clears) => ({
    holds: filled(e, stack, e.constant(0)),
    act: () => {
      const { head, significand } = stack.get(e.constant(0));
      const flipped = e.select(e.nez(clears!), e.and(head, e.constant(0x7fff)), e.xor(head, e.constant(0x8000)));
      stack.record(instruction!);
      stack.set(e.constant(0), { head: flipped, significand });
      stack.commit({});
    },
  }));
  functions.define('move', (e, stack, instruction, index, condition) => ({
    holds: filled(e, stack, e.constant(0), index!),
    act: () => {
      stack.record(instruction!);
      e.if(e.nez(condition!), () => stack.set(e.constant(0), stack.get(index!)));
    },
  }));
}

function defineControl(functions: QuickFunctions): void {
  functions.define('control', (e, stack) => ({ holds: e.constant32(1), act: () => e.storeState('i64.store', CPU.result, e.zeroExtend(stack.words, 16)) }));
  functions.define('status', (e, stack) => ({ holds: e.constant32(1), act: () => e.storeState('i64.store', CPU.result, stack.status) }));
  functions.define('set-control', (e, stack, value) => {
    const control = e.or(e.and(value!, e.constant(CONTROL_WRITABLE)), e.constant(CONTROL_FIXED));
    const pending = e.and(e.and(e.shrU(stack.words, e.constant(16)), e.not(control)), e.constant(EXCEPTION_FLAGS));
    return { holds: e.eqz(pending), act: () => e.storeState('i64.store16', CPU.x87Control, control) };
  });
}

/** Defines all of them and gives the functions' indices. */
export function defineX87Quick(module: ModuleBuilder): ReadonlyMap<X87Quick, number> {
  const functions = new QuickFunctions(module);
  const divideWide: Defined = defineDivideWide(module);
  defineLoads(functions);
  const operations = { add, sub: subtract, subr: subtractReversed, mul: multiply, div: divide(divideWide), divr: divideReversed(divideWide) };
  for (const name of Object.keys(operations) as (keyof typeof operations)[]) defineOperation(functions, name, operations[name]);
  defineComparisons(functions);
  defineStores(functions);
  defineMoves(functions);
  defineControl(functions);
  return functions.indices;
}
