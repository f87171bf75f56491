/**
 * Where one vCPU's state lies, as byte offsets from the start of its block. Generated code, helpers and `getState` all
 * use this one table; nothing else may hold a number that is an offset.
 */
export const CPU = {
  /** 16 general registers, 8 bytes each. */
  gpr: 0x000,
  rip: 0x080,
  /** Lazily computed flags: how the last flag-setting instruction computed, its operands and its result. */
  flagKind: 0x088,
  flagWord: 0x08c,
  flagA: 0x090,
  flagB: 0x098,
  flagResult: 0x0a0,
  /** RFLAGS without the six arithmetic flags. */
  systemFlags: 0x0a8,
  mxcsr: 0x0b0,
  cpl: 0x0b8,
  cr0: 0x0c0,
  cr2: 0x0c8,
  cr3: 0x0d0,
  cr4: 0x0d8,
  efer: 0x0e0,
  /** Nonzero while an interrupt waits for RFLAGS.IF. */
  interruptPending: 0x0e8,
  /** 16 vector registers, 16 bytes each. */
  xmm: 0x100,
  /** Eight physical x87 registers (R0-R7), 16 bytes each: 10 of value, 6 unused. MMX is the low 8. */
  x87Registers: 0x200,
  x87Control: 0x280,
  x87Status: 0x282,
  /** Full tag word, two bits a register. */
  x87Tag: 0x284,
  x87Opcode: 0x286,
  x87InstructionPointer: 0x288,
  x87DataPointer: 0x290,
  /** ES, CS, SS, DS, FS, GS, LDTR, TR: 32 bytes each (base, limit, access, selector, unused). */
  segments: 0x300,
  gdtBase: 0x400,
  gdtLimit: 0x408,
  idtBase: 0x410,
  idtLimit: 0x418,
  /** DR0-DR3, DR6, DR7. */
  debug: 0x420,
  /** Always zero: what an absent base or index register and an unsegmented access read. */
  zero: 0x450,
  /** Arguments and result of helpers, and where slow memory accesses leave their data. */
  arguments: 0x460,
  result: 0x4a0,
  scratch: 0x4c0,
  /** Set by a failed access or helper: vector in the low byte, bit 31 marks an error code's presence. */
  faultVector: 0x4e0,
  faultErrorCode: 0x4e4,
  /** Which of the address spaces' TLBs the present privilege uses, as a byte offset from the block's start. */
  tlb: 0x4e8,
  /** Mode part of a block's tag. */
  blockMode: 0x4ec,
  instructionCount: 0x4f0,
} as const;

/** Size of one segment register's entry and the fields in it. */
export const SEGMENT = { sizeBytes: 32, base: 0, limit: 8, access: 12, selector: 16 } as const;

export const SEGMENT_INDEX = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** TLB entries: `{ tagRead: i64, tagWrite: i64, tagExecute: i64, addend: i32 }`, direct-mapped, one table a privilege. */
export const TLB = {
  entryCount: 1024,
  entryBytes: 32,
  tagRead: 0,
  tagWrite: 8,
  tagExecute: 16,
  addend: 24,
  /** User, supervisor with SMAP in force, supervisor with it suspended. */
  tableCount: 3,
  offset: 0x1000,
} as const;

export const TLB_TABLE_BYTES = TLB.entryCount * TLB.entryBytes;

/** How the lazily held flags were made. Explicit: all six are in flagWord; partial: ZF, SF, PF from flagResult. */
export const FLAG_KIND = { Explicit: 0, Partial: 1, Add: 2, Sub: 3, Logic: 4 } as const;
