import type { Value } from '@hanok/x86';
import type { Node } from '../ir.ts';

/** Stands for RIP among the registers of an `Origin`. */
export const RIP_REGISTER = 16;

/** A value that is what a register held before the instruction, plus a constant. Of RIP it is the instruction's address. */
export interface Origin {
  readonly register: number;
  readonly displacement: number;
}

/** An access to memory at such an address, which happens whenever the instruction is executed. */
export interface KnownAccess extends Origin {
  readonly sizeBytes: number;
  readonly writes: boolean;
}

/** How an instruction uses memory, as the code is made that executes it. */
export class InstructionMemory {
  /** In the order of its body; undefined where the address or whether it happens is known only to the guest. */
  readonly accesses: (KnownAccess | undefined)[] = [];
  /** Registers it changes, and what is in them afterwards as far as that is known. */
  readonly changes = new Map<number, Origin | undefined>();
  /** Translations of addresses may be others behind it. */
  changesTranslation = false;

  /** What a register holds where the body has come to. */
  origin(register: number): Origin | undefined {
    return this.changes.has(register) ? this.changes.get(register) : { register, displacement: 0 };
  }

  /** Notes one that is never grouped. */
  addOther(): void {
    this.accesses.push(undefined);
  }
  /** Notes an access; its number among those of the instruction. */
  add(linear: Value, sizeBytes: number, writes: boolean, isConditional: boolean): number {
    const { origin } = linear as Node;
    this.accesses.push(origin && !isConditional ? { ...origin, sizeBytes, writes } : undefined);
    return this.accesses.length - 1;
  }
}

/** The origin of a sum or difference. */
export function originOf(name: string, [a, b]: readonly Node[]): Origin | undefined {
  if (name !== 'i64.add' && name !== 'i64.sub') return undefined;
  const constant = b!.constant;
  if (!a!.origin || constant === undefined) return undefined;
  return moved(a!.origin, name === 'i64.add' ? constant : -constant);
}

/** Displacements are added exactly: what is too large for that is not an origin. */
export function moved(origin: Origin, by: bigint): Origin | undefined {
  const displacement = BigInt(origin.displacement) + by;
  return BigInt.asIntN(32, displacement) === displacement ? { register: origin.register, displacement: Number(displacement) } : undefined;
}
