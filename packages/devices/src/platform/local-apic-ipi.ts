import { DeliveryMode } from '@hanok/machine';

/** An inter-processor interrupt for vCPUs other than the sender, which has served itself already. */
export interface IpiMessage {
  /** One of `DeliveryMode`: Fixed, LowestPriority, Nmi, Init or Startup. */
  readonly mode: number;
  /** For Startup, the page number where the processor starts. */
  readonly vector: number;
  /** `none`: those that `accepts(destination, logical)`. Init and Startup come here even when the sender is meant. */
  readonly shorthand: 'none' | 'others';
  readonly destination: number;
  readonly logical: boolean;
}

/** The identity of a local APIC, as far as destinations go. */
export interface ApicAddress {
  readonly x2apic: boolean;
  readonly id: number;
  /** Logical destination register, in the layout of the present mode. */
  readonly logicalDestination: number;
  /** Destination format register; xAPIC only. */
  readonly destinationFormat: number;
}

/** LDR of the x2APIC mode: 16 processors a cluster (SDM vol. 3A §11.12.10.2). */
export const x2apicLogicalDestination = (id: number): number => (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;

/** Is this local APIC among those a message is for (SDM vol. 3A §11.6.2, §11.12.10)? */
export function matchesDestination(apic: ApicAddress, destination: number, logical: boolean): boolean {
  if (apic.x2apic) {
    if (destination === 0xffffffff) return true;
    if (!logical) return destination === apic.id;
    const ldr = apic.logicalDestination;
    return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
  }
  if (!logical) return destination === 0xff || destination === (apic.id & 0xff);
  const ldr = apic.logicalDestination >>> 24;
  if (apic.destinationFormat >>> 28 === 0xf) return (destination & ldr & 0xff) !== 0;
  const cluster = (destination >> 4) & 0xf;
  return (cluster === 0xf || cluster === ldr >> 4) && (destination & ldr & 0xf) !== 0;
}

/** What a write of the interrupt command register asks for. */
export interface IpiPlan {
  readonly toSelf: boolean;
  readonly toOthers: IpiMessage | undefined;
  readonly illegalVector: boolean;
}

const NOTHING: IpiPlan = { toSelf: false, toOthers: undefined, illegalVector: false };

/** Decodes the interrupt command register (SDM vol. 3A figure 11-12). */
export function planIpi(apic: ApicAddress, low: number, destination: number): IpiPlan {
  const vector = low & 0xff;
  const mode = (low >> 8) & 7;
  const logical = (low & 0x800) !== 0;
  const shorthand = (low >> 18) & 3;
  const fixed = mode === DeliveryMode.Fixed || mode === DeliveryMode.LowestPriority;
  const start = mode === DeliveryMode.Init || mode === DeliveryMode.Startup;
  if (!fixed && !start && mode !== DeliveryMode.Nmi) return NOTHING;
  // INIT level de-assert only resets arbitration IDs, which no processor since the Pentium 4 has.
  if (mode === DeliveryMode.Init && (low & 0xc000) === 0x8000) return NOTHING;
  if (fixed && vector < 16) return { ...NOTHING, illegalVector: true };

  const others = (kind: IpiMessage['shorthand']): IpiMessage => ({ mode, vector, shorthand: kind, destination, logical });
  if (shorthand === 1) return { ...NOTHING, toSelf: !start };
  if (shorthand === 2) return { ...NOTHING, toSelf: !start, toOthers: others('others') };
  if (shorthand === 3) return { ...NOTHING, toOthers: others('others') };
  const toSelf = !start && matchesDestination(apic, destination, logical);
  const onlySelf = toSelf && (mode === DeliveryMode.LowestPriority || (!logical && destination === apic.id));
  return { ...NOTHING, toSelf, toOthers: onlySelf ? undefined : others('none') };
}
