import type { AccessWidthBytes } from '@hanok/machine';
import { PCI_CONFIG_SIZE_BYTES } from './constants.ts';
import type { StateReader } from './saved-state.ts';

/** One row of a configuration space's table. */
export interface ConfigRegister {
  readonly name: string;
  readonly offset: number;
  readonly widthBytes: 1 | 2 | 4;
  /** The value after reset. */
  readonly value: number;
  /** Bits the guest can change; none when absent. */
  readonly writeMask?: number;
  /** Runs before a read that touches the register; it may `poke` the register's present value. */
  beforeRead?(): void;
  /** Runs after a write that touches the register. */
  afterWrite?(): void;
}

/** An entry of the capabilities list (PCI Local Bus 3.0 §6.7); the function places it and writes its ID and link. */
export interface Capability {
  readonly id: number;
  /** With the two bytes of ID and link. */
  readonly sizeBytes: number;
  /** The rows after the link, for a capability placed at `offset`. */
  registers(offset: number): readonly ConfigRegister[];
}

/** The 4096 bytes of configuration space of one function, declared as a table of registers. */
export class ConfigSpace {
  readonly #bytes = new Uint8Array(PCI_CONFIG_SIZE_BYTES);
  readonly #resetBytes = new Uint8Array(PCI_CONFIG_SIZE_BYTES);
  readonly #writable = new Uint8Array(PCI_CONFIG_SIZE_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #hooked: ConfigRegister[] = [];

  /** Adds rows. Two rows may not share a byte. */
  declare(registers: readonly ConfigRegister[]): void {
    for (const register of registers) {
      for (let i = 0; i < register.widthBytes; i++) {
        const at = register.offset + i;
        this.#resetBytes[at] = (register.value >>> (8 * i)) & 0xff;
        this.#writable[at] = ((register.writeMask ?? 0) >>> (8 * i)) & 0xff;
        this.#bytes[at] = this.#resetBytes[at]!;
      }
      if (register.beforeRead || register.afterWrite) this.#hooked.push(register);
    }
  }

  /** Power-on values; runs no hook. */
  reset(): void {
    this.#bytes.set(this.#resetBytes);
  }

  /** A guest's read. All ones where it leaves the space. */
  read(offset: number, widthBytes: AccessWidthBytes): number {
    if (!inSpace(offset, widthBytes)) return allOnes(widthBytes);
    for (const register of this.#hooked) if (register.beforeRead && touches(register, offset, widthBytes)) register.beforeRead();
    return this.peek(offset, widthBytes);
  }

  /** A guest's write: masked, then the hooks of the registers it touched. */
  write(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    if (!inSpace(offset, widthBytes)) return;
    for (let i = 0; i < widthBytes; i++) {
      const mask = this.#writable[offset + i]!;
      this.#bytes[offset + i] = (this.#bytes[offset + i]! & ~mask) | ((value >>> (8 * i)) & mask);
    }
    for (const register of this.#hooked) if (register.afterWrite && touches(register, offset, widthBytes)) register.afterWrite();
  }

  /** The device's own view: no hook. */
  peek(offset: number, widthBytes: AccessWidthBytes): number {
    if (widthBytes === 4) return this.#view.getUint32(offset, true);
    return widthBytes === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint8(offset);
  }

  /** Sets a register whatever its mask; no hook. */
  poke(offset: number, value: number, widthBytes: AccessWidthBytes): void {
    if (widthBytes === 4) this.#view.setUint32(offset, value, true);
    else if (widthBytes === 2) this.#view.setUint16(offset, value, true);
    else this.#view.setUint8(offset, value);
  }

  save(): Uint8Array {
    return this.#bytes.slice();
  }

  /** Takes only what a guest could have written; everything else keeps its declared value. */
  restore(state: StateReader, field: string): void {
    const bytes = state.bytes(field, PCI_CONFIG_SIZE_BYTES);
    for (let i = 0; i < bytes.length; i++) {
      const mask = this.#writable[i]!;
      this.#bytes[i] = (this.#resetBytes[i]! & ~mask) | (bytes[i]! & mask);
    }
  }
}

export function allOnes(widthBytes: AccessWidthBytes): number {
  return widthBytes === 4 ? 0xffffffff : (1 << (widthBytes * 8)) - 1;
}

function inSpace(offset: number, widthBytes: number): boolean {
  return offset >= 0 && offset + widthBytes <= PCI_CONFIG_SIZE_BYTES;
}

function touches(register: ConfigRegister, offset: number, widthBytes: number): boolean {
  return offset < register.offset + register.widthBytes && register.offset < offset + widthBytes;
}
