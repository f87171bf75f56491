import type { ModuleBuilder } from '@hanok/wasm';
import type { Value } from '@hanok/x86';
import { type Format, Flag, isDenormal, isNan, isSignaling, raise, raiseIf, withDaz } from './format.ts';
import { type Defined, defineFunction, type FunctionWriter } from './function-writer.ts';

/** What comparing raises: IE for signaling NaNs, for all NaNs when `signals`; DE where neither is a NaN. */
function raiseComparison(e: FunctionWriter, f: Format, x: Value, y: Value, unordered: Value, signals: Value): void {
  e.if(
    unordered,
    () => raiseIf(e, e.either(signals, e.either(isSignaling(e, f, x), isSignaling(e, f, y))), Flag.IE),
    () => raiseIf(e, e.either(isDenormal(e, f, x), isDenormal(e, f, y)), Flag.DE),
  );
}

interface Comparison {
  readonly x: Value;
  readonly y: Value;
  readonly less: Value;
  readonly equal: Value;
  readonly unordered: Value;
}

function compare(e: FunctionWriter, f: Format, a: Value, b: Value): Comparison {
  const [x, y] = [withDaz(e, f, a), withDaz(e, f, b)];
  const float = (v: Value) => (f.bits === 32 ? e.op('f32.reinterpret_i32', e.narrow(v)) : e.op('f64.reinterpret_i64', v));
  const [p, q] = [float(x), float(y)];
  return { x, y, less: e.op(`${f.name}.lt`, p, q), equal: e.op(`${f.name}.eq`, p, q), unordered: e.either(isNan(e, f, x), isNan(e, f, y)) };
}

/** Defines (cpu, a, b, predicate 0-7) → a mask of the lane's bits (SDM vol. 2A, "CMPPD", table 3-1). */
export function defineCompare(module: ModuleBuilder, f: Format): Defined {
  return defineFunction(module, `compare ${f.name}`, ['i64', 'i64', 'i64'], 'i64', (e, a, b, predicate) => {
    const { x, y, less, equal, unordered } = compare(e, f, a, b);
    const kind = e.and(predicate, e.constant(3));
    // LT and LE, and what negates them, signal.
    raiseComparison(e, f, x, y, unordered, e.ltU(e.sub(kind, e.constant(1)), e.constant(2)));
    const is = (value: number) => e.eq(kind, e.constant(value));
    const holds = e.select(is(0), equal, e.select(is(1), less, e.select(is(2), e.either(less, equal), unordered)));
    return e.zeroExtend(e.sub(e.constant(0), e.widen(e.op('i32.xor', holds, e.bit(predicate, 2)))), f.bits);
  });
}

/** Defines (cpu, a, b) → ZF, PF and CF at their places in RFLAGS, as COMISD and UCOMISD (`quiet`) give them. */
export function defineOrder(module: ModuleBuilder, f: Format, quiet: boolean): Defined {
  return defineFunction(module, `${quiet ? 'quiet order' : 'order'} ${f.name}`, ['i64', 'i64'], 'i64', (e, a, b) => {
    const { x, y, less, equal, unordered } = compare(e, f, a, b);
    raiseComparison(e, f, x, y, unordered, e.constant32(quiet ? 0 : 1));
    const ordered = e.or(e.widen(less), e.shl(e.widen(equal), e.constant(6)));
    return e.select(unordered, e.constant(0x45), ordered);
  });
}

/** Defines (cpu, a, b) → MIN or MAX: the second operand where neither is less or one is a NaN, which is invalid of either kind. */
export function defineExtremum(module: ModuleBuilder, f: Format, isMax: boolean): Defined {
  return defineFunction(module, `${isMax ? 'max' : 'min'} ${f.name}`, ['i64', 'i64'], 'i64', (e, a, b) => {
    const { x, y, less } = isMax ? swapped(compare(e, f, b, a)) : compare(e, f, a, b);
    e.if(
      e.either(isNan(e, f, x), isNan(e, f, y)),
      () => raise(e, Flag.IE),
      () => raiseIf(e, e.either(isDenormal(e, f, x), isDenormal(e, f, y)), Flag.DE),
    );
    return e.select(less, x, y);
  });
}

const swapped = ({ x, y, ...rest }: Comparison): Comparison => ({ ...rest, x: y, y: x });
