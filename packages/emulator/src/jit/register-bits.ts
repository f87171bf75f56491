/** Masks of registers: the sixteen general ones, then the sixteen vectors. */
export const REGISTER_COUNT = 16;
export const registerBit = (index: number): number => 1 << index;
export const vectorBit = (index: number): number => 1 << (REGISTER_COUNT + index);
