import type { ModuleBuilder } from '@hanok/wasm';
import type { X87Quick } from '@hanok/x86';

const OPERATIONS = ['add', 'mul', 'sub', 'subr', 'div', 'divr'] as const;
const MEMORY = [0, 32, 64] as const;

const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  'load.32': ['instruction', 'raw', 'data'],
  'load.64': ['instruction', 'raw', 'data'],
  'load.integer': ['instruction', 'value', 'data'],
  'load.extended': ['instruction', 'significand', 'head', 'data'],
  'load.register': ['instruction', 'index'],
  'load.one': ['instruction'],
  'load.zero': ['instruction'],
  ...Object.fromEntries(OPERATIONS.flatMap((name) => [
    [`${name}.register`, ['instruction', 'destination', 'source']],
    [`${name}.pop`, ['instruction', 'destination', 'source']],
    ...MEMORY.map((bits) => [`${name}.${bits}`, ['instruction', 'raw', 'data']] as const),
  ])),
  'compare.register': ['instruction', 'index', 'pops'],
  ...Object.fromEntries(MEMORY.map((bits) => [`compare.${bits}`, ['instruction', 'raw', 'pops', 'data']])),
  order: ['instruction', 'index', 'pops'],
  'store.32': [],
  'store.64': [],
  'store.extended': [],
  'store.integer': ['bits', 'truncates'],
  stored: ['instruction', 'data', 'pops'],
  'store.register': ['instruction', 'index', 'pops'],
  exchange: ['instruction', 'index'],
  sign: ['instruction', 'clears'],
  move: ['instruction', 'index', 'condition'],
  control: [],
  status: [],
  'set-control': ['value'],
};

/** Every ordinary case, and what its function takes (all i64). */
export const X87_QUICK = Object.keys(PARAMETERS) as X87Quick[];
export const x87QuickParameters = (name: X87Quick): readonly string[] => PARAMETERS[name]!;

/** Type of the function (cpu, operands) → done. */
export function x87QuickFunctionType(module: ModuleBuilder, name: X87Quick): number {
  return module.type(['i32', ...x87QuickParameters(name).map(() => 'i64' as const)], ['i32']);
}
