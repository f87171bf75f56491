const whole = new BigUint64Array(1);
const words = new Uint32Array(whole.buffer);

/** Bits 0 to 31; on the little-endian hosts that WebAssembly's memories suit this is much faster than arithmetic with BigInts. */
export function lowHalf(value: bigint): number {
  whole[0] = value;
  return words[0]!;
}
/** Bits 32 to 63. */
export function highHalf(value: bigint): number {
  whole[0] = value;
  return words[1]!;
}
/** The other way; the halves may be negative, as WebAssembly gives them. */
export function joinHalves(low: number, high: number): bigint {
  words[0] = low;
  words[1] = high;
  return whole[0]!;
}
