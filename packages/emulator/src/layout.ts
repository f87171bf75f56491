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
  /** Width of the code that executes: 16, 32 or 64. */
  blockMode: 0x4ec,
  instructionCount: 0x4f0,
  /** Bits of RSP that stack accesses use: 16, 32 or 64 ones. */
  stackMask: 0x4f8,
  /** Interrupts wait until RIP has left this address (STI, MOV SS). */
  shadowRip: 0x500,
  /** RIP of the first byte of the page that is executing. */
  codePage: 0x508,
  /** Linear address of an instruction = (RIP + codeBase) & codeMask. */
  codeBase: 0x510,
  codeMask: 0x518,
  /** Bit n is set while segment n spans all of memory from 0, so that outside 64-bit mode it needs no check. */
  flatSegments: 0x520,
  /** Why generated code came back, and how many instructions it still may run. */
  budget: 0x528,
  /** u32: the first slot of the run that the interpreter executes, for counting instructions. */
  startSlot: 0x52c,
  kernelGsBase: 0x530,
  /** What a cached block must match besides its address: a BLOCK_TAG. */
  blockTag: 0x538,
  /** Outside 64-bit mode the limit of CS; else all ones. */
  codeLimit: 0x540,
  /** How many elements a repeated string instruction may do before it looks up: 1 in a single step. */
  repeatSteps: 0x548,
  xcr0: 0x550,
  /** What SYSCALL and SYSRET read of the model-specific registers. */
  star: 0x558,
  lstar: 0x560,
  fmask: 0x568,
  /** Nonzero while an NMI is in its handler. */
  nmiBlocked: 0x570,
  /** IA32_TSC_AUX, which RDTSCP and RDPID read. */
  tscAux: 0x578,
  /** u32 each: exceptions a floating-point instruction raises, as MXCSR's flags, and those of them that are unmasked. */
  floatRaised: 0x580,
  floatFault: 0x584,
  /** What an x87 store will report of its rounding, and the upper 16 bits of what it stores. */
  x87StoredRounding: 0x588,
  x87StoredHead: 0x590,
  /** C1 of the x87's status word in its place, apart from the rest while generated code runs (`gatherCondition1`). */
  x87Condition1: 0x598,
  /** Tag of the TLB entry that missed last (`emitMiss`). */
  missedTag: 0x5a0,
  /** What other threads post to this vCPU (`PostedInterrupts`), and the flag among it that generated code looks at. */
  posted: 0xf00,
  attention: 0xf40,
  /** How often PAUSE was executed since the slice began. */
  pauses: 0xf80,
  /** Of a machine that is profiled: what its thread does (an `Activity`), and a slot of the block that runs. */
  activity: 0xf84,
  block: 0xf88,
  /** A region is entered only with more instructions left than this: it may overrun a slice, but not the limit of a run. */
  regionBudget: 0xf8c,
  /** How machine time becomes the time-stamp counter: f64 ticks a nanosecond, and i64 ticks to add. */
  tscTicksPerNs: 0xf90,
  tscOffset: 0xf98,
  /** u32 each: where in wasm memory RAM begins, and its size in bytes. */
  ramAddress: 0xfa0,
  ramBytes: 0xfa4,
  /** u32 each: where in wasm memory `CodePages` and this vCPU's `WriteEntries` begin. */
  codePages: 0xfa8,
  writeEntries: 0xfac,
  /** This vCPU's bit among the writers of a page in `CodePages`; 0 where there is no other vCPU. */
  writerBit: 0xfb0,
  /** Nonzero while data breakpoints watch: every access is looked at, and data has no TLB. */
  watching: 0xfb4,
  /** TLB entries filled since the start, and those in either part of FILL_LOG. */
  fillCount: 0xfb8,
  loggedLocalFills: 0xfbc,
  loggedGlobalFills: 0xfc0,
  /** A multiple of four, another one whenever translations may have changed (`code-epoch.ts`). */
  codeEpoch: 0xfc4,
} as const;

/**
 * Bits of `blockTag`: the code's width; single instructions, cached apart; that there are breakpoints on instructions, with a
 * mark before each of them; that instructions with XMM registers raise #UD or #NM, or those of the x87 #NM, so that those
 * decoded while they work need not look; and that the x87's pointers are linear addresses, as in real-address mode.
 */
export const BLOCK_TAG = { mode: 0xff, step: 0x100, break: 0x200, sseUndefined: 0x400, sseAbsent: 0x800, x87Absent: 0x1000, linearPointers: 0x2000 } as const;

/**
 * Regions that were entered lately, by the address and tag of their first block: `{ tag: i64, region: i32, slot: i32 }`.
 * Most ways from region to region are found here, in what stays in the host's caches.
 */
export const REGION_HASH = { offset: 0x110000, entryCount: 0x2000, entryBytes: 16 } as const;

/** Where the block cache's hash table starts, and its entries `{ tag: i64, slot: i32, unused: i32 }`. */
export const BLOCK_HASH = { offset: 0x140000, entryCount: 0x40000, entryBytes: 16 } as const;

/** Words of the archive's regions, which name what each vCPU has elsewhere. */
export const REGION_WORDS = { offset: 0x540000, count: 0x80000 } as const;

/**
 * What is known of decoding (`ShapeTable`), from `offset` on: u32 each, how many nodes and shapes there are; each shape's traits,
 * u32; a slot of each; and nodes, 256 u16 each, which say what follows a byte of code: 0 nothing known, another node, or
 * SHAPE_MARK and a shape.
 */
export const SHAPES = { offset: 0x740000, nodeCount: 0, shapeCount: 4, traits: 0x1000, slots: 0x21000, nodes: 0x121000, nodeBytes: 512, shapesMax: 0x8000, nodesMax: 0x2000, sizeBytes: 0x530000 } as const;
export const SHAPE_MARK = 0x8000;

/**
 * Traits of a shape: how many bytes its displacement and its immediate have, whether it has a memory operand, whether that is
 * beside the code, whether control does not go on behind it, and whether a block ends there; the upper half has the bits of
 * BLOCK_TAG under which it raises an exception.
 */
export const SHAPE_TRAIT = { displacementBytes: 0xf, immediateBytes: 0xf0, memory: 0x100, nearCode: 0x200, ends: 0x400, last: 0x800, raisesShift: 16 } as const;

/** Where decoded instructions start, and how many bytes there are for them. */
export const ARENA = { offset: 0xc70000, sizeBytes: 0x3000000 - 0xc70000 } as const;

/** Size of one vCPU's block: state, TLBs, hash table and decoded instructions. */
export const VCPU_BLOCK_BYTES = 0x3000000;

/** Where in the wasm memory the lock of 16-byte exchanges lies: behind the state of the first vCPU, for all of them. */
export const PAIR_LOCK = 0xff0;

/** Before it, as large as an Enter slot and all zero: the slot of blocks that have none. */
export const NO_SLOT = 0xfd0;

/** The blocks of a machine's vCPUs lie one after another; RAM follows. */
export const vcpuBlockAddress = (vcpu: number): number => vcpu * VCPU_BLOCK_BYTES;

/** One decoded instruction. */
export const SLOT = {
  sizeBytes: 32,
  /** u16: which handler executes it. */
  handler: 0,
  /** u8 */
  length: 2,
  /** u8: 0-3, for the index register. */
  scale: 3,
  /** u16: where in its page the instruction starts. */
  pageOffset: 4,
  /** u16 each: offsets in the state block of up to three register operands (or register numbers). */
  operand0: 6,
  operand1: 8,
  operand2: 10,
  /** u16 each: offsets of the base and index registers. */
  base: 12,
  index: 14,
  /** i32; in a direct branch the slot of its target once it is known, else 0; the second immediate where there is no memory operand. */
  displacement: 16,
  /** u16: offset of the value to add for the segment. */
  segmentBase: 20,
  /** u8: an ADDRESS_KIND. */
  addressKind: 22,
  /** u8: segment number 0-5. */
  segment: 23,
  /** i64 */
  immediate: 24,
} as const;

/** How a slot's effective address is computed: 64 bits, 32 bits in 64-bit mode, RIP-relative out of reach of i32, legacy. */
export const ADDRESS_KIND = { Long: 0, Long32: 1, FarRip: 2, Legacy32: 3, Legacy16: 4, Absolute: 5 } as const;

/** What a handler outside the main function tells it. */
export const STATUS = { Next: 0, Jump: 1, Fault: 2, Stop: 3, NextSoon: 4, JumpSoon: 5 } as const;

/** Handlers that stand for no instruction. */
export const SPECIAL = { Continue: 0, Relookup: 1, Cross: 2, Undefined: 3, TooLong: 4, Enter: 5, Break: 6, NoDevice: 7 } as const;

/** Fields of an Enter slot, which begins a block: compiled code takes over there once there is some. */
export const ENTER = {
  /** i32: how often the block may still run before it is worth compiling. */
  countdown: SLOT.displacement,
  /** i32: place of the block's region in the table, or 0. */
  region: SLOT.immediate,
  /** u32: guest-physical page. */
  page: SLOT.immediate + 4,
  /** u16: how often groups of accesses may miss before the region is compiled without (`defineGroupAccess`). */
  missesLeft: SLOT.operand0,
  /** i64: where and under which translations the region's pages were last found to be its own (`code-epoch.ts`). */
  checked: SLOT.operand1,
  /** i32: how often the region may still be entered before it is worth making it larger. */
  entriesLeft: SLOT.segmentBase,
} as const;

/** Fields of a Cross slot, which stands before an instruction that goes on on another page. */
export const CROSS = {
  /** u32: where in wasm memory that page begins, or 0 where it is not RAM. */
  page: SLOT.displacement,
  /** f64: its guest-physical address. */
  address: SLOT.immediate,
} as const;

/** Instructions by which a region may overrun its budget, because it counts only at its loops' ends, and then some. */
export const REGION_OVERRUN_MAX = 1024;
/** A `regionBudget` with which no region is entered: the interpreter tells which blocks it enters (`BlockTrace`). */
export const NO_REGIONS = 0x7fff_ffff;

/** How a region is left, as its function returns it: RIP is looked up, run by the interpreter, or the vCPU stops. */
export const REGION_END = { Lookup: 0, Interpret: 1, Stop: 2 } as const;

/** Why the main function returned. */
export const RUN_END = { Budget: 0, Stop: 1, NearLimit: 2 } as const;

/** Elements that a repeated string instruction does at once, so that interrupts need not wait. */
export const REPEAT_STEPS = 2048n;

/** Size of one segment register's entry and the fields in it. */
export const SEGMENT = { sizeBytes: 32, base: 0, limit: 8, access: 12, selector: 16 } as const;

/** Offset of a segment register's field in the state block. */
export const segmentField = (segment: number, field: keyof Omit<typeof SEGMENT, 'sizeBytes'>) => CPU.segments + segment * SEGMENT.sizeBytes + SEGMENT[field];

export const SEGMENT_INDEX = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/**
 * TLB entries, direct-mapped, one table a privilege: `{ tagRead: i64, tagWrite: i64, …, addend: i32 }` for data, and as far
 * behind them as all data's tables are long `{ tagExecute: i64, …, addendExecute: i32 }` for code, so that a page of code
 * and one of data at the same place do not drive each other out.
 */
export const TLB = {
  entryCount: 4096,
  entryBytes: 32,
  tagRead: 0,
  tagWrite: 8,
  addend: 24,
  tagExecute: 0x80000,
  addendExecute: 0x80018,
  /** u32: the guest-physical page, and GLOBAL_ENTRY where the translation is global. */
  page: 28,
  /** User, supervisor with SMAP in force, supervisor with it suspended, user with alignment checked. */
  tableCount: 4,
  offset: 0x1000,
} as const;

/** Marks a TLB entry whose translation a CR3 load keeps. */
export const GLOBAL_ENTRY = 0x80000000;

/** Bytes that say where the TLB may hold pieces of 2-MiB pages and, behind them, of 1-GiB pages (`LargePages`). */
export const LARGE_PAGES = { offset: 0x102000, bucketCount: 0x4000 } as const;

/**
 * Entries (as indices of 32-bit words) filled since the last flush that emptied them, of pages that are global apart from the
 * others; a flush visits them one by one. Each part has room for `entryCount`.
 */
export const FILL_LOG = { local: 0x10a000, global: 0x10c000, entryCount: 0x800 } as const;

export const TLB_TABLE_BYTES = TLB.entryCount * TLB.entryBytes;

/** How the lazily held flags were made. Explicit: all six are in flagWord; partial: ZF, SF, PF from flagResult; product: of signed factors. */
export const FLAG_KIND = { Explicit: 0, Partial: 1, Add: 2, Sub: 3, Logic: 4, Product: 5 } as const;

/** Beside the size of an access that goes to the slow path: it is one of the stack segment. */
export const STACK_ACCESS = 0x100;
