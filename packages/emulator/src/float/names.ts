import type { ModuleBuilder } from '@hanok/wasm';
import { type ExactFloat, exactFloatType, type ValueType } from '@hanok/x86';

const FORMATS = ['ps', 'ss', 'pd', 'sd'] as const;
const SCALARS = ['ss', 'sd'] as const;
const INTEGERS = ['ps', 'pd', 'ss.32', 'ss.64', 'sd.32', 'sd.64'] as const;

/** Every exact operation; compiled code names them by their place here. */
export const EXACT_FLOATS: readonly ExactFloat[] = [
  ...(['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max', 'compare', 'round'] as const).flatMap((name) => FORMATS.map((format) => `${name}.${format}` as const)),
  'addsub.ps', 'addsub.pd', 'widen.ps', 'widen.ss', 'narrow.pd', 'narrow.sd', 'from-integers.ps',
  ...(['order', 'quiet-order', 'from-integer'] as const).flatMap((name) => SCALARS.map((format) => `${name}.${format}` as const)),
  ...(['to-integer', 'truncate'] as const).flatMap((name) => INTEGERS.map((format) => `${name}.${format}` as const)),
];

/** Types of an exact operation's operands. */
export function exactFloatParameters(name: ExactFloat): readonly ValueType[] {
  if (/^(compare|round)/.test(name)) return ['v128', 'v128', 'i64'];
  if (/^from-integer\./.test(name)) return ['v128', 'i64'];
  return /^(widen|narrow|from-integers|to-integer|truncate)/.test(name) ? ['v128'] : ['v128', 'v128'];
}

/** Type of the function (cpu, operands) → result. */
export function exactFloatFunctionType(module: ModuleBuilder, name: ExactFloat): number {
  return module.type(['i32', ...exactFloatParameters(name)], [exactFloatType(name)]);
}
