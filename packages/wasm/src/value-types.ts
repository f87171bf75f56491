/** Types and constants of the WebAssembly binary format (core specification 3.0, section 5.3). */

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'funcref' | 'exnref';

/** What a block leaves on the stack: nothing, one value, or (a number) the type index of a multi-value signature. */
export type BlockType = ValueType | number | undefined;

/** Reference types that `ref.null` can make a null of. */
export type HeapType = 'func' | 'exn';

/** Index spaces a module exports from. */
export type ExternKind = 'func' | 'table' | 'memory' | 'global' | 'tag';

export const VALUE_TYPE_CODE: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  exnref: 0x69,
};

export const HEAP_TYPE_CODE: Readonly<Record<HeapType, number>> = { func: 0x70, exn: 0x69 };

export const EXTERN_KIND_CODE: Readonly<Record<ExternKind, number>> = { func: 0, table: 1, memory: 2, global: 3, tag: 4 };

export const BLOCK_TYPE_EMPTY = 0x40;

/** The code of a value type; throws for a name that is none. */
export function valueTypeCode(type: ValueType): number {
  const code = VALUE_TYPE_CODE[type];
  if (code === undefined) {
    throw new Error(`'${type}' is no WebAssembly value type; use one of ${Object.keys(VALUE_TYPE_CODE).join(', ')}`);
  }
  return code;
}
