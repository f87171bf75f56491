import type { Value } from '@hanok/x86';
import type { Emitter } from '../../emitter.ts';
import type { FunctionWriter } from '../../float/function-writer.ts';
import type { QuickFunctions } from './functions.ts';
import { exponentOf, fromMemory, isPlain, isZero, signOfExtended } from './numbers.ts';
import type { Extended, Stack } from './stack.ts';
import { C0, C3 } from './words.ts';

/** How two plain numbers compare. */
export interface Order {
  readonly less: Value;
  readonly equal: Value;
}
export function orderOf(e: Emitter, a: Extended, b: Extended): Order {
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

/** C0 and C3 as comparisons set them; and 8 with ZF, PF and CF. */
export const orderConditions = (e: Emitter, { less, equal }: Order): Value => e.select(equal, e.constant(C3), e.select(less, e.constant(C0), e.constant(0)));
export const orderFlags = (e: Emitter, { less, equal }: Order): Value => e.either(e.constant32(8), e.either(equal, e.op('i32.shl', less, e.constant32(2))));

function orderPlain(e: FunctionWriter, a: Extended, b: Extended): Order {
  e.failUnless(e.both(isPlain(e, a), isPlain(e, b)));
  return orderOf(e, a, b);
}

function compare(e: FunctionWriter, stack: Stack, other: Extended, pops: Value, record: () => void): void {
  const order = orderPlain(e, stack.get(e.constant(0)), other);
  record();
  stack.pop(pops, { order: orderConditions(e, order) });
}

export function defineComparisons(functions: QuickFunctions): void {
  functions.define('compare.register', (e, stack, instruction, index, pops) => {
    stack.requireFilled(e.constant(0), index!);
    compare(e, stack, stack.get(index!), pops!, () => stack.record(instruction!));
  });
  for (const bits of [0, 32, 64] as const) {
    functions.define(`compare.${bits}`, (e, stack, instruction, raw, pops, data) => {
      stack.requireFilled(e.constant(0));
      const { value, isPlain: isKnown } = fromMemory(e, raw!, bits);
      e.failUnless(isKnown);
      compare(e, stack, value, pops!, () => stack.record(instruction!, data!));
    });
  }
  functions.define('order', (e, stack, instruction, index, pops) => {
    const first = e.constant(0);
    stack.requireFilled(first, index!);
    const order = orderPlain(e, stack.get(first), stack.get(index!));
    stack.record(instruction!);
    stack.pop(pops!, {});
    return orderFlags(e, order);
  });
}
