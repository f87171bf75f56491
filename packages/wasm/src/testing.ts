import { ModuleBuilder } from './module.ts';
import type { FunctionBuilder } from './function-builder.ts';
import type { ValueType } from './value-types.ts';

/** A function exported by an instance under test. */
export type Callable = (...args: (number | bigint)[]) => unknown;

/** Memory that every test module made by `functionUnderTest` has. */
export const TEST_MEMORY = { minPages: 1, maxPages: 1, shared: true };

/** Instantiates the module as it stands and returns its exports as functions. */
export function instantiate(module: ModuleBuilder, imports?: Record<string, Record<string, unknown>>): Record<string, Callable> {
  const compiled = new WebAssembly.Module(module.toBytes());
  return new WebAssembly.Instance(compiled, imports).exports as Record<string, Callable>;
}

/** A module of one exported function with a shared memory of one page, instantiated. */
export function functionUnderTest(params: ValueType[], results: ValueType[], write: (f: FunctionBuilder) => void): Callable {
  const module = new ModuleBuilder();
  module.defineMemory(TEST_MEMORY);
  const f = module.function(module.type(params, results));
  write(f);
  module.export('f', 'func', f.index);
  return instantiate(module).f as Callable;
}

/** Repeatable random 32-bit integers: a linear congruential generator's upper bits, mixed. */
export function randomIntegers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  };
}
