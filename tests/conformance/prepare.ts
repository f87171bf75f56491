import type { Row } from '@hanok/x86';
import type { Draft } from './draft.ts';
import { EXIT_BYTES, FLAG, FX, LAYOUT, TESTED_FLAGS } from './layout.ts';
import { integerPattern } from './random.ts';

/**
 * What an instruction needs before it can do something worth comparing: a stack, a branch target, string pointers.
 * Rows are told apart by opcode, so that a preparation holds whatever the row is called.
 */
export interface Preparation {
  /** Registers with a meaning of their own: neither addresses nor free operands use them. */
  readonly reserved?: readonly number[];
  /** Registers of operands are not used for addresses either, because `apply` sets them. */
  readonly separateOperands?: boolean;
  /** The memory operand must not fault, because what follows depends on it. */
  readonly noFault?: boolean;
  /** Bytes around the memory operand that the instruction may reach besides it. */
  readonly marginBytes?: number;
  readonly operandBytes?: (draft: Draft) => number;
  readonly alignment?: (draft: Draft) => number;
  /** Draws the bits of an immediate. */
  readonly immediate?: (draft: Draft, index: number) => bigint;
  readonly apply?: (draft: Draft) => void;
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

const WINDOW_END = LAYOUT.windowBase + LAYOUT.windowBytes;

/** A pointer as the address size takes it: with 32 bits the upper half is ignored. */
function pointer(draft: Draft, address: number): bigint {
  return draft.addressBits === 32 ? (draft.random.u64() & ~0xffff_ffffn) | BigInt(address) : BigInt(address);
}

/** Eight bytes, or those of them that lie in the window. */
function writeMemory(draft: Draft, address: number, value: bigint): void {
  for (let index = 0; index < 8; index++) {
    const offset = address - LAYOUT.windowBase + index;
    if (offset >= 0 && offset < LAYOUT.windowBytes) draft.memory[offset] = Number((value >> BigInt(8 * index)) & 0xffn);
  }
}

/** An address where execution may continue, clear of the instruction and its successor. */
function drawExit(draft: Draft): number {
  const { random } = draft;
  const address = random.oneIn(2) ? draft.codeAddress + random.between(48, 900) : draft.codeAddress - random.between(EXIT_BYTES + 16, 900);
  draft.targets.push(address);
  return address;
}

/** RSP inside the window, now and then so close to an end that the access faults. */
function stackPointer(draft: Draft, roomBytes: number): number {
  const { random } = draft;
  let address = LAYOUT.windowBase + roomBytes + random.below(LAYOUT.windowBytes - 2 * roomBytes);
  if (!random.oneIn(4)) address &= ~7;
  if (random.oneIn(32)) address = random.pick([LAYOUT.windowBase + random.below(8), WINDOW_END - random.below(8)]);
  draft.gpr[RSP] = BigInt(address);
  // Not canonical: #SS instead of #GP.
  if (random.oneIn(64)) draft.gpr[RSP] = 0x8000_0000_0000n | BigInt(address);
  return address;
}

const stack: Preparation = { reserved: [RSP], apply: (draft) => void stackPointer(draft, 64) };

const popFlags: Preparation = {
  reserved: [RSP],
  apply(draft) {
    const address = stackPointer(draft, 64);
    // Trace, alignment check and the rest would act on the code around the instruction.
    writeMemory(draft, address, BigInt((draft.random.u32() & TESTED_FLAGS) | 2));
  },
};

const enter: Preparation = {
  reserved: [RSP, RBP],
  immediate: (draft, index) => BigInt(index === 0 ? draft.random.below(0x200) : draft.random.pick([0, 1, 2, 3, 31, draft.random.below(256)])),
  apply(draft) {
    draft.gpr[RSP] = BigInt(LAYOUT.windowBase + 0x1000 + draft.random.below(0x800));
    draft.gpr[RBP] = BigInt(LAYOUT.windowBase + 0x400 + draft.random.below(0x1800));
  },
};

const leave: Preparation = {
  reserved: [RBP],
  apply(draft) {
    stackPointer(draft, 64);
    draft.gpr[RBP] = draft.gpr[RSP]!;
    draft.gpr[RSP] = integerPattern(draft.random);
  },
};

const ret: Preparation = {
  reserved: [RSP],
  apply(draft) {
    const address = LAYOUT.windowBase + 64 + draft.random.below(LAYOUT.windowBytes - 128);
    draft.gpr[RSP] = BigInt(address);
    writeMemory(draft, address, BigInt(drawExit(draft)));
  },
};

/** Near branches with a distance in the code. */
const relative: Preparation = {
  reserved: [RSP],
  immediate(draft, index) {
    const { random } = draft;
    const near = draft.form.row.operands[index]!.size === 'b';
    const forward = random.between(EXIT_BYTES, near ? 127 : 1200);
    return BigInt(random.oneIn(2) ? forward : -random.between(EXIT_BYTES + 16, near ? 128 : 1200));
  },
  apply(draft) {
    stackPointer(draft, 64);
    if (draft.random.oneIn(2)) draft.gpr[RCX] = pointer(draft, draft.random.below(3));
  },
};

/** JMP and CALL through a register or memory. */
const indirect: Preparation = {
  reserved: [RSP],
  separateOperands: true,
  noFault: true,
  apply(draft) {
    // CALL pushes where it reads only by chance, and then after reading.
    stackPointer(draft, 64);
    const target = BigInt(drawExit(draft));
    const operand = draft.operands[0]!;
    if (operand.kind === 'register') draft.gpr[operand.number] = target;
    else if (draft.operandAddress !== undefined) writeMemory(draft, draft.operandAddress, target);
  },
};

function elementBytes(draft: Draft): number {
  return draft.form.row.opcode % 2 === 0 ? 1 : draft.form.bits / 8;
}

/** Start of `count` elements inside the window in the direction of DF; now and then they run into its end. */
function stringStart(draft: Draft, count: number): number {
  const { random } = draft;
  const size = elementBytes(draft);
  const down = (draft.rflags & FLAG.DF) !== 0;
  const lengthBytes = Math.max(count, 1) * size;
  const first = LAYOUT.windowBase + random.below(LAYOUT.windowBytes - lengthBytes + 1);
  if (random.oneIn(24)) return down ? LAYOUT.windowBase + random.below(4 * size) : WINDOW_END - size - random.below(4 * size);
  return down ? first + lengthBytes - size : first;
}

const string: Preparation = {
  reserved: [RCX, RSI, RDI],
  apply(draft) {
    const { random, gpr, memory, form } = draft;
    // Whether INS and OUTS look at the privilege for a count of 0 differs between processors.
    const fewest = form.row.opcode < 0x70 ? 1 : 0;
    const count = form.repeat ? Math.max(fewest, random.pick([0, 1, 2, random.below(24), random.below(80)])) : 1;
    const alike = random.oneIn(2);
    if (alike) memory.fill(random.u32() & 0xff);
    const source = stringStart(draft, count);
    const destination = random.oneIn(3) ? source + random.between(-16, 16) : stringStart(draft, count);
    gpr[RSI] = pointer(draft, source);
    gpr[RDI] = pointer(draft, destination);
    if (form.repeat) gpr[RCX] = pointer(draft, count);
    if (alike && random.oneIn(2)) {
      gpr[RAX] = draft.memoryView.getBigUint64(0, true);
      // One element that differs, somewhere on the way.
      memory[(source - LAYOUT.windowBase + random.between(-40, 40)) & (LAYOUT.windowBytes - 1)]! ^= 1;
    }
  },
};

const translate: Preparation = {
  reserved: [RBX],
  apply(draft) {
    const address = LAYOUT.windowBase + draft.random.below(LAYOUT.windowBytes);
    draft.gpr[RBX] = pointer(draft, address - Number(draft.gpr[RAX]! & 0xffn));
  },
};

const maskedStore: Preparation = {
  reserved: [RDI],
  apply(draft) {
    draft.gpr[RDI] = pointer(draft, LAYOUT.windowBase + draft.random.below(LAYOUT.windowBytes - 16));
  },
};

/** BT and kin with the offset in a register reach that many bits away from the operand. */
const bitString: Preparation = {
  separateOperands: true,
  marginBytes: 1024,
  apply(draft) {
    const offset = draft.operands[1]!;
    if (!draft.form.memory || offset.kind !== 'register') return;
    const distance = BigInt.asUintN(draft.form.bits, BigInt(draft.random.between(-8000, 8000)));
    const keep = BigInt.asUintN(64, ~((1n << BigInt(draft.form.bits)) - 1n));
    draft.gpr[offset.number] = (draft.gpr[offset.number]! & keep) | distance;
  },
};

/** Half of the dividends are small enough for a quotient that fits. */
const divide: Preparation = {
  reserved: [RAX, RDX],
  apply(draft) {
    const { random, gpr } = draft;
    const choice = random.below(4);
    if (choice === 0) gpr[RDX] = 0n;
    else if (choice === 1) gpr[RDX] = BigInt.asUintN(64, BigInt.asIntN(64, gpr[RAX]!) >> 63n);
    else if (choice === 2) gpr[RDX] = BigInt(random.below(16));
    if (random.oneIn(2) && draft.form.row.opcode === 0xf6) gpr[RAX] = gpr[RAX]! & 0xffff_ffff_ffff_00ffn;
  },
};

/** CMPXCHG finds what it expects in half of the cases. */
const compareExchange: Preparation = {
  reserved: [RAX],
  apply(draft) {
    if (draft.random.oneIn(2)) return;
    const operand = draft.operands[0]!;
    if (operand.kind === 'register') draft.gpr[RAX] = draft.gpr[operand.number]!;
    else if (draft.operandAddress !== undefined) writeMemory(draft, draft.operandAddress, draft.gpr[RAX]!);
  },
};

const compareExchangeWide: Preparation = {
  operandBytes: (draft) => (draft.form.bits === 64 ? 16 : 8),
  alignment: (draft) => (draft.form.bits === 64 && !draft.random.oneIn(12) ? 16 : 1),
  apply(draft) {
    if (draft.random.oneIn(2) || draft.operandAddress === undefined) return;
    const { gpr } = draft;
    if (draft.form.bits === 64) {
      writeMemory(draft, draft.operandAddress, gpr[RAX]!);
      writeMemory(draft, draft.operandAddress + 8, gpr[RDX]!);
    } else {
      writeMemory(draft, draft.operandAddress, (gpr[RAX]! & 0xffff_ffffn) | ((gpr[RDX]! & 0xffff_ffffn) << 32n));
    }
  },
};

/** LDMXCSR; bit 17 is AMD's misaligned-access enable and bits above 15 are otherwise reserved. */
const loadMxcsr: Preparation = {
  apply(draft) {
    if (draft.operandAddress === undefined) return;
    const reserved = draft.random.oneIn(12) ? 0x0001_0000 : 0;
    const value = (draft.random.u32() & 0xffff) | reserved;
    const offset = draft.operandAddress - LAYOUT.windowBase;
    if (offset >= 0 && offset + 4 <= LAYOUT.windowBytes) draft.memoryView.setUint32(offset, value, true);
  },
};

const floatImage: Preparation = {
  operandBytes: () => FX.sizeBytes,
  alignment: (draft) => (draft.random.oneIn(16) ? 1 : 16),
  apply(draft) {
    const at = (draft.operandAddress ?? 0) - LAYOUT.windowBase;
    if (at < 0 || at + FX.sizeBytes > LAYOUT.windowBytes) return;
    draft.memory.fill(0, at, at + FX.sizeBytes);
    draft.memory.set(draft.fx, at);
    draft.random.bytes(draft.memory.subarray(at + FX.xmm, at + FX.end));
    draft.memoryView.setUint32(at + FX.mxcsr, draft.random.u32() & (draft.random.oneIn(16) ? 0x1_ffff : 0xffff), true);
    draft.memoryView.setUint8(at + FX.tag, draft.random.u32());
    for (let index = 0; index < 8; index++) draft.random.bytes(draft.memory.subarray(at + FX.registers + 16 * index, at + FX.registers + 16 * index + 10));
  },
};

/** INT n: the vectors Linux lets programs raise itself are left out, all others are #GP for them. */
const softwareInterrupt: Preparation = {
  immediate(draft) {
    const vector = draft.random.below(256);
    return BigInt(vector === 3 || vector === 4 || vector === 0x80 ? 0x21 : vector);
  },
};

/** Strings of few different letters, with ends among them, and lengths around those a vector has. */
const textStrings: Preparation = {
  reserved: [RAX, RDX],
  apply(draft) {
    const { random, gpr, fx, memory, operandAddress } = draft;
    if (random.oneIn(4)) return;
    const letters = random.between(1, 4);
    const zeros = random.pick([4, 12, 64]);
    const letter = () => (random.oneIn(zeros) ? 0 : 0x7e + random.below(letters));
    const words = random.oneIn(2);
    const fill = (bytes: Uint8Array) => bytes.forEach((_, index) => { bytes[index] = words && index % 2 === 1 ? 0 : letter(); });
    fill(fx.subarray(FX.xmm, FX.end));
    const at = (operandAddress ?? 0) - LAYOUT.windowBase;
    if (at >= 0 && at + 16 <= LAYOUT.windowBytes) fill(memory.subarray(at, at + 16));
    for (const register of [RAX, RDX]) {
      const length = BigInt(random.between(-18, 18));
      gpr[register] = BigInt.asUintN(64, random.oneIn(4) ? (random.u64() & ~0xffff_ffffn) | BigInt.asUintN(32, length) : length);
    }
  },
};

const NONE: Preparation = {};

const ONE_BYTE = new Map<number, Preparation>([
  [0x06, stack], [0x0e, stack], [0x16, stack], [0x1e, stack], [0x60, stack], [0x61, stack], [0xd7, translate], [0xc8, enter], [0xc9, leave], [0xc2, ret], [0xc3, ret], [0x9c, stack], [0x9d, popFlags], [0x68, stack], [0x6a, stack],
  [0x8f, stack], [0xe8, relative], [0xe9, relative], [0xeb, relative], [0xcd, softwareInterrupt],
]);

const TWO_BYTE = new Map<number, Preparation>([
  [0xa0, stack], [0xa1, stack], [0xa8, stack], [0xa9, stack], [0xa3, bitString], [0xab, bitString], [0xb3, bitString], [0xbb, bitString],
  [0xb0, compareExchange], [0xb1, compareExchange], [0xf7, maskedStore],
]);

function groupPreparation(row: Row): Preparation | undefined {
  const key = `${row.map}:${row.opcode.toString(16)}/${row.extension}`;
  switch (key) {
    case '0:f6/6': case '0:f6/7': case '0:f7/6': case '0:f7/7': return divide;
    case '0:ff/2': case '0:ff/4': return indirect;
    case '0:ff/6': return stack;
    case '1:c7/1': return compareExchangeWide;
    case '1:ae/0': case '1:ae/1': return floatImage;
    case '1:ae/2': return loadMxcsr;
    default: return undefined;
  }
}

/** The preparation a row needs. */
export function preparationOf(row: Row): Preparation {
  const group = groupPreparation(row);
  if (group) return group;
  const { opcode } = row;
  if (row.map === 1) {
    if (opcode >= 0x80 && opcode <= 0x8f) return relative;
    return TWO_BYTE.get(opcode) ?? NONE;
  }
  if (row.map === 3 && opcode >= 0x60 && opcode <= 0x63) return textStrings;
  if (row.map !== 0) return NONE;
  if (opcode >= 0x50 && opcode <= 0x5f) return stack;
  if ((opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xe0 && opcode <= 0xe3)) return relative;
  if ((opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf) || (opcode >= 0x6c && opcode <= 0x6f)) return string;
  return ONE_BYTE.get(opcode) ?? NONE;
}
