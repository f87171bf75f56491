/**
 * The language in which instructions state what they mean. A body builds values and effects through `Emit`; an engine
 * decides what becomes of them (a handler of the interpreter, a few operations inside a compiled region). Bodies run
 * when code is generated, never when the guest runs.
 */

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** Something computed while the guest runs. Immutable; may be used any number of times. */
export interface Value {
  readonly type: ValueType;
}

/** A place that changes while an instruction runs (a loop's counter). */
export interface Variable {
  get(): Value;
  set(value: Value): void;
}

/**
 * A computation long enough to be one function that all code calls instead of having it in place. It names neither
 * registers nor memory: the same arguments give the same result.
 */
export interface Routine {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly result: ValueType;
  readonly body: (e: Emit, ...parameters: Value[]) => Value;
}

/** Width of an integer operand. */
export type IntegerBits = 8 | 16 | 32 | 64;

/** The six arithmetic flags (SDM vol. 1 §3.4.3.1). */
export type FlagName = 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF';

/** Exception vectors a body may raise (SDM vol. 3A §6.3.1). */
export const Vector = { DE: 0, DB: 1, NMI: 2, BP: 3, OF: 4, BR: 5, UD: 6, NM: 7, DF: 8, TS: 10, NP: 11, SS: 12, GP: 13, PF: 14, MF: 16, AC: 17, XM: 19 } as const;

/**
 * Processor state that bodies name, as i64. `rip` is the address of this instruction; `systemFlags` is RFLAGS without the six arithmetic flags;
 * `x87Words` has the x87's control, status and tag word, 16 bits each; `stackMask` has the bits of RSP that the stack segment uses; `shadowRip` is where interrupts wait one instruction;
 * `repeatSteps` is how many elements a repeated instruction may do before it lets interrupts and debug traps in;
 * `interruptPending` is nonzero while an interrupt waits that only RFLAGS.IF may hold back;
 * `nmiBlocked` is nonzero from an NMI to the next IRET.
 */
export type StateName =
  | 'rip' | 'x87Words' | 'systemFlags' | 'mxcsr' | 'cpl' | 'cr0' | 'cr4' | 'efer' | 'stackMask' | 'shadowRip' | 'repeatSteps' | 'interruptPending'
  | 'gsBase' | 'kernelGsBase' | 'gdtBase' | 'gdtLimit' | 'star' | 'lstar' | 'fmask' | 'nmiBlocked' | 'tscAux' | 'dr7' | 'selectorES' | 'selectorDS' | 'selectorFS' | 'selectorGS' | 'selectorSS';

/** The four forms of a floating-point instruction, told apart by the mandatory prefix (SDM vol. 2A §2.1.2). */
export type FloatFormat = 'ps' | 'ss' | 'pd' | 'sd';

/**
 * Floating-point operations that an engine computes out of line, exactly as MXCSR says and with its exceptions. Operands are whole
 * registers; of a scalar form lane 0 counts, and the first operand's other lanes are kept.
 *
 * - `add` and kin, `min`, `max`, `addsub` (subtracts in even lanes): (a, b). `sqrt`: (destination, source).
 * - `compare`: (a, b, predicate 0-7) → masks. `order`, `quiet-order`: (a, b) → i64, ZF, PF and CF as COMISD and UCOMISD set them.
 * - `round`: (destination, source, immediate of ROUNDPD).
 * - `widen`, `narrow`, `from-integers`, packed `to-integer` and `truncate`: (source) → result, zero above it.
 * - `from-integer`: (destination, i64). Scalar `to-integer` and `truncate`: (source) → i64, zero-extended from 32 or 64 bits.
 */
export type ExactFloat =
  | `${'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'min' | 'max' | 'compare' | 'round'}.${FloatFormat}`
  | `addsub.${'ps' | 'pd'}`
  | `${'order' | 'quiet-order'}.${'ss' | 'sd'}`
  | 'widen.ps' | 'widen.ss' | 'narrow.pd' | 'narrow.sd'
  | `from-integer.${'ss' | 'sd'}` | 'from-integers.ps'
  | `${'to-integer' | 'truncate'}.${'ps' | 'pd' | `${'ss' | 'sd'}.${32 | 64}`}`;

/**
 * The ordinary cases of x87 instructions, which an engine does without its helpers: normal numbers and zeros, results rounded to
 * nearest with 64 bits, no exception but a masked PE, no stack fault. Operands are i64; `instruction` is RIP, `data` the memory operand's
 * offset. Those named by `register`, 32, 64 or 0 take a register, a float, a double, or a sign-extended integer.
 *
 * - `load.…`: (instruction, value, data), `load.extended`: (instruction, significand, head, data), `load.register`: (instruction, index).
 * - `add` and kin: `.register` and `.pop` (instruction, destination, source), else (instruction, value, data).
 * - `compare`: `.register` (instruction, index, pops), else (instruction, value, pops, data). `order`: FCOMI, (instruction, index, pops); gives
 *   8 and ZF, PF and CF in bits 0 to 2.
 * - `store.32`, `store.64`, `store.extended`: (), `store.integer`: (bits, truncates): only compute what `x87Stored` gives. `stored` finishes
 *   once it is in memory: (instruction, data, pops).
 * - `store.register`: (instruction, index, pops). `exchange`: (instruction, index). `sign`: (instruction, clears). `move`: (instruction, index,
 *   condition). `control`, `status`: (), for `x87Stored`. `set-control`: (value).
 */
export type X87Quick =
  | `${'add' | 'mul' | 'sub' | 'subr' | 'div' | 'divr'}.${'register' | 'pop' | 0 | 32 | 64}` | `compare.${'register' | 0 | 32 | 64}`
  | `load.${32 | 64 | 'integer' | 'extended' | 'register' | 'one' | 'zero'}`
  | `store.${32 | 64 | 'integer' | 'extended' | 'register'}` | 'stored'
  | 'order' | 'exchange' | 'sign' | 'move' | 'control' | 'status' | 'set-control';

/** Type of an exact operation's result. */
export function exactFloatType(name: ExactFloat): 'i64' | 'v128' {
  return /order|32|64/.test(name) ? 'i64' : 'v128';
}

/**
 * Integers are i64 unless said otherwise; conditions are i32, 0 or 1. Operation names are WebAssembly's own, since
 * that is the vocabulary every engine of ours ends in.
 */
export interface Emit {
  /** True while generating for 64-bit mode. Only in rows with `perMode`. */
  readonly mode64: boolean;

  constant(value: bigint | number): Value;
  constant32(value: number): Value;
  constantF32(value: number): Value;
  constantF64(value: number): Value;
  /** 16 bytes, lane 0 first. */
  constantVector(bytes: readonly number[]): Value;
  /** Any WebAssembly operation without memory: `op('i64.add', a, b)`, `op('f64x2.sqrt', v)`, `op('v128.bitselect', …)`. */
  op(name: string, ...operands: Value[]): Value;
  /** An operation with a lane number: `lane('i16x8.extract_lane_u', 3, v)`, `lane('f32x4.replace_lane', 0, v, x)`. */
  lane(name: string, index: number, ...operands: Value[]): Value;
  /** `i8x16.shuffle`: 16 numbers, 0-15 choose from `a`, 16-31 from `b`. */
  shuffle(lanes: readonly number[], a: Value, b: Value): Value;

  add(a: Value, b: Value): Value;
  sub(a: Value, b: Value): Value;
  mul(a: Value, b: Value): Value;
  and(a: Value, b: Value): Value;
  or(a: Value, b: Value): Value;
  xor(a: Value, b: Value): Value;
  shl(a: Value, count: Value): Value;
  shrU(a: Value, count: Value): Value;
  shrS(a: Value, count: Value): Value;
  not(a: Value): Value;
  /** Conditions (i32). `lt` and the rest compare all 64 bits; `eqz` of a condition negates it. */
  eq(a: Value, b: Value): Value;
  ne(a: Value, b: Value): Value;
  eqz(a: Value): Value;
  nez(a: Value): Value;
  ltU(a: Value, b: Value): Value;
  ltS(a: Value, b: Value): Value;
  /** `condition ? a : b`, both computed. */
  select(condition: Value, a: Value, b: Value): Value;
  /** Keeps the low `bits`, the rest zero or copies of the sign. */
  zeroExtend(a: Value, bits: number): Value;
  signExtend(a: Value, bits: number): Value;
  /** i32 ⇄ i64 (zero-extending up). */
  narrow(a: Value): Value;
  widen(a: Value): Value;
  /** Bit `index` of an i64, as a condition. */
  bit(a: Value, index: number): Value;

  /** What a routine makes of its arguments. */
  call(routine: Routine, ...args: Value[]): Value;

  variable(initial: Value): Variable;
  if(condition: Value, then: () => void, otherwise?: () => void): void;
  /** Like `if`, for what hardly ever happens: engines keep its cost off the other path. */
  rarely(condition: Value, then: () => void): void;
  /** Repeats `body` while the condition it returns holds. */
  loopWhile(body: () => Value): void;

  /** General register `index`, all 64 bits (or its low part, zero-extended; 8-bit: low byte only). */
  register(index: number, bits?: IntegerBits): Value;
  /** Writes as the processor does: 32 bits clear the upper half, 8 and 16 keep the rest. */
  setRegister(index: number, value: Value, bits?: IntegerBits): void;
  vectorRegister(index: number): Value;
  setVectorRegister(index: number, value: Value): void;
  state(name: StateName): Value;
  setState(name: StateName, value: Value): void;

  /** Memory at a segment's offset (`DS`-like default comes from the instruction). Zero-extended i64. */
  load(segment: SegmentName, offset: Value, bits: IntegerBits): Value;
  store(segment: SegmentName, offset: Value, value: Value, bits: IntegerBits): void;

  /**
   * Copies (fills with the low `bits` of `value`) up to `lengthBytes` forwards at once, in 64-bit mode: as much as is
   * plain memory on one page. Gives the bytes done, whole elements of `bits`; 0 where one element must go alone.
   */
  copyForward(to: Value, from: Value, lengthBytes: Value, bits: IntegerBits): Value;
  fillForward(to: Value, value: Value, lengthBytes: Value, bits: IntegerBits): Value;

  /** After a + b = r (all sign-extended from `bits` to 64): sets all six flags. */
  flagsAdd(a: Value, b: Value, r: Value): void;
  /** After a - b = r, likewise. */
  flagsSub(a: Value, b: Value, r: Value): void;
  /** After a * b = r, likewise: CF = OF = r is not the whole product, ZF, SF, PF from r, AF = 0. */
  flagsProduct(a: Value, b: Value, r: Value): void;
  /** ZF, SF, PF from r (sign-extended), CF = OF = AF = 0. */
  flagsLogic(r: Value): void;
  /** ZF, SF, PF from r (sign-extended); the others as given (conditions). Those not given keep their value. */
  flagsResult(r: Value, given: Partial<Record<'CF' | 'OF' | 'AF', Value>>): void;
  /** Exactly these flags; the others keep their value. */
  flagsSet(given: Partial<Record<FlagName, Value>>): void;
  flag(name: FlagName): Value;
  /** The six flags at their RFLAGS positions, all other bits zero; and the way back. */
  flagsImage(): Value;
  setFlagsImage(image: Value): void;
  /** Condition code 0-15 as in Jcc (SDM vol. 1 appendix B). */
  condition(code: number): Value;

  /** Orders all memory accesses before it ahead of all behind it, as other vCPUs see them. */
  fence(): void;

  /** The time-stamp counter of this moment (i64). */
  timeStamp(): Value;
  /** Says that the guest spins. */
  pause(): void;
  /** Sets RFLAGS.AC of a supervisor, and with it which pages it may access (SDM vol. 3A §4.6.1). */
  setAlignmentCheck(on: boolean): void;
  /** Loads CS and SS with the flat segments of 64-bit code at that privilege level; without `ss` SS stays what it is. A jump follows. */
  enterFlat(cpl: 0 | 3, cs: Value, ss: Value | undefined): void;

  /** Address of the next instruction. */
  nextRip(): Value;
  /** Raises #GP(0) where a near branch to `target` would leave canonical addresses or the code segment (SDM vol. 1 §3.3.7, vol. 3A §5.3). */
  checkTarget(target: Value): void;
  /** Ends the instruction by continuing at `target` (already truncated to the mode's width). */
  jump(target: Value): void;
  /** Continues at the instruction's relative target when the condition holds (always, without one). */
  branch(condition?: Value): void;
  /** Lets the engine look at pending interrupts soon, after RFLAGS.IF was set. */
  interruptWindow(): void;
  /** Raises an exception; nothing the instruction did before may be visible. */
  fault(vector: number, errorCode?: number): void;
  /** The result of a floating-point operation in all its detail; an unmasked exception ends the instruction (#XM, or #UD without CR4.OSXMMEXCPT). */
  exactFloat(name: ExactFloat, ...operands: Value[]): Value;
  /**
   * Nonzero unless an inexact result rounded to nearest, as WebAssembly computes it, is all that MXCSR asks for: rounding is to
   * nearest, and the precision exception is masked and its flag set already.
   */
  roundingShows(): Value;
  /** Does an ordinary case; 0 (i32) where the case is another, and then nothing has changed and the helper must be called. */
  x87(name: X87Quick, ...operands: Value[]): Value;
  /** What `x87` left to be stored, and of an extended number its sign and exponent. */
  x87Stored(part: 'value' | 'head'): Value;
  /**
   * Calls the engine's shared helper of that name, for what is rare or awkward (far transfers, CPUID, x87). Arguments
   * and result are i64. The helper may raise exceptions and change any state, RIP included.
   */
  helper(name: string, ...args: Value[]): Value;
}

export type SegmentName = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'data';

/** The operands of one form of an instruction, numbered from 0 as the row writes them. */
export interface Operands {
  /** Effective operand size of the instruction: 8, 16, 32 or 64. */
  readonly bits: IntegerBits;
  /** Effective address size. Only rows with `perAddressSize` may look. */
  readonly addressBits: 16 | 32 | 64;
  /** REP/REPE = 0xF3, REPNE = 0xF2, none = 0. Only rows with `perRepeat` may look. */
  readonly repeat: 0 | 0xf2 | 0xf3;
  readonly count: number;
  /** Size of operand `index` in bits (8 to 128). */
  sizeBits(index: number): number;
  isMemory(index: number): boolean;
  isImmediate(index: number): boolean;
  /** Selector and offset of a far-pointer immediate. */
  farImmediate(): [selector: Value, offset: Value];
  /** The 16 bits at a memory operand, whatever its size. */
  readWord(index: number): Value;
  /** A 16-bit result: zero-extended into a register, 16 bits to memory. */
  writeSelector(index: number, value: Value): void;
  /** Integer value, zero-extended to i64. An immediate is sign-extended to its operand size first. */
  read(index: number): Value;
  /** Integer value, sign-extended to i64. */
  readSigned(index: number): Value;
  /** Low bits of an i64, to a register (32 bits clear the upper half) or memory. */
  write(index: number, value: Value): void;
  /** Vector register, or memory of the operand's size with the rest zero. v128. */
  readVector(index: number): Value;
  /** v128 to a vector register (all of it) or to memory (its low `sizeBits`). */
  writeVector(index: number, value: Value): void;
  /** Effective address of a memory operand, without its segment's base (LEA). */
  offset(index: number): Value;
  /** Linear address of a memory operand (INVLPG and helpers). With `write` the segment must be writable. */
  linear(index: number, purpose?: 'write'): Value;
  /** For BT and kin: a memory operand moved by `byteOffset` (i64) before it is read or written. */
  displace(index: number, byteOffset: Value): void;
  /** Register number (0-15, or control/debug/segment/x87/MMX register number) of a register operand, as i64. */
  number(index: number): Value;
}
