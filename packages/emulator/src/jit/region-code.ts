import { Code } from '@hanok/wasm';
import type { Callees } from '../ir.ts';
import { EXECUTED_BYTES, INDEX_BYTES, OFFSET_BYTES, type Template } from './template-code.ts';
import type { RegionLocals } from './virtual-locals.ts';

/** Code of one region, which names locals and takes templates in. */
export class RegionCode extends Code {
  readonly locals: RegionLocals;

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

  /** Appends an instruction at an offset from the entry's page, with `executed` instructions of its block before it. */
  place(template: Template, pageOffset: number, executed: number, routine: Callees['routine']): void {
    const start = this.sizeBytes;
    const { buffer, locals } = this;
    buffer.bytes(template.bytes);
    eachPair(template.locals, (at, name) => buffer.setUnsigned(start + at, locals.number(name), 1));
    eachPair(template.offsets, (at, delta) => buffer.setSigned(start + at, pageOffset + delta, OFFSET_BYTES));
    eachPair(template.executed, (at, delta) => buffer.setSigned(start + at, executed + delta, EXECUTED_BYTES));
    for (const { at, routine: called } of template.routines) buffer.setUnsigned(start + at, routine(called), INDEX_BYTES);
    for (const { offset, likely } of template.hints) this.hintAt(start + offset, likely);
  }
}

function eachPair(pairs: readonly number[], visit: (at: number, value: number) => void): void {
  for (let index = 0; index < pairs.length; index += 2) visit(pairs[index]!, pairs[index + 1]!);
}
