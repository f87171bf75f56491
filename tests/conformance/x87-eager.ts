/**
 * Runs the bodies of x87 rows by themselves, without interpreter or decoder: values are computed as the body asks for
 * them. What it lacks, no x87 body uses.
 */
import type { Emit, Operands, Row, Value } from '@hanok/x86';
import { CPU, SEGMENT, SEGMENT_INDEX } from '../../packages/emulator/src/layout.ts';
import { GuestFault, type HelperContext } from '../../packages/emulator/src/helper.ts';
import { X87_HELPERS } from '../../packages/emulator/src/x87/helpers.ts';
import { FLAG, FX, LAYOUT } from './layout.ts';

interface EagerValue extends Value {
  readonly number: bigint;
}

const value = (number: bigint, type: Value['type'] = 'i64'): EagerValue => ({ type, number: BigInt.asUintN(type === 'i32' ? 32 : 64, number) });
const numberOf = (operand: Value): bigint => (operand as EagerValue).number;

const CR0_PE_MP_NE = 0x23n;
const EFER_LMA = 0x400n;
const ACCESS_LONG = 0x2000;
const BLOCK_BYTES = 0x1000;
/** Where the FXSAVE image lies while it is taken over, below the window. */
const IMAGE_BASE = LAYOUT.windowBase - 0x1000;

/** Memory operand of a row, as an offset in the window. */
export const OPERAND_OFFSET = 0x100;

export class EagerProcessor {
  readonly view = new DataView(new ArrayBuffer(BLOCK_BYTES));
  readonly memory = new Uint8Array(LAYOUT.windowBytes);
  readonly image = new Uint8Array(FX.sizeBytes);
  flags = 0;
  rax = 0n;

  readonly context: HelperContext = {
    view: this.view,
    raise: (vector) => {
      throw new GuestFault(vector);
    },
    readMemory: (linear, bits) => {
      const { view, at } = this.#locate(linear, bits / 8);
      if (bits === 64) return view.getBigUint64(at, true);
      return BigInt(bits === 32 ? view.getUint32(at, true) : bits === 16 ? view.getUint16(at, true) : view.getUint8(at));
    },
    writeMemory: (linear, number, bits) => {
      const { view, at } = this.#locate(linear, bits / 8);
      for (let index = 0; index < bits / 8; index++) view.setUint8(at + index, Number((number >> BigInt(index * 8)) & 0xffn));
    },
    wasmMemory: this.view,
    plainAddress: () => 0,
    probeWrite: (linear, lengthBytes) => void this.#locate(linear, lengthBytes),
  };

  constructor() {
    this.view.setBigUint64(CPU.cr0, CR0_PE_MP_NE, true);
    this.view.setBigUint64(CPU.efer, EFER_LMA, true);
    this.view.setUint32(CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes + SEGMENT.access, ACCESS_LONG, true);
  }

  #locate(linear: bigint, lengthBytes: number): { view: DataView; at: number } {
    const address = Number(linear);
    const area = address < LAYOUT.windowBase ? { base: IMAGE_BASE, bytes: this.image } : { base: LAYOUT.windowBase, bytes: this.memory };
    const at = address - area.base;
    if (at < 0 || at + lengthBytes > area.bytes.length) throw new GuestFault(14);
    return { view: new DataView(area.bytes.buffer, area.bytes.byteOffset, area.bytes.length), at };
  }

  load(image: Uint8Array): void {
    this.image.set(image);
    X87_HELPERS['x87-fxrstor']!(this.context, BigInt(IMAGE_BASE), 1n);
  }

  store(): Uint8Array {
    X87_HELPERS['x87-fxsave']!(this.context, BigInt(IMAGE_BASE), 1n);
    return this.image;
  }

  /** @param number register the ModRM byte names */
  run(row: Row, number: number, bits: Operands['bits'] = 32): void {
    row.insn.body(this.#emit, this.#operands(row, number, bits));
  }

  #operands(row: Row, number: number, bits: Operands['bits']): Operands {
    const address = BigInt(LAYOUT.windowBase + OPERAND_OFFSET);
    const sizeBits = ({ w: 16, d: 32, q: 64 } as const)[row.operands[0]?.size as 'w'] ?? 16;
    const used: Partial<Operands> = {
      bits,
      linear: () => value(address),
      offset: () => value(address),
      number: () => value(BigInt(number)),
      read: () => value(this.context.readMemory(address, sizeBits)),
      readSigned: () => value(BigInt.asIntN(sizeBits, this.context.readMemory(address, sizeBits))),
      write: (index, written) => {
        if (row.operands[index]!.kind === 'fixed') this.rax = (this.rax & ~0xffffn) | (numberOf(written) & 0xffffn);
        else this.context.writeMemory(address, numberOf(written), sizeBits);
      },
    };
    return used as Operands;
  }

  readonly #emit: Emit = {
    constant: (number: bigint | number) => value(BigInt(number)),
    constant32: (number: number) => value(BigInt(number), 'i32'),
    op: (name: string, ...operands: Value[]) => {
      if (name === 'i32.eqz') return value(numberOf(operands[0]!) === 0n ? 1n : 0n, 'i32');
      if (name === 'i32.and') return value(numberOf(operands[0]!) & numberOf(operands[1]!), 'i32');
      if (name === 'i32.or') return value(numberOf(operands[0]!) | numberOf(operands[1]!), 'i32');
      throw new Error(`the eager processor lacks ${name}`);
    },
    widen: (operand: Value) => value(numberOf(operand)),
    bit: (operand: Value, index: number) => value((numberOf(operand) >> BigInt(index)) & 1n, 'i32'),
    flag: (name: keyof typeof FLAG) => value(this.flags & FLAG[name] ? 1n : 0n, 'i32'),
    flagsSet: (given: Record<string, Value>) => {
      for (const [name, condition] of Object.entries(given)) {
        const bit = FLAG[name as keyof typeof FLAG];
        this.flags = numberOf(condition) ? this.flags | bit : this.flags & ~bit;
      }
    },
    // Every case goes to the helpers, which are what is compared here.
    x87: () => value(0n, 'i32'),
    x87Stored: () => value(0n),
    state: (name: string) => value(name === 'rip' ? this.context.view.getBigUint64(CPU.rip, true) : 0n),
    rarely: (condition: Value, then: () => void) => { if (numberOf(condition) !== 0n) then(); },
    if: (condition: Value, then: () => void) => { if (numberOf(condition) !== 0n) then(); },
    variable: (initial: Value) => {
      let held = initial;
      return { get: () => held, set: (next: Value) => { held = next; } };
    },
    and: (a: Value, b: Value) => value(numberOf(a) & numberOf(b)),
    add: (a: Value, b: Value) => value(numberOf(a) + numberOf(b)),
    ltU: (a: Value, b: Value) => value(numberOf(a) < numberOf(b) ? 1n : 0n, 'i32'),
    load: (_segment: string, offset: Value, bits: 16 | 64) => value(this.context.readMemory(numberOf(offset), bits)),
    eqz: (operand: Value) => value(numberOf(operand) === 0n ? 1n : 0n, 'i32'),
    helper: (name: string, ...args: Value[]) => {
      const helper = X87_HELPERS[name];
      if (!helper) throw new Error(`no helper ${name}`);
      return value(helper(this.context, ...args.map(numberOf)) ?? 0n);
    },
  } as unknown as Emit;
}
