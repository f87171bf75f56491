import { setFlagsFromString } from 'node:v8';

/*
 * Flags of V8 belong to the whole process, whichever thread sets them, and a WebAssembly module has those that hold while
 * it is made. So who makes modules of one kind sets that kind's flags before.
 */

/** Work that a function does in V8's baseline code before it is optimized, about in bytes of machine code. The interpreter's handlers run as long as the guest. */
const INTERPRETER_BUDGET = 5_000_000;
/** V8's own default. With less, code that soon runs no more is optimized while a guest boots; with more, programs warm up slowly. */
const REGION_BUDGET = 13_000_000;
/** Most of these regions were hot before: they are optimized soon, once for all machines. */
const ARCHIVE_BUDGET = 300_000;

/** Heaps in MiB: V8's own begin with 1 and are collected half a hundred times before they are as large as they will be, while the guest boots. */
const HEAP_FLAGS = ['--min-semi-space-size=16', '--initial-old-space-size=96'];

/** For the threads that start from now on. */
export function setThreadFlags(): void {
  for (const flag of HEAP_FLAGS) setFlagsFromString(flag);
}

/** For the interpreter's module, most of whose functions a guest never needs. */
export function setInterpreterFlags(): void {
  setFlagsFromString(`--wasm-tiering-budget=${INTERPRETER_BUDGET}`);
  setFlagsFromString('--wasm-lazy-compilation');
}

/** For the modules of an archive: a guest needs some of their regions, and what is optimized is kept for other machines. */
export function setArchiveFlags(): void {
  setFlagsFromString(`--wasm-tiering-budget=${ARCHIVE_BUDGET}`);
  setFlagsFromString('--wasm-lazy-compilation');
}

/** For the modules of regions. */
export function setRegionFlags(): void {
  setFlagsFromString(`--wasm-tiering-budget=${REGION_BUDGET}`);
  // The vCPU would otherwise run V8's baseline compiler when it first enters a region.
  setFlagsFromString('--no-wasm-lazy-compilation');
}

/** In a process's main thread: whether `withoutBaseline` may be used. V8 that inlines needs what baseline code notes of calls, and ends the process where that is missing. */
export const canDoWithoutBaseline = (): boolean => process.execArgv.includes('--no-wasm-inlining');

/** Has V8 optimize what it compiles meanwhile at once: code that takes the place of optimized code must not be slower at first. */
export function withoutBaseline<Result>(compile: () => Result): Result {
  setFlagsFromString('--no-liftoff');
  try {
    return compile();
  } finally {
    setFlagsFromString('--liftoff');
  }
}
