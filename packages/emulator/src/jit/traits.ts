import { type Decoded, type FlagName, type IntegerBits, isLocked, type SegmentName, type Value } from '@hanok/x86';
import { Emitter } from '../emitter.ts';
import { formIndexOf } from '../forms.ts';
import { type Access, type Form, SlotOperands } from '../operands.ts';

/** What a body does that the code around it must know, found by running it once for each form. */
export interface Traits {
  readonly access: Access;
  readonly readsFlags: boolean;
  /** Sets all six flags, whatever happens. */
  readonly setsAllFlags: boolean;
  /** May leave the region in its middle: memory, exceptions, helpers. */
  readonly mayLeave: boolean;
  /** May do so for other reasons than memory. */
  readonly mayRaise: boolean;
  /** A system instruction that the host executes may change anything: a region goes on after it as if new. */
  readonly endsRegion: boolean;
}

class ProbeEmitter extends Emitter {
  readsFlags = false;
  setsAllFlags = false;
  mayLeave = false;
  mayRaise = false;
  callsHelper = false;
  #depth = 0;

  #sets(): void {
    if (this.#depth === 0) this.setsAllFlags = true;
  }
  override flagsAdd(): void {
    this.#sets();
  }
  override flagsSub(): void {
    this.#sets();
  }
  override flagsProduct(): void {
    this.#sets();
  }
  override flagsLogic(): void {
    this.#sets();
  }
  override flagsResult(r: Value, given: Parameters<Emitter['flagsResult']>[1]): void {
    if (!(given.CF && given.OF && given.AF)) this.readsFlags = true;
    super.flagsResult(r, given);
    this.#sets();
  }
  override flagsSet(given: Partial<Record<FlagName, Value>>): void {
    if (Object.keys(given).length < 6) this.readsFlags = true;
    else this.#sets();
  }
  override flag(name: FlagName): Value {
    this.readsFlags = true;
    return super.flag(name);
  }
  override flagsImage(): Value {
    this.readsFlags = true;
    return super.flagsImage();
  }
  override setFlagsImage(): void {
    this.#sets();
  }
  override condition(code: number): Value {
    this.readsFlags = true;
    return super.condition(code);
  }
  override if(condition: Value, then: () => void, otherwise?: () => void, isRare?: boolean): void {
    this.#depth++;
    super.if(condition, then, otherwise, isRare);
    this.#depth--;
  }
  override loopWhile(body: () => Value): void {
    this.#depth++;
    super.loopWhile(body);
    this.#depth--;
  }
  override load(segment: SegmentName, offset: Value, bits: IntegerBits): Value {
    this.mayLeave = true;
    return super.load(segment, offset, bits);
  }
  override store(segment: SegmentName, offset: Value, value: Value, bits: IntegerBits): void {
    this.mayLeave = true;
    super.store(segment, offset, value, bits);
  }
  override fault(vector: number, errorCode?: number): void {
    this.mayRaise = true;
    super.fault(vector, errorCode);
  }
  override helper(name: string, ...args: Value[]): Value {
    this.mayRaise = true;
    this.callsHelper = true;
    return super.helper(name, ...args);
  }
}

const known = new WeakMap<Decoded['row'], (Traits | undefined)[]>();

/** Traits of a decoded instruction's form. */
export function traitsOf(d: Decoded): Traits {
  let ofRow = known.get(d.row);
  if (!ofRow) known.set(d.row, (ofRow = []));
  return (ofRow[formIndexOf(d)] ??= probe(d));
}

/** `Traits.endsRegion`, which few instructions need to be looked up for. */
export const endsRegion = (d: Decoded): boolean => d.row.insn.system && traitsOf(d).endsRegion;

function probe(d: Decoded): Traits {
  const form: Form = { row: d.row, memory: d.isMemory, bits: d.bits, addressBits: d.addressBits, repeat: d.repeat, mode64: d.mode === 64, locked: isLocked(d) };
  const emitter = new ProbeEmitter(form.mode64, () => 0);
  const operands = new SlotOperands(emitter, form);
  d.row.insn.body(emitter, operands);
  const touchesMemory = operands.access.reads.size + operands.access.writes.size > 0;
  return { access: operands.access, readsFlags: emitter.readsFlags, setsAllFlags: emitter.setsAllFlags, mayLeave: emitter.mayLeave || emitter.mayRaise || touchesMemory, mayRaise: emitter.mayRaise, endsRegion: d.row.insn.system && emitter.callsHelper };
}
