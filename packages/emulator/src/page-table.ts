/** Bits of a page-table entry (SDM vol. 3A §4.5). */
export const ENTRY = {
  present: 1n, writable: 2n, user: 4n, accessed: 0x20n, dirty: 0x40n, large: 0x80n, global: 0x100n, noExecute: 1n << 63n,
} as const;

/** The address in an entry, or in CR3: physical addresses have 40 bits. */
export const FRAME_BITS = 0xff_ffff_f000n;
