import type { ModuleBuilder } from '@hanok/wasm';
import type { Value, X87Quick } from '@hanok/x86';
import { defineDivideWide } from '../../float/arithmetic.ts';
import { defineFunction, type FunctionWriter } from '../../float/function-writer.ts';
import { CPU } from '../../layout.ts';
import { add, divide, divideReversed, multiply, type Operation, subtract, subtractReversed } from './arithmetic.ts';
import { defineComparisons } from './comparisons.ts';
import { x87QuickParameters } from './names.ts';
import { BIAS, fromInteger, fromMemory } from './numbers.ts';
import { type Extended, Stack } from './stack.ts';
import { defineStores } from './stores.ts';

const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_FIXED = 0x40;
const EXCEPTION_FLAGS = 0x3f;

/** Writes the functions of the ordinary cases: each gives 0 and has changed nothing where its case is another. */
export class QuickFunctions {
  readonly indices = new Map<X87Quick, number>();
  readonly #module: ModuleBuilder;

  constructor(module: ModuleBuilder) {
    this.#module = module;
  }

  /** `build` first fails where the case is not ordinary; it may give the function's result (i32, not 0). */
  define(name: X87Quick, build: (e: FunctionWriter, stack: Stack, ...parameters: Value[]) => Value | void, ordinaryRounding = false): void {
    const { index } = defineFunction(this.#module, name, x87QuickParameters(name).map(() => 'i64' as const), 'i32', (e, ...parameters) =>
      build(e, new Stack(e, ordinaryRounding), ...parameters) ?? e.constant32(1));
    this.indices.set(name, index);
  }

  /** Pushes what `build` gives. */
  load(name: X87Quick, build: (e: FunctionWriter, stack: Stack, ...parameters: Value[]) => { value: Extended; data?: Value }): void {
    this.define(name, (e, stack, instruction, ...parameters) => {
      const above = e.constant(-1);
      stack.requireEmpty(above);
      const { value, data } = build(e, stack, ...parameters);
      stack.record(instruction!, data);
      stack.set(above, value);
      stack.commit({ move: above, filled: above });
    });
  }
}

function plainFromMemory(e: FunctionWriter, raw: Value, bits: 0 | 32 | 64): Extended {
  const { value, isPlain } = fromMemory(e, raw, bits);
  e.failUnless(isPlain);
  return value;
}

function defineLoads(functions: QuickFunctions): void {
  for (const bits of [32, 64] as const) functions.load(`load.${bits}`, (e, _, raw, data) => ({ value: plainFromMemory(e, raw!, bits), data: data! }));
  functions.load('load.integer', (e, _, value, data) => ({ value: fromInteger(e, value!), data: data! }));
  functions.load('load.extended', (_e, _, significand, head, data) => ({ value: { significand: significand!, head: head! }, data: data! }));
  functions.load('load.one', (e) => ({ value: { significand: e.constant(1n << 63n), head: e.constant(BIAS) } }));
  functions.load('load.zero', (e) => ({ value: { significand: e.constant(0), head: e.constant(0) } }));
  functions.load('load.register', (_e, stack, index) => {
    stack.requireFilled(index!);
    return { value: stack.get(index!) };
  });
}

function defineOperation(functions: QuickFunctions, name: 'add' | 'mul' | 'sub' | 'subr' | 'div' | 'divr', operation: Operation): void {
  for (const form of ['register', 'pop'] as const) {
    functions.define(`${name}.${form}`, (e, stack, instruction, destination, source) => {
      stack.requireFilled(destination!, source!);
      const { value, rounding } = operation(e, stack.get(destination!), stack.get(source!));
      stack.record(instruction!);
      stack.set(destination!, value);
      stack.commit(form === 'pop' ? { move: e.constant(1), freed: [e.constant(0)], rounding } : { rounding });
    }, true);
  }
  for (const bits of [0, 32, 64] as const) {
    functions.define(`${name}.${bits}`, (e, stack, instruction, raw, data) => {
      const first = e.constant(0);
      stack.requireFilled(first);
      const { value, rounding } = operation(e, stack.get(first), plainFromMemory(e, raw!, bits));
      stack.record(instruction!, data!);
      stack.set(first, value);
      stack.commit({ rounding });
    }, true);
  }
}

function defineMoves(functions: QuickFunctions): void {
  functions.define('store.register', (e, stack, instruction, index, pops) => {
    const first = e.constant(0);
    stack.requireFilled(first);
    stack.record(instruction!);
    stack.set(index!, stack.get(first));
    // ST(0) itself is filled, and then freed.
    e.if(e.eqz(pops!), () => stack.commit({ filled: index! }), () => stack.commit({ move: pops!, filled: index!, freed: [first] }));
  });
  functions.define('exchange', (e, stack, instruction, index) => {
    const first = e.constant(0);
    stack.requireFilled(first, index!);
    const [a, b] = [stack.get(first), stack.get(index!)];
    stack.record(instruction!);
    stack.set(first, b);
    stack.set(index!, a);
    stack.commit({});
  });
  functions.define('sign', (e, stack, instruction, clears) => {
    const first = e.constant(0);
    stack.requireFilled(first);
    const { head, significand } = stack.get(first);
    stack.record(instruction!);
    stack.set(first, { head: e.select(e.nez(clears!), e.and(head, e.constant(0x7fff)), e.xor(head, e.constant(0x8000))), significand });
    stack.commit({});
  });
  functions.define('move', (e, stack, instruction, index, condition) => {
    const first = e.constant(0);
    stack.requireFilled(first, index!);
    stack.record(instruction!);
    e.if(e.nez(condition!), () => stack.set(first, stack.get(index!)));
  });
}

function defineControl(functions: QuickFunctions): void {
  functions.define('control', (e, stack) => e.storeState('i64.store', CPU.result, e.zeroExtend(stack.words, 16)));
  functions.define('status', (e, stack) => e.storeState('i64.store', CPU.result, stack.status));
  functions.define('set-control', (e, stack, value) => {
    const control = e.or(e.and(value!, e.constant(CONTROL_WRITABLE)), e.constant(CONTROL_FIXED));
    const pending = e.and(e.and(e.shrU(stack.words, e.constant(16)), e.not(control)), e.constant(EXCEPTION_FLAGS));
    e.failUnless(e.eqz(pending));
    e.storeState('i64.store16', CPU.x87Control, control);
  });
}

/** Defines all of them and gives the functions' indices. */
export function defineX87Quick(module: ModuleBuilder): ReadonlyMap<X87Quick, number> {
  const functions = new QuickFunctions(module);
  const divideWide = defineDivideWide(module);
  defineLoads(functions);
  const operations = { add, sub: subtract, subr: subtractReversed, mul: multiply, div: divide(divideWide), divr: divideReversed(divideWide) };
  for (const name of Object.keys(operations) as (keyof typeof operations)[]) defineOperation(functions, name, operations[name]);
  defineComparisons(functions);
  defineStores(functions);
  defineMoves(functions);
  defineControl(functions);
  return functions.indices;
}
