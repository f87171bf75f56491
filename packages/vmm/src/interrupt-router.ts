import { type ApicAddress, type IpiMessage, matchesDestination } from '@hanok/devices';
import { DeliveryMode, type PostedInterrupts } from '@hanok/machine';

/** Words of a vCPU's entry in the shared directory. */
const STATE = 0;
const LDR = 1;
const DFR = 2;
const ENTRY_WORDS = 4;
/** Values of the state word. */
const Disabled = 0;
const Xapic = 1;
const X2apic = 2;

const BROADCAST_8 = 0xff;
const BROADCAST_32 = 0xffffffff;

/**
 * Carries interrupt messages to vCPUs, from any thread. Each local APIC tells a directory in shared memory how it can
 * be addressed; senders look their targets up there.
 */
export class InterruptRouter {
  static sizeBytes(vcpuCount: number): number {
    return (vcpuCount * ENTRY_WORDS + 1) * 4;
  }
  readonly #directory: Int32Array;
  readonly #posted: readonly PostedInterrupts[];

  /** One `PostedInterrupts` for each vCPU, whose number is its APIC id. */
  constructor(buffer: ArrayBufferLike, posted: readonly PostedInterrupts[]) {
    this.#directory = new Int32Array(buffer);
    this.#posted = posted;
  }

  /** A local APIC's address changed; undefined while it is disabled. */
  publish(vcpu: number, address: ApicAddress | undefined): void {
    const at = vcpu * ENTRY_WORDS;
    Atomics.store(this.#directory, at + LDR, address?.logicalDestination ?? 0);
    Atomics.store(this.#directory, at + DFR, address?.destinationFormat ?? 0);
    Atomics.store(this.#directory, at + STATE, address ? (address.x2apic ? X2apic : Xapic) : Disabled);
  }

  /** An inter-processor interrupt; the sender has served itself unless it is an INIT or start-up. */
  send(message: IpiMessage, sender: number): void {
    const start = message.mode === DeliveryMode.Init || message.mode === DeliveryMode.Startup;
    const isOther = (vcpu: number) => vcpu !== sender;
    const targets =
      message.shorthand === 'others' ? this.#all().filter(isOther) : this.#matching(message.destination, message.logical).filter((vcpu) => start || isOther(vcpu));
    this.deliver(targets, message.mode, message.vector);
  }

  /** A message-signalled interrupt (SDM vol. 3A §11.11). */
  sendMsi(address: number, data: number): void {
    const id = (address >>> 12) & BROADCAST_8;
    const mode = address & 8 && ((data >> 8) & 7) === DeliveryMode.Fixed ? DeliveryMode.LowestPriority : (data >> 8) & 7;
    this.deliver(this.#matching(id === BROADCAST_8 ? BROADCAST_32 : id, (address & 4) !== 0), mode, data & 0xff, (data & 0x8000) !== 0);
  }

  #all(): number[] {
    return this.#posted.map((_, vcpu) => vcpu);
  }

  #matching(destination: number, logical: boolean): number[] {
    return this.#all().filter((vcpu) => {
      const address = this.#address(vcpu);
      return address !== undefined && matchesDestination(address, address.x2apic ? destination >>> 0 : destination & BROADCAST_8, logical);
    });
  }

  #address(vcpu: number): ApicAddress | undefined {
    const [state, ldr, dfr] = [STATE, LDR, DFR].map((word) => Atomics.load(this.#directory, vcpu * ENTRY_WORDS + word)) as [number, number, number];
    return state === Disabled ? undefined : { x2apic: state === X2apic, id: vcpu, logicalDestination: ldr >>> 0, destinationFormat: dfr >>> 0 };
  }

  /** Posts an interrupt of that delivery mode to vCPUs. */
  deliver(targets: readonly number[], mode: number, vector: number, levelTriggered = false): void {
    const to = (vcpu: number) => this.#posted[vcpu]!;
    switch (mode) {
      case DeliveryMode.Fixed:
        for (const vcpu of targets) to(vcpu).post(vector, levelTriggered);
        break;
      case DeliveryMode.LowestPriority:
        if (targets.length > 0) to(this.#inTurn(targets)).post(vector, levelTriggered);
        break;
      case DeliveryMode.Nmi:
        for (const vcpu of targets) to(vcpu).postNmi();
        break;
      case DeliveryMode.Init:
        for (const vcpu of targets) to(vcpu).postInit();
        break;
      case DeliveryMode.Startup:
        for (const vcpu of targets) to(vcpu).postStartup(vector);
        break;
      default:
    }
  }

  /** Which processor has the lowest priority is the chipset's choice (SDM vol. 3A §11.6.2.4): each in turn here. */
  #inTurn(targets: readonly number[]): number {
    const turn = Atomics.add(this.#directory, this.#posted.length * ENTRY_WORDS, 1) >>> 0;
    return targets[turn % targets.length]!;
  }
}
