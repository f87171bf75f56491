/**
 * Where a conformance case lives. The same virtual addresses hold on the host's processor and in the emulated machine,
 * so that absolute and 32-bit addresses mean the same; all are below 2 GiB, where a displacement reaches them.
 */
export const LAYOUT = {
  /** Reserved whole; what is not listed below stays inaccessible, so that stray accesses fault. */
  regionBase: 0x7000_0000,
  regionBytes: 0x10_0000,
  /** The instruction under test and the places where it may continue. */
  codeBase: 0x7000_0000,
  codeBytes: 0x2000,
  /** Memory that instructions under test may read and write. */
  windowBase: 0x7001_0000,
  windowBytes: 0x2000,
  /** Host only: the stub around the instruction, its state block and the stack signals are taken on. */
  stubBase: 0x7002_0000,
  stateBase: 0x7002_1000,
  stubAndStateBytes: 0x2000,
  signalStackBase: 0x7004_0000,
  signalStackBytes: 0x2_0000,
} as const;

/** GS base in both worlds; a case may use the GS override with it. FS belongs to the host's C library. */
export const GS_BASE = 0x12_3450n;

/** Room taken at every exit of a case (see `TestCase.exits`). */
export const EXIT_BYTES = 16;

/** Byte offsets in an FXSAVE image (SDM vol. 1 §10.5.1, table 10-2). */
export const FX = {
  sizeBytes: 512,
  control: 0,
  status: 2,
  tag: 4,
  mxcsr: 24,
  /** ST0-ST7 (stack order) or MM0-MM7, 16 bytes each. */
  registers: 32,
  xmm: 160,
  end: 416,
} as const;

/** CF, PF, AF, ZF, SF, OF. */
export const ARITHMETIC_FLAGS = 0x8d5;
export const FLAG = { CF: 1, PF: 4, AF: 0x10, ZF: 0x40, SF: 0x80, TF: 0x100, DF: 0x400, OF: 0x800, AC: 0x4_0000 } as const;
/** Flags that cases set and results compare. */
export const TESTED_FLAGS = ARITHMETIC_FLAGS | FLAG.DF;
