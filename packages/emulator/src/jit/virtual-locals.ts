import type { ValueType } from '@hanok/x86';

/**
 * Names of the locals that compiled instructions use, before each has a number in the function of its region: the block of
 * the vCPU, what stays the same while a region runs, flags, general and vector registers; those of the x87 (`RegionX87`); addresses of groups of accesses (`AccessGroup`); then temporaries of each type,
 * and vector constants.
 */
export const LOCAL = {
  cpu: 0, tlb: 1, codePage: 2, budget: 3, roundingShows: 4, flagKind: 5, flagWord: 6, flagA: 7, flagB: 8, flagResult: 9, general: 10, vector: 26,
  x87Significand: 42, x87Head: 50, x87Words: 58, x87Top: 59, x87IsOrdinary: 60, pointer: 61, temporary: 85,
} as const;

/** Locals for addresses of groups. */
export const POINTER_COUNT = 24;

const FIXED_TYPES: readonly ValueType[] = ['i32', 'i32', 'i64', 'i32', 'i32', 'i32', 'i32', 'i64', 'i64', 'i64'];
const TEMPORARY_TYPES: readonly ValueType[] = ['i32', 'i64', 'f32', 'f64', 'v128'];
/** Temporaries of each type, and different vector constants, at most. */
const TEMPORARIES_MAX = 64;
const CONSTANTS_MAX = 256;
const FIRST_CONSTANT = LOCAL.temporary + TEMPORARY_TYPES.length * TEMPORARIES_MAX;

/** The locals of a function have numbers of one byte. */
const NUMBERS_MAX = 128;

function typeOfLocal(name: number): ValueType {
  if (name < LOCAL.general) return FIXED_TYPES[name]!;
  if (name < LOCAL.vector) return 'i64';
  if (name < LOCAL.x87Significand || name >= FIRST_CONSTANT) return 'v128';
  if (name < LOCAL.temporary) return name < LOCAL.x87Top ? 'i64' : 'i32';
  return TEMPORARY_TYPES[Math.floor((name - LOCAL.temporary) / TEMPORARIES_MAX)]!;
}

/** The temporary with this number among those of its type; undefined where there are no more. */
export function temporaryName(type: ValueType, index: number): number | undefined {
  return index < TEMPORARIES_MAX ? LOCAL.temporary + TEMPORARY_TYPES.indexOf(type) * TEMPORARIES_MAX + index : undefined;
}

/** Vector constants that regions keep in locals: V8 would make one anew wherever it is used. */
export class VectorConstants {
  readonly #names = new Map<string, number>();
  readonly #bytes: Uint8Array[] = [];

  /** Name of the local with these bytes; undefined where there are too many. */
  name(bytes: readonly number[]): number | undefined {
    const key = bytes.join();
    const known = this.#names.get(key);
    if (known !== undefined || this.#bytes.length === CONSTANTS_MAX) return known;
    const name = FIRST_CONSTANT + this.#bytes.length;
    this.#bytes.push(Uint8Array.from(bytes));
    this.#names.set(key, name);
    return name;
  }

  /** Those among the named locals, with their bytes. */
  among(locals: RegionLocals): { readonly name: number; readonly bytes: Uint8Array }[] {
    return this.#bytes.map((bytes, index) => ({ name: FIRST_CONSTANT + index, bytes })).filter(({ name }) => locals.has(name));
  }
}

/** Numbers of a region's locals in its function. */
export class RegionLocals {
  /** Of the locals there are, in the order of their numbers. */
  readonly types: ValueType[] = [];
  readonly #newLocal: (type: ValueType) => number;
  readonly #numbers = new Int16Array(FIRST_CONSTANT + CONSTANTS_MAX).fill(-1);
  #count = 1;

  constructor(newLocal: (type: ValueType) => number) {
    this.#newLocal = newLocal;
    this.#numbers[LOCAL.cpu] = 0;
    for (let name: number = LOCAL.tlb; name < LOCAL.general; name++) this.number(name);
  }

  has(name: number): boolean {
    return this.#numbers[name]! >= 0;
  }

  number(name: number): number {
    const known = this.#numbers[name]!;
    if (known >= 0) return known;
    this.#count++;
    const type = typeOfLocal(name);
    this.types.push(type);
    return (this.#numbers[name] = this.#newLocal(type));
  }

  /** Whether there are numbers for all of these. */
  haveRoom(names: ArrayLike<number>): boolean {
    let count = this.#count;
    for (let index = 0; index < names.length; index++) if (!this.has(names[index]!)) count++;
    return count <= NUMBERS_MAX;
  }
}
