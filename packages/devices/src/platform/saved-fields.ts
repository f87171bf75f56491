import type { SavedState } from '@hanok/machine';

/** Reads the fields of a device's saved state, which may be damaged or forged; errors name the device and the field. */
export class SavedFields {
  readonly #device: string;
  readonly #state: Readonly<Record<string, unknown>>;

  constructor(device: string, state: SavedState, version: number) {
    this.#device = device;
    if (typeof state !== 'object' || state === null) throw new Error(`${device}: the saved state is not an object`);
    this.#state = state;
    if (state.version !== version)
      throw new Error(`${device}: saved state version ${String(state.version)} is unknown; this one reads ${version}`);
  }

  /** An integer in [minimum, maximum]. */
  integer(field: string, maximum: number, minimum = 0): number {
    return this.#checkInteger(field, this.#get(field), maximum, minimum);
  }

  boolean(field: string): boolean {
    const value = this.#get(field);
    return typeof value === 'boolean' ? value : this.#fail(field, 'is not true or false');
  }

  /** Exactly `count` integers in [0, maximum], or at most `count` with `shorter`. */
  integers(field: string, count: number, maximum: number, shorter = false): number[] {
    const value = this.#get(field);
    if (!Array.isArray(value) || value.length > count || (!shorter && value.length !== count)) {
      return this.#fail(field, `is not a list of ${shorter ? 'at most ' : ''}${count} numbers`);
    }
    return value.map((item: unknown) => this.#checkInteger(field, item, maximum, 0));
  }

  /** An unsigned 64-bit number, saved as a hexadecimal string. */
  uint64(field: string): bigint {
    const value = this.#get(field);
    if (typeof value !== 'string' || !/^0x[0-9a-f]{1,16}$/.test(value)) return this.#fail(field, 'is not a 64-bit hexadecimal number');
    return BigInt(value);
  }

  #get(field: string): unknown {
    return Object.hasOwn(this.#state, field) ? this.#state[field] : undefined;
  }

  #checkInteger(field: string, value: unknown, maximum: number, minimum: number): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value;
    return this.#fail(field, `is not an integer from ${minimum} to ${maximum}`);
  }

  #fail(field: string, what: string): never {
    throw new Error(`${this.#device}: field "${field}" of the saved state ${what}`);
  }
}
