/** Memory types by address (MTRRs) and by page (PAT): kept and checked, without effect, since nothing is cached (SDM vol. 3A §12.11, §12.12). */

const VARIABLE_COUNT = 8;
const WRITE_COMBINING = 0x400;
const FIXED_RANGES = 0x100;
const MTRR_CAP = 0xfe;
const MTRR_DEF_TYPE = 0x2ff;
const PAT = 0x277;
const FIXED: readonly number[] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const ADDRESS_BITS = (1n << 40n) - 0x1000n;
const ALL = (1n << 64n) - 1n;

const variable = Array.from({ length: VARIABLE_COUNT }, (_, index) => 0x200 + index * 2);

/** Registers as after reset, and the bits that can be written. */
export const MEMORY_TYPE_MSRS: readonly (readonly [number, { reset: bigint; writable: bigint }])[] = [
  [MTRR_CAP, { reset: BigInt(VARIABLE_COUNT | FIXED_RANGES | WRITE_COMBINING), writable: 0n }],
  [MTRR_DEF_TYPE, { reset: 0n, writable: 0xcffn }],
  [PAT, { reset: 0x0007040600070406n, writable: ALL }],
  ...FIXED.map((number) => [number, { reset: 0n, writable: ALL }] as const),
  ...variable.flatMap((base) => [[base, { reset: 0n, writable: ADDRESS_BITS | 0xffn }], [base + 1, { reset: 0n, writable: ADDRESS_BITS | 0x800n }]] as const),
];

/** UC, WC, WT, WP, WB; the PAT has UC- (7) too. */
const TYPES = new Set<bigint>([0n, 1n, 4n, 5n, 6n]);
const isType = (value: bigint, page: boolean) => TYPES.has(value) || (page && value === 7n);
const allBytes = (value: bigint, page: boolean) => [0n, 8n, 16n, 24n, 32n, 40n, 48n, 56n].every((shift) => isType((value >> shift) & 0xffn, page));

/** Whether the memory types in a value exist, where the register has any. */
export function hasValidTypes(number: number, value: bigint): boolean {
  if (number === PAT || FIXED.includes(number)) return allBytes(value, number === PAT);
  return number === MTRR_DEF_TYPE || variable.includes(number) ? isType(value & 0xffn, false) : true;
}
