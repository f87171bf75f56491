import type { SavedState } from '@hanok/machine';
import { SavedFields } from './saved-fields.ts';

export const LOCAL_APIC_BASE = 0xfee00000;
export const LOCAL_APIC_SIZE_BYTES = 0x1000;

export const IA32_APIC_BASE = 0x1b;
export const IA32_TSC_DEADLINE = 0x6e0;
export const X2APIC_MSR_FIRST = 0x800;
export const X2APIC_MSR_LAST = 0x8ff;

/** Bits of IA32_APIC_BASE (SDM vol. 3A figures 11-5 and 11-26). */
export const ApicBase = { Bsp: 0x100, Extd: 0x400, En: 0x800 } as const;
const APIC_BASE_LOW_RESERVED = 0x2ffn;

/** 7 LVT entries, no suppression of EOI broadcasts (SDM vol. 3A §11.4.8). */
export const VERSION = 0x15 | (6 << 16);
export const SVR_ENABLE = 0x100;
/** Bits of the error status register (SDM vol. 3A figure 11-9). */
export const ApicError = { SendIllegalVector: 0x20, ReceiveIllegalVector: 0x40, IllegalRegister: 0x80 } as const;

/** LVT entries by their place in the local APIC's array; the bits a guest can set in each (SDM vol. 3A figure 11-8). */
export const Lvt = { Timer: 0, Thermal: 1, Performance: 2, Lint0: 3, Lint1: 4, Error: 5, Cmci: 6 } as const;
export const LVT_MASKED = 0x10000;
export const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff, 0x107ff];
/** Delivery status and remote IRR: read-only, but no fault to write. */
export const LVT_IGNORED = 0x5000;

/** One register: its offset in the xAPIC page is `index` * 16, its x2APIC MSR number 0x800 + `index`. */
export interface ApicRegister {
  readonly name: string;
  readonly index: number;
  readonly read?: () => number;
  readonly write?: (value: number) => void;
  /** Bits whose setting faults in x2APIC mode. */
  readonly reserved?: number;
  readonly only?: 'xapic' | 'x2apic';
  /** Writing faults in x2APIC mode. */
  readonly fixedInX2apic?: boolean;
}

export const ICR_INDEX = 0x30;

/** The bits of IA32_APIC_BASE that must be zero. */
export function apicBaseReserved(physicalAddressBits: number): bigint {
  return ~(((1n << BigInt(physicalAddressBits)) - 1n) & ~APIC_BASE_LOW_RESERVED);
}

/** Reads the state that `LocalApic.save` gave; `reserved` are the bits of the base register that must be zero. */
export function parseLocalApic(device: string, state: SavedState, reserved: bigint) {
  const fields = new SavedFields(device, state, 1);
  const base = fields.uint64('base');
  if ((base & reserved) !== 0n || (base & BigInt(ApicBase.En | ApicBase.Extd)) === BigInt(ApicBase.Extd)) {
    throw new Error(`${device}: field "base" of the saved state has reserved bits set`);
  }
  const vectors = (field: string): number[] => {
    const words = fields.integers(field, 8, 0xffffffff);
    if ((words[0]! & 0xffff) !== 0) throw new Error(`${device}: field "${field}" of the saved state has a vector under 16`);
    return words;
  };
  return {
    base,
    irr: vectors('irr'),
    isr: vectors('isr'),
    tmr: vectors('tmr'),
    lvt: fields.integers('lvt', LVT_WRITABLE.length, 0x7ffff).map((value, index) => value & LVT_WRITABLE[index]!),
    lint: fields.integers('lint', 2, 1).map((level) => level === 1),
    taskPriority: fields.integer('taskPriority', 0xff),
    ldr: fields.integer('ldr', 0xffffffff),
    dfr: fields.integer('dfr', 0xffffffff),
    svr: fields.integer('svr', 0x3ff),
    icr: fields.integers('icr', 2, 0xffffffff),
    errors: fields.integers('errors', 2, 0xff),
    nmi: fields.boolean('nmi'),
    timerInitialCount: fields.integer('timerInitialCount', 0xffffffff),
    timerDivideConfiguration: fields.integer('timerDivideConfiguration', 0xb),
    timerRemainingNs: fields.integer('timerRemainingNs', Number.MAX_SAFE_INTEGER, -1),
    timerDeadlineTsc: fields.uint64('timerDeadlineTsc'),
  };
}
