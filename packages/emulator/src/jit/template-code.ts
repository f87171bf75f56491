import { type BranchHint, Code, type MemoryOp } from '@hanok/wasm';
import type { Routine } from '@hanok/x86';
import { LOCAL } from './virtual-locals.ts';

/** Bytes of the constants that differ from place to place; numbers in WebAssembly may be longer than they need to be. */
export const OFFSET_BYTES = 5;
export const PLACE_BYTES = 5;
export const EXECUTED_BYTES = 2;
export const INDEX_BYTES = 5;
export const GROUP_OFFSET_BYTES = 2;

/** Where in a template something must be put in: pairs of a position and what. */
export interface Patches {
  /** Numbers of locals, by their names. */
  readonly locals: readonly number[];
  /** Offsets from the page of the region's entry, less the instruction's own. */
  readonly offsets: readonly number[];
  /** Instructions executed, less those before this one in its block. */
  readonly executed: readonly number[];
  readonly routines: readonly { readonly at: number; readonly routine: Routine }[];
  /** Twice the number of an x87 register, counted from where TOP was at the region's entry: pairs of a position and a stack index. */
  readonly stackPlaces: readonly number[];
  /** Grouped accesses: where the local with their group's address is named, where they say how far behind that they are, and their numbers among the instruction's. */
  readonly pointers: readonly number[];
  readonly groupOffsets: readonly number[];
  /** Where registers are loaded again. */
  readonly reloads: readonly Reload[];
}

/** All registers, or those of the x87. */
export interface Reload {
  readonly at: number;
  readonly onlyX87: boolean;
}

/** Code that can be put into many functions: it notes where something depends on its place. */
export class TemplateCode extends Code implements Patches {
  readonly locals: number[] = [];
  readonly offsets: number[] = [];
  readonly executed: number[] = [];
  readonly routines: { at: number; routine: Routine }[] = [];
  readonly stackPlaces: number[] = [];
  readonly pointers: number[] = [];
  readonly groupOffsets: number[] = [];
  readonly reloads: Reload[] = [];
  #routine: Routine | undefined;

  override localGet(name: number): this {
    this.locals.push(this.sizeBytes + 1, name);
    return super.localGet(0);
  }
  override localSet(name: number): this {
    this.locals.push(this.sizeBytes + 1, name);
    return super.localSet(0);
  }
  override localTee(name: number): this {
    this.locals.push(this.sizeBytes + 1, name);
    return super.localTee(0);
  }

  /** Offset of the instruction's address plus `delta` from the page of the region's entry. */
  offset(type: 'i32' | 'i64', delta: number): this {
    this.offsets.push(this.sizeBytes + 1, delta);
    return this.#padded(type, OFFSET_BYTES);
  }
  /** How many instructions of the block are executed once this one is (`delta` 1), or before it (0). */
  executedHere(delta: number): this {
    this.executed.push(this.sizeBytes + 1, delta);
    return this.#padded('i32', EXECUTED_BYTES);
  }
  #padded(type: 'i32' | 'i64', sizeBytes: number): this {
    this[type](0);
    this.buffer.bytes(new Uint8Array(sizeBytes - 1));
    return this;
  }

  /** RIP of the instruction plus `delta`. */
  rip(delta: number): this {
    return this.localGet(LOCAL.codePage).offset('i64', delta).op('i64.add');
  }

  /** The next call is of this routine. */
  callsRoutine(routine: Routine): void {
    this.#routine = routine;
  }
  override call(functionIndex: number): this {
    const routine = this.#routine;
    if (!routine) return super.call(functionIndex);
    this.#routine = undefined;
    this.routines.push({ at: this.sizeBytes + 1, routine });
    super.call(0).buffer.bytes(new Uint8Array(INDEX_BYTES - 1));
    return this;
  }

  /** Pushes the address of the group that a grouped access is in. */
  groupPointer(access: number): this {
    this.pointers.push(this.sizeBytes + 1, access);
    return super.localGet(0);
  }
  /** The access itself. */
  groupAccess(op: MemoryOp, access: number): this {
    super.memory(op, 0, 1);
    this.groupOffsets.push(this.sizeBytes - 1, access);
    this.buffer.bytes(new Uint8Array(GROUP_OFFSET_BYTES - 1));
    return this;
  }

  reload(onlyX87 = false): void {
    this.reloads.push({ at: this.sizeBytes, onlyX87 });
  }
  stackPlace(index: number): this {
    this.stackPlaces.push(this.sizeBytes + 1, index);
    return this.i32(0);
  }
}

/** The code of one instruction, as far as it is the same wherever the instruction stands. */
export interface Template extends Patches {
  readonly bytes: Uint8Array;
  readonly hints: readonly BranchHint[];
  /** All locals it names. */
  readonly names: readonly number[];
  /** Registers that must be available before it, and those that are behind it (masks of `register-bits.ts`). */
  readonly needs: number;
  readonly written: number;
  /** By how much it moves TOP. */
  readonly stackMove: number;
}
