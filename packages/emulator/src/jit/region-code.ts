import { type ByteBuffer, Code } from '@hanok/wasm';
import type { Callees } from '../ir.ts';
import type { CompiledInstruction } from './region-blocks.ts';
import type { Place } from './saved-region.ts';
import { EXECUTED_BYTES, GROUP_OFFSET_BYTES, INDEX_BYTES, OFFSET_BYTES, PLACE_BYTES, type Template } from './template-code.ts';
import { LOCAL, type RegionLocals } from './virtual-locals.ts';

/** Code of one region, which names locals and takes templates in. */
export class RegionCode extends Code {
  readonly locals: RegionLocals;
  /** What differs in other machines. */
  readonly places: Place[] = [];
  /** It calls functions that not every module has in the same place. */
  callsRoutines = false;

  constructor(locals: RegionLocals, capacityBytes?: number) {
    super(capacityBytes);
    this.locals = locals;
  }

  override localGet(name: number): this {
    return super.localGet(this.locals.number(name));
  }
  override localSet(name: number): this {
    return super.localSet(this.locals.number(name));
  }
  override localTee(name: number): this {
    return super.localTee(this.locals.number(name));
  }

  /** An i32 constant of this machine. */
  placed(kind: Place['kind'], of: number, value: number): this {
    this.places.push({ at: this.sizeBytes + 1, kind, of });
    this.i32(0).buffer.bytes(new Uint8Array(PLACE_BYTES - 1));
    setPlace(this.buffer, this.sizeBytes - PLACE_BYTES, value);
    return this;
  }

  /**
   * Appends an instruction, with `executed` instructions of its block before it, and TOP moved by
   * `stackOffset` since the entry.
   */
  place(template: Template, { pageOffset, groups }: CompiledInstruction, executed: number, stackOffset: number, routine: Callees['routine']): void {
    const start = this.sizeBytes;
    const { buffer, locals } = this;
    buffer.bytes(template.bytes);
    eachPair(template.locals, (at, name) => buffer.setUnsigned(start + at, locals.number(onStack(name, stackOffset)), 1));
    eachPair(template.stackPlaces, (at, index) => buffer.setSigned(start + at, ((index + stackOffset) & 7) * 2, 1));
    eachPair(template.pointers, (at, access) => buffer.setUnsigned(start + at, locals.number(LOCAL.pointer + groups!.accesses[access]!.pointer), 1));
    eachPair(template.groupOffsets, (at, access) => buffer.setUnsigned(start + at, groups!.accesses[access]!.offset, GROUP_OFFSET_BYTES));
    eachPair(template.offsets, (at, delta) => buffer.setSigned(start + at, pageOffset + delta, OFFSET_BYTES));
    eachPair(template.executed, (at, delta) => buffer.setSigned(start + at, executed + delta, EXECUTED_BYTES));
    if (template.routines.length > 0) this.callsRoutines = true;
    for (const { at, routine: called } of template.routines) buffer.setUnsigned(start + at, routine(called), INDEX_BYTES);
    for (const { offset, likely } of template.hints) this.hintAt(start + offset, likely);
  }
}

/** Puts in an i32 constant of this machine, which may be an address above 2 GiB. */
function setPlace(buffer: ByteBuffer, at: number, value: number): void {
  buffer.setSigned(at, value | 0, PLACE_BYTES);
}

/** The local with this name in a template, where TOP has moved. */
export function onStack(name: number, stackOffset: number): number {
  if (stackOffset === 0 || name < LOCAL.x87Significand || name >= LOCAL.x87Words) return name;
  const index = name - LOCAL.x87Significand;
  return LOCAL.x87Significand + (index & 8) + ((index + stackOffset) & 7);
}

function eachPair(pairs: readonly number[], visit: (at: number, value: number) => void): void {
  for (let index = 0; index < pairs.length; index += 2) visit(pairs[index]!, pairs[index + 1]!);
}
