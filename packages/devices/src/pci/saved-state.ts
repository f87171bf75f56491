import type { SavedState } from '@hanok/machine';

/** Reads a saved state as hostile input: every field is checked, and errors name the device and the field. */
export class StateReader {
  readonly #where: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(where: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
      throw new Error(`saved state of ${where} is not an object; take a new snapshot`);
    }
    this.#where = where;
    this.#fields = value as Record<string, unknown>;
  }

  /** Opens a versioned state; an unknown version is refused. */
  static open(device: string, state: SavedState, version: number): StateReader {
    const reader = new StateReader(device, state);
    const found = reader.#get('version');
    if (found !== version) {
      throw new Error(
        `saved state of ${device} has version ${String(found)}, this build reads version ${version}; use the build that saved it`,
      );
    }
    return reader;
  }

  integer(field: string, min: number, max: number): number {
    const value = this.#get(field);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      throw this.fail(field, `is not a whole number from ${min} to ${max}`);
    }
    return value;
  }

  boolean(field: string): boolean {
    const value = this.#get(field);
    if (typeof value !== 'boolean') throw this.fail(field, 'is not true or false');
    return value;
  }

  /** A private copy of a byte array of exactly `lengthBytes`. */
  bytes(field: string, lengthBytes: number): Uint8Array {
    const value = this.#get(field);
    if (!(value instanceof Uint8Array) || value.length !== lengthBytes)
      throw this.fail(field, `is not a byte array of length ${lengthBytes}`);
    return value.slice();
  }

  object(field: string): StateReader {
    return new StateReader(`${this.#where}.${field}`, this.#get(field));
  }

  /** An array of exactly `length` objects. */
  objects(field: string, length: number): StateReader[] {
    const value = this.#get(field);
    if (!Array.isArray(value) || value.length !== length) throw this.fail(field, `is not a list of ${length}`);
    return Array.from(value, (item: unknown, index) => new StateReader(`${this.#where}.${field}[${index}]`, item));
  }

  /** The error for a field whose value makes no sense. */
  fail(field: string, problem: string): Error {
    return new Error(`saved state of ${this.#where}: field ${field} ${problem}; the snapshot is damaged`);
  }

  #get(field: string): unknown {
    return Object.hasOwn(this.#fields, field) ? this.#fields[field] : undefined;
  }
}
