import type { ValueType } from '@hanok/x86';

/** Result type of an operation, from its name: `i64.eq` and kin are conditions, `f64x2…` are vectors. */
export function resultType(name: string): ValueType {
  let type = RESULT_TYPES.get(name);
  if (!type) RESULT_TYPES.set(name, (type = typeFromName(name)));
  return type;
}

const RESULT_TYPES = new Map<string, ValueType>();

function typeFromName(name: string): ValueType {
  const [family, operation] = name.split('.') as [string, string];
  if (family.includes('x') || family === 'v128') {
    return /^(all_true|any_true|bitmask)$/.test(operation) ? 'i32' : 'v128';
  }
  return /^(eqz|eq|ne|lt|gt|le|ge)(_[su])?$/.test(operation) ? 'i32' : (family as ValueType);
}
