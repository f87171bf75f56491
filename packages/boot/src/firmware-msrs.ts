const WRITE_BACK_EVERYWHERE = 0x0606_0606_0606_0606n;
const FIXED_RANGES: readonly number[] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
/** Memory-type ranges enabled, fixed ones too, all else write-back. */
const DEF_TYPE = 0xc06n;

/** Model-specific registers as firmware leaves them on every processor: kernels distrust memory types that are switched off (SDM vol. 3A §12.11). */
export const FIRMWARE_MSRS: ReadonlyMap<number, bigint> = new Map([[0x2ff, DEF_TYPE], ...FIXED_RANGES.map((number) => [number, WRITE_BACK_EVERYWHERE] as const)]);
