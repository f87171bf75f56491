/**
 * Control, status and tag word of the x87 in one (SDM vol. 1 §8.1.3, §8.1.5, §8.1.7), 16 bits each, as they stand in the state block and
 * as compiled code keeps them.
 */
export const STATUS_SHIFT = 16;
export const TAGS_SHIFT = 32;
export const ES = 0x80n << 16n;
export const PM = 0x20n;
export const RC = 0xc00n;
export const PC = 0x300n;
export const PE = 0x20n << 16n;
export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
/** C0, C2 and C3. */
export const ORDER = BigInt(C0 | C2 | C3) << 16n;
export const TOP = 0x3800n << 16n;
/** Where twice TOP stands, which is where its register's tag is, and how many bits that has. */
export const TWICE_TOP_SHIFT = 26;
export const TWICE_TOP_MASK = 14;
export const TAG_EMPTY = 3n << BigInt(TAGS_SHIFT);
export const RC_SHIFT = 10;

export const STACK_REGISTERS = 8;
export const REGISTER_BYTES = 16;

/** Nothing but a result and C1 comes of an ordinary case: no exception is pending, rounding is to nearest and 64 bits, PE is masked and set. */
export const ORDINARY_WORDS = { mask: ES | RC | PC | PM | PE, value: PC | PM | PE } as const;
