/** A loop around LOCKed instructions that two vCPUs run at once on the same operand, and what must come of it. */
export interface LockedCase {
  readonly name: string;
  /** MOV eAX … UD2; RBX is the operand's address, RCX counts rounds down (RDI where RCX is an operand). */
  readonly code: Uint8Array;
  readonly sizeBytes: number;
  /** Where the operand lies from OPERAND_PAGE on, and what it is at the start. */
  readonly offset: number;
  readonly initial: bigint;
  readonly rounds: number;
  readonly registers: (vcpu: number) => Registers;
  /** What must be there after both ran (of 16 bytes, the low 8). */
  readonly operand: bigint;
  /** The 32-bit word at COUNTER, which the loop changes without LOCK. */
  readonly counter: number;
  /** How many carries each vCPU must have counted in RDI. */
  readonly carries: number | undefined;
}

type Registers = Partial<Record<'rdx' | 'rsi' | 'rdi', bigint>>;
type Bits = 8 | 16 | 32 | 64;

export const OPERAND_PAGE = 0x2_0000;
export const COUNTER = 0x2_8000;
export const VCPUS = 2;
/** Enough for compiled code to take over from the interpreter. */
const ROUNDS_COMPILED = 60_001;
const ROUNDS = 4001;
const ROUNDS_MISALIGNED = 151;
const ALIGNED = 0x40;

interface Draft {
  readonly name: string;
  readonly body: readonly number[];
  readonly registers?: (vcpu: number) => Registers;
  readonly initial?: bigint;
  readonly operand: (rounds: number) => number | bigint;
  readonly usesCounter?: boolean;
  readonly countsCarries?: boolean;
}

const LOCK = 0xf0;
const [RAX, RDX, RSI] = [0, 2, 6];
const CLC = 0xf8;
const STC = 0xf9;
const MOV_EDX_ESI = [0x89, 0xf2];
/** ADC EDI, 0 */
const COUNT_CARRY = [0x83, 0xd7, 0x00];
const UD2 = [0x0f, 0x0b];

const prefix = (bits: Bits) => (bits === 16 ? [0x66] : bits === 64 ? [0x48] : []);
/** Instructions whose opcode for bytes has that for other sizes behind it; the register or extension with [RBX]. */
const onMemory = (bits: Bits, opcode: readonly number[], reg: number) => [...prefix(bits), ...opcode.slice(0, -1), opcode.at(-1)! + (bits === 8 ? 0 : 1), (reg << 3) | 3];
const repeatWhile = (body: readonly number[], condition: readonly number[]) => [...body, ...condition, 0x75, -(body.length + condition.length + 2) & 0xff];

/** MOV eAX, [RBX]; again: LEA RDX, [RAX+1]; LOCK CMPXCHG [RBX], eDX; JNZ again */
function compareExchange(bits: Bits): number[] {
  return [...onMemory(bits, [0x8a], RAX), ...repeatWhile([0x48, 0x8d, 0x50, 0x01, LOCK, ...onMemory(bits, [0x0f, 0xb0], RDX)], [])];
}

/** again: MOV EDX, 1; XCHG [RBX], eDX; TEST EDX, EDX; JNZ again; INC dword [RSI]; MOV [RBX], eDX */
function spinLock(bits: Bits): number[] {
  const take = repeatWhile([0xba, 1, 0, 0, 0, ...onMemory(bits, [0x86], RDX)], [0x85, 0xd2]);
  return [...take, 0xff, 0x06, ...onMemory(bits, [0x88], RDX)];
}

/** XOR EAX, EAX; XOR EDX, EDX; again: RCX:RBX = RDX:RAX + 1; LOCK CMPXCHG16B [RSI] (or 8B); JNZ again */
function exchangePair(wide: boolean): number[] {
  const rex = wide ? [0x48] : [];
  const increment = [...rex, 0x89, 0xc3, ...rex, 0x83, 0xc3, 0x01, ...rex, 0x89, 0xd1, ...rex, 0x83, 0xd1, 0x00];
  return [0x31, 0xc0, 0x31, 0xd2, ...repeatWhile([...increment, LOCK, ...rex, 0x0f, 0xc7, (1 << 3) | RSI], [])];
}

const sum = (rounds: number) => rounds * (3 + 4);
const both = (rounds: number) => rounds * VCPUS;
const addend = (vcpu: number): Registers => ({ rdx: BigInt(3 + vcpu), rsi: BigInt(3 + vcpu) });
/** Each vCPU changes a bit of its own. */
const ownBit = (vcpu: number) => vcpu * 3;
const ownMask = (vcpu: number): Registers => ({ rdx: 1n << BigInt(ownBit(vcpu)), rsi: ~(1n << BigInt(ownBit(vcpu))) });
const ownPlace = (vcpu: number): Registers => ({ rdx: BigInt(ownBit(vcpu)), rdi: 0n });

function drafts(bits: Bits): Draft[] {
  const lock = (opcode: number, reg: number, ...escape: number[]) => [LOCK, ...onMemory(bits, [...escape, opcode], reg)];
  const bit = (opcode: number) => [LOCK, ...prefix(bits), 0x0f, opcode, (RDX << 3) | 3, ...COUNT_CARRY];
  const all: Draft[] = [
    { name: 'INC', body: lock(0xfe, 0), operand: both },
    { name: 'DEC', body: lock(0xfe, 1), operand: (rounds) => -both(rounds) },
    { name: 'NOT', body: lock(0xf6, 2), initial: 5n, operand: () => 5 },
    { name: 'NEG', body: lock(0xf6, 3), initial: 5n, operand: () => 5 },
    { name: 'ADD', body: lock(0x00, RDX), registers: addend, operand: sum },
    { name: 'SUB', body: lock(0x28, RDX), registers: addend, operand: (rounds) => -sum(rounds) },
    { name: 'ADC', body: [STC, ...lock(0x10, RDX)], registers: addend, operand: (rounds) => sum(rounds) + both(rounds) },
    { name: 'SBB', body: [CLC, ...lock(0x18, RDX)], registers: addend, operand: (rounds) => -sum(rounds) },
    { name: 'XOR', body: lock(0x30, RDX), registers: ownMask, operand: () => 0b1001 },
    { name: 'OR and XOR', body: [...lock(0x08, RDX), ...lock(0x30, RDX)], registers: ownMask, operand: () => 0 },
    { name: 'XOR and AND', body: [...lock(0x30, RDX), ...lock(0x20, RSI)], registers: ownMask, operand: () => 0 },
    { name: 'XADD', body: [...MOV_EDX_ESI, ...lock(0xc0, RDX, 0x0f)], registers: addend, operand: sum },
    { name: 'CMPXCHG', body: compareExchange(bits), operand: both },
    { name: 'XCHG', body: spinLock(bits), registers: () => ({ rsi: BigInt(COUNTER) }), operand: () => 0, usesCounter: true },
  ];
  if (bits === 8) return all;
  return [
    ...all,
    { name: 'BTS and BTR', body: [...bit(0xab), ...bit(0xb3)], registers: ownPlace, operand: () => 0, countsCarries: true },
    { name: 'BTC', body: [...bit(0xbb), ...bit(0xbb)], registers: ownPlace, operand: () => 0, countsCarries: true },
  ];
}

function makeCase(draft: Draft, bits: Bits, offset: number, rounds: number): LockedCase {
  const where = offset === ALIGNED ? 'aligned' : `misaligned at ${offset.toString(16)}`;
  return {
    name: `${draft.name}, ${bits} bits, ${where}`,
    // DEC ECX
    code: Uint8Array.from([...repeatWhile(draft.body, [0xff, 0xc9]), ...UD2]),
    sizeBytes: bits / 8,
    offset,
    initial: draft.initial ?? 0n,
    rounds,
    registers: draft.registers ?? (() => ({})),
    operand: BigInt.asUintN(bits, BigInt(draft.operand(rounds))),
    counter: draft.usesCounter ? both(rounds) : 0,
    carries: draft.countsCarries ? rounds : undefined,
  };
}

const pairCase = (wide: boolean, rounds: number): LockedCase => ({
  name: wide ? 'CMPXCHG16B' : 'CMPXCHG8B',
  // DEC EDI
  code: Uint8Array.from([...repeatWhile(exchangePair(wide), [0xff, 0xcf]), ...UD2]),
  sizeBytes: 8,
  offset: ALIGNED,
  initial: 0n,
  rounds,
  registers: () => ({ rsi: BigInt(OPERAND_PAGE + ALIGNED), rdi: BigInt(rounds) }),
  operand: BigInt(both(rounds)),
  counter: 0,
  carries: undefined,
});

/** Every LOCKable instruction: aligned, misaligned within a word, over two words, and over two pages. */
export function lockedCases(compiled: boolean): LockedCase[] {
  const rounds = compiled ? ROUNDS_COMPILED : ROUNDS;
  const integer = ([8, 16, 32, 64] as const).flatMap((bits) => {
    const misaligned = bits === 8 ? [] : [0x41, 0x48 - bits / 8 + 1, 0x1000 - bits / 8 + 1];
    return drafts(bits).flatMap((draft) => [makeCase(draft, bits, ALIGNED, rounds), ...misaligned.map((offset) => makeCase(draft, bits, offset, ROUNDS_MISALIGNED))]);
  });
  return [pairCase(false, rounds), pairCase(true, rounds), ...integer];
}
