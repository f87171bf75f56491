import type { AccessWidthBytes, IoHandler, MsiSink } from '@hanok/machine';
import { allOnes } from './config-space.ts';
import type { Capability, ConfigRegister, ConfigSpace } from './config-space.ts';
import { PciCapabilityId } from './constants.ts';
import type { StateReader } from './saved-state.ts';

export const MSIX_ENTRY_SIZE_BYTES = 16;
const MSIX_VECTORS_MAX = 2048;
const CONTROL_ENABLE = 0x8000;
const CONTROL_FUNCTION_MASK = 0x4000;
const ENTRY_MASKED = 1;

/** Where the table and the pending bit array lie. */
export interface MsixLayout {
  readonly vectorCount: number;
  readonly barIndex: number;
  readonly tableOffset: number;
  readonly pendingOffset: number;
}

/** What MSI-X needs from its function. */
export interface MsixHost {
  readonly config: ConfigSpace;
  /** Undefined while the function may not write to memory (bus master off or no sink). */
  sink(): MsiSink | undefined;
  /** The enable bit changed, so INTx starts or stops. */
  changed(): void;
}

/** The MSI-X capability, its vector table and its pending bits (PCI Local Bus 3.0 §6.8.2). */
export class Msix {
  readonly vectorCount: number;
  readonly table: IoHandler;
  readonly pendingArray: IoHandler;
  readonly capability: Capability;
  readonly #host: MsixHost;
  readonly #words: Uint32Array;
  readonly #pending: Uint32Array;
  #capabilityOffset = 0;

  constructor(layout: MsixLayout, host: MsixHost) {
    if (layout.vectorCount < 1 || layout.vectorCount > MSIX_VECTORS_MAX) {
      throw new Error(`MSI-X with ${layout.vectorCount} vectors; use 1 to ${MSIX_VECTORS_MAX}`);
    }
    this.vectorCount = layout.vectorCount;
    this.#host = host;
    this.capability = { id: PciCapabilityId.MsiX, sizeBytes: 12, registers: (offset) => this.#registers(offset, layout) };
    this.#words = new Uint32Array(layout.vectorCount * 4);
    this.#pending = new Uint32Array(Math.ceil(layout.vectorCount / 64) * 2);
    this.table = {
      read: (offset, width) => readWords(this.#words, offset, width),
      write: (offset, value, width) => this.#writeTable(offset, value, width),
    };
    // Writes to pending bits are undefined in §6.8.2.10; they are ignored here.
    this.pendingArray = { read: (offset, width) => readWords(this.#pending, offset, width), write: () => {} };
    this.reset();
  }

  get enabled(): boolean {
    return (this.#control & CONTROL_ENABLE) !== 0;
  }

  /** Sends the vector's message now, or marks it pending while it is masked. Nothing happens while MSI-X is off. */
  raise(vector: number): void {
    if (!this.enabled || vector < 0 || vector >= this.vectorCount) return;
    this.#pending[vector >> 5]! |= 1 << (vector & 31);
    this.#deliver(vector);
  }

  /** Sends every pending message that nothing masks any more. */
  deliverPending(): void {
    for (let word = 0; word < this.#pending.length; word++) {
      if (this.#pending[word] === 0) continue;
      for (let vector = word * 32; vector < Math.min(word * 32 + 32, this.vectorCount); vector++) this.#deliver(vector);
    }
  }

  reset(): void {
    this.#words.fill(0);
    for (let vector = 0; vector < this.vectorCount; vector++) this.#words[vector * 4 + 3] = ENTRY_MASKED;
    this.#pending.fill(0);
  }

  save(): { table: Uint8Array; pending: Uint8Array } {
    return { table: toBytes(this.#words), pending: toBytes(this.#pending) };
  }

  restore(state: StateReader): void {
    const table = state.bytes('table', this.#words.byteLength);
    const pending = state.bytes('pending', this.#pending.byteLength);
    fromBytes(this.#words, table);
    fromBytes(this.#pending, pending);
    for (let vector = 0; vector < this.vectorCount; vector++) this.#words[vector * 4 + 3]! &= ENTRY_MASKED;
  }

  #registers(offset: number, layout: MsixLayout): ConfigRegister[] {
    this.#capabilityOffset = offset;
    return [
      {
        name: 'MSI-X message control',
        offset: offset + 2,
        widthBytes: 2,
        value: this.vectorCount - 1,
        writeMask: CONTROL_ENABLE | CONTROL_FUNCTION_MASK,
        afterWrite: () => this.#controlWritten(),
      },
      { name: 'MSI-X table', offset: offset + 4, widthBytes: 4, value: layout.tableOffset | layout.barIndex },
      { name: 'MSI-X PBA', offset: offset + 8, widthBytes: 4, value: layout.pendingOffset | layout.barIndex },
    ];
  }

  get #control(): number {
    return this.#host.config.peek(this.#capabilityOffset + 2, 2);
  }

  #controlWritten(): void {
    this.#host.changed();
    this.deliverPending();
  }

  #writeTable(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    if (!writeWords(this.#words, offset, value, widthBytes)) return;
    const vector = offset >> 4;
    this.#words[vector * 4]! &= ~3;
    this.#words[vector * 4 + 3]! &= ENTRY_MASKED;
    this.#deliver(vector);
  }

  #deliver(vector: number): void {
    const bit = 1 << (vector & 31);
    if ((this.#pending[vector >> 5]! & bit) === 0) return;
    const masked = (this.#words[vector * 4 + 3]! & ENTRY_MASKED) !== 0;
    const sink = this.#host.sink();
    if (masked || !sink || (this.#control & (CONTROL_ENABLE | CONTROL_FUNCTION_MASK)) !== CONTROL_ENABLE) return;
    this.#pending[vector >> 5]! &= ~bit;
    const address = this.#words[vector * 4]!;
    // Only writes into the interrupt range become interrupts (SDM vol. 3A §11.11.1); others would be stray memory writes.
    if (this.#words[vector * 4 + 1] === 0 && address >>> 20 === 0xfee) sink.send(address, this.#words[vector * 4 + 2]!);
  }
}

function readWords(words: Uint32Array, offset: number, widthBytes: AccessWidthBytes): number {
  const word = words[offset >> 2];
  if (word === undefined || (offset & (widthBytes - 1)) !== 0) return allOnes(widthBytes);
  return ((word >>> ((offset & 3) * 8)) & allOnes(widthBytes)) >>> 0;
}

function writeWords(words: Uint32Array, offset: number, value: number, widthBytes: AccessWidthBytes): boolean {
  const index = offset >> 2;
  if (index >= words.length || (offset & (widthBytes - 1)) !== 0) return false;
  const shift = (offset & 3) * 8;
  const mask = (allOnes(widthBytes) << shift) >>> 0;
  words[index] = (words[index]! & ~mask) | ((value << shift) & mask);
  return true;
}

function toBytes(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(words.byteLength);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => view.setUint32(index * 4, word, true));
  return bytes;
}

function fromBytes(words: Uint32Array, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < words.length; i++) words[i] = view.getUint32(i * 4, true);
}
