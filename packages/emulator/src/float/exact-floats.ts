import type { ModuleBuilder } from '@hanok/wasm';
import { type ExactFloat, exactFloatType, FLOAT_FORMATS, type FloatFormat, type Value } from '@hanok/x86';
import { CPU } from '../layout.ts';
import { defineAdd, defineDivide, defineDivideWide, defineMultiply, defineSquareRoot, type FormatFunctions } from './arithmetic.ts';
import { defineCompare, defineExtremum, defineOrder } from './compare.ts';
import { defineFromInteger, defineNarrow, defineRoundToIntegral, defineToInteger, defineWiden } from './convert.ts';
import { DOUBLE, Flag, type Format, MXCSR_MASK_SHIFT, roundingControl, Rounding, SINGLE } from './format.ts';
import { type Defined, defineFunction, type FunctionWriter } from './function-writer.ts';
import { exactFloatParameters } from './names.ts';
import { isQuick, type Quick, quickArithmetic, type QuickOperation, quickSpecial } from './quick.ts';
import { defineRound } from './round.ts';

/** Exceptions found before the result is computed; unmasked in any lane, they hide the others (SDM vol. 1 §11.5.2.1, §11.5.3.2). */
const PRE_COMPUTATION = Flag.IE | Flag.DE | Flag.ZE;
const ALL_FLAGS = 0x3f;

/** Defines (cpu) → 0: moves what an instruction raised to MXCSR, and what of it is unmasked to `floatFault`. */
function defineFinish(module: ModuleBuilder): Defined {
  return defineFunction(module, 'finish float', [], 'i32', (e) => {
    const mxcsr = e.state('mxcsr');
    const raised = e.widen(e.loadState('i32.load', CPU.floatRaised));
    const unmasked = e.and(e.not(e.shrU(mxcsr, e.constant(MXCSR_MASK_SHIFT))), e.constant(ALL_FLAGS));
    const faultsEarly = e.nez(e.and(e.and(raised, unmasked), e.constant(PRE_COMPUTATION)));
    const reported = e.select(faultsEarly, e.and(raised, e.constant(PRE_COMPUTATION)), raised);
    e.setState('mxcsr', e.or(mxcsr, reported));
    e.storeState('i32.store', CPU.floatFault, e.narrow(e.and(reported, unmasked)));
    return e.constant32(0);
  });
}

function extract(e: FunctionWriter, f: Format, v: Value, lane: number): Value {
  return f.bits === 64 ? e.lane('i64x2.extract_lane', lane, v) : e.widen(e.lane('i32x4.extract_lane', lane, v));
}
function replace(e: FunctionWriter, f: Format, v: Value, lane: number, value: Value): Value {
  return f.bits === 64 ? e.lane('i64x2.replace_lane', lane, v, value) : e.lane('i32x4.replace_lane', lane, v, e.narrow(value));
}

const formatOf = (name: FloatFormat): Format => (FLOAT_FORMATS[name].laneBytes === 4 ? SINGLE : DOUBLE);
const FORMATS = ['ps', 'ss', 'pd', 'sd'] as const;

/** Defines the functions of whole instructions out of those of one lane. */
class ExactFloats {
  readonly indices = new Map<ExactFloat, number>();
  readonly #module: ModuleBuilder;
  readonly #finish: Defined;

  constructor(module: ModuleBuilder) {
    this.#module = module;
    this.#finish = defineFinish(module);
  }

  /** Each of `quick` in turn may give a result that needs no more work, and says whether it does. */
  define(name: ExactFloat, build: (e: FunctionWriter, ...parameters: Value[]) => Value, quick: readonly ((e: FunctionWriter, ...parameters: Value[]) => Quick)[] = []): void {
    const whole = defineFunction(this.#module, name, exactFloatParameters(name), exactFloatType(name), (e, ...values) => {
      e.storeState('i32.store', CPU.floatRaised, e.constant32(0));
      const value = e.variable(build(e, ...values));
      e.callFunction(this.#finish);
      return value.get();
    });
    const first = quick.reduceRight((next, attempt) => defineFunction(this.#module, `quick ${name}`, exactFloatParameters(name), exactFloatType(name), (e, ...values) => {
      const { result, holds } = attempt(e, ...values);
      const value = e.variable(result);
      e.storeState('i32.store', CPU.floatFault, e.constant32(0));
      e.if(e.eqz(holds), () => value.set(e.callFunction(next, ...values)));
      return value.get();
    }), whole);
    this.indices.set(name, first.index);
  }

  /** The first lanes of `into` replaced by what `lane` computes. */
  #lanes(e: FunctionWriter, count: number, to: Format, into: Value, lane: (index: number) => Value): Value {
    const result = e.variable(into);
    for (let index = 0; index < count; index++) result.set(replace(e, to, result.get(), index, lane(index)));
    return result.get();
  }

  #count(name: FloatFormat): number {
    return FLOAT_FORMATS[name].scalar ? 1 : 128 / formatOf(name).bits;
  }

  /** (a, b) → a with its lanes replaced. */
  binary(name: ExactFloat, format: FloatFormat, laneOf: (index: number) => Defined, quick?: QuickOperation): void {
    const f = formatOf(format);
    this.define(
      name,
      (e, a, b) => this.#lanes(e, this.#count(format), f, a, (index) => e.callFunction(laneOf(index), extract(e, f, a, index), extract(e, f, b, index))),
      quick ? [(e, a, b) => quickArithmetic(e, quick, format, a, b), (e, a, b) => quickSpecial(e, quick, format, a, b)] : [],
    );
  }

  /** (a, b, immediate) → likewise, for comparisons. */
  compare(name: ExactFloat, format: FloatFormat, lane: Defined): void {
    const f = formatOf(format);
    this.define(name, (e, a, b, predicate) =>
      this.#lanes(e, this.#count(format), f, a, (index) => e.callFunction(lane, extract(e, f, a, index), extract(e, f, b, index), predicate)));
  }

  /** (destination, source) → destination with its lanes replaced. */
  unary(name: ExactFloat, format: FloatFormat, lane: Defined): void {
    const f = formatOf(format);
    this.define(name, (e, into, source) =>
      this.#lanes(e, this.#count(format), f, into, (index) => e.callFunction(lane, extract(e, f, source, index))));
  }

  roundToIntegral(name: ExactFloat, format: FloatFormat, lane: Defined): void {
    const f = formatOf(format);
    this.define(name, (e, into, source, immediate) =>
      this.#lanes(e, this.#count(format), f, into, (index) => e.callFunction(lane, extract(e, f, source, index), immediate)));
  }

  /** (source) → its first `count` lanes in another format, zero above. */
  convert(name: ExactFloat, count: number, from: Format, to: Format, lane: (e: FunctionWriter, v: Value) => Value): void {
    this.define(name, (e, source) =>
      this.#lanes(e, count, to, e.constantVector(new Array<number>(16).fill(0)), (index) => lane(e, extract(e, from, source, index))));
  }
}

/** Defines every exact operation (`Emit.exactFloat`) and gives the functions' indices. */
export function defineExactFloats(module: ModuleBuilder): ReadonlyMap<ExactFloat, number> {
  const floats = new ExactFloats(module);
  const divideWide = defineDivideWide(module);
  const rounds = { 32: defineRound(module, SINGLE), 64: defineRound(module, DOUBLE) };
  for (const f of [SINGLE, DOUBLE]) {
    const shared: FormatFunctions = { format: f, round: rounds[f.bits] };
    defineArithmetic(module, floats, shared, divideWide);
    defineComparisons(module, floats, f);
    defineIntegers(module, floats, shared);
  }
  const [widen, narrow] = [defineWiden(module), defineNarrow(module, rounds[32])];
  floats.convert('widen.ps', 2, SINGLE, DOUBLE, (e, v) => e.callFunction(widen, v));
  floats.convert('widen.ss', 1, SINGLE, DOUBLE, (e, v) => e.callFunction(widen, v));
  floats.convert('narrow.pd', 2, DOUBLE, SINGLE, (e, v) => e.callFunction(narrow, v));
  floats.convert('narrow.sd', 1, DOUBLE, SINGLE, (e, v) => e.callFunction(narrow, v));
  return floats.indices;
}

const formatsOf = (f: Format) => FORMATS.filter((name) => formatOf(name) === f);

function defineArithmetic(module: ModuleBuilder, floats: ExactFloats, shared: FormatFunctions, divideWide: Defined): void {
  const lanes = {
    add: defineAdd(module, shared, false),
    sub: defineAdd(module, shared, true),
    mul: defineMultiply(module, shared),
    div: defineDivide(module, shared, divideWide),
    min: defineExtremum(module, shared.format, false),
    max: defineExtremum(module, shared.format, true),
  };
  const squareRoot = defineSquareRoot(module, shared);
  const integral = defineRoundToIntegral(module, shared.format);
  for (const format of formatsOf(shared.format)) {
    for (const name of Object.keys(lanes) as (keyof typeof lanes)[]) floats.binary(`${name}.${format}`, format, () => lanes[name], isQuick(name) ? name : undefined);
    floats.unary(`sqrt.${format}`, format, squareRoot);
    floats.roundToIntegral(`round.${format}`, format, integral);
    if (format === 'ps' || format === 'pd') floats.binary(`addsub.${format}`, format, (index) => (index % 2 === 0 ? lanes.sub : lanes.add));
  }
}

function defineComparisons(module: ModuleBuilder, floats: ExactFloats, f: Format): void {
  const lane = defineCompare(module, f);
  for (const format of formatsOf(f)) {
    floats.compare(`compare.${format}`, format, lane);
    if (format === 'ps' || format === 'pd') continue;
    for (const [name, quiet] of [['order', false], ['quiet-order', true]] as const) {
      const order = defineOrder(module, f, quiet);
      floats.define(`${name}.${format}`, (e, a, b) => e.callFunction(order, extract(e, f, a, 0), extract(e, f, b, 0)));
    }
  }
}

function defineIntegers(module: ModuleBuilder, floats: ExactFloats, shared: FormatFunctions): void {
  const f = shared.format;
  const [packed, scalar] = f.bits === 32 ? (['ps', 'ss'] as const) : (['pd', 'sd'] as const);
  const fromInteger = defineFromInteger(module, shared);
  floats.define(`from-integer.${scalar}`, (e, into, value) => replace(e, f, into, 0, e.callFunction(fromInteger, value)));
  if (packed === 'ps') floats.convert('from-integers.ps', 4, SINGLE, SINGLE, (e, v) => e.callFunction(fromInteger, e.signExtend(v, 32)));
  for (const bits of [32, 64] as const) {
    const lane = defineToInteger(module, f, bits);
    for (const [name, control] of [['to-integer', roundingControl], ['truncate', (e: FunctionWriter) => e.constant(Rounding.Zero)]] as const) {
      floats.define(`${name}.${scalar}.${bits}`, (e, source) => e.callFunction(lane, extract(e, f, source, 0), control(e)));
      if (bits === 32) floats.convert(`${name}.${packed}`, 128 / f.bits, f, SINGLE, (e, v) => e.callFunction(lane, v, control(e)));
    }
  }
}
