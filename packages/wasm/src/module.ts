import { ByteBuffer, u32SizeBytes } from './byte-buffer.ts';
import { Code, constantOf } from './code.ts';
import { FunctionBuilder } from './function-builder.ts';
import { writeMemoryLimits, writeTableLimits } from './limits.ts';
import type { MemoryLimits, TableLimits } from './limits.ts';
import { OP } from './opcodes.ts';
import { EXTERN_KIND_CODE, valueTypeCode } from './value-types.ts';
import type { ExternKind, ValueType } from './value-types.ts';

/** Section identifiers (core specification, section 5.5.2). */
const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  tag: 13,
};
type SectionName = 'type' | 'import' | 'table' | 'memory' | 'tag' | 'global' | 'export' | 'element' | 'data';

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const FUNCTION_TYPE_FORM = 0x60;
const NAME_SUBSECTION_FUNCTIONS = 1;
const ELEMENT_DECLARATIVE = 3;

/** A section kept encoded from the start, so that `toBytes` only joins. */
interface Section {
  count: number;
  body: ByteBuffer;
}

/**
 * Writes a WebAssembly module in the binary format (core specification 3.0, chapter 5, with the threads and branch
 * hinting proposals). Within an index space all imports come before the first definition. It checks what would shift
 * indices or lose data silently; everything else is for the engine's validation. After an Error, drop the builder.
 */
export class ModuleBuilder {
  private readonly sections = new Map<SectionName, Section>();
  private readonly typeIndices = new Map<string, number>();
  private readonly parameterCounts: number[] = [];
  private readonly resultCounts: number[] = [];
  private readonly functions: FunctionBuilder[] = [];
  private readonly exportNames = new Set<string>();
  private readonly imported: Record<ExternKind, number> = { func: 0, table: 0, memory: 0, global: 0, tag: 0 };
  private readonly defined: Record<ExternKind, number> = { func: 0, table: 0, memory: 0, global: 0, tag: 0 };
  private readonly referenced = new Set<number>();
  private startFunction: number | undefined;

  /** The index of a function type, the same for equal types. */
  type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${params.join()}:${results.join()}`;
    const known = this.typeIndices.get(key);
    if (known !== undefined) return known;
    const body = this.entry('type').u8(FUNCTION_TYPE_FORM).u32(params.length);
    for (const type of params) body.u8(valueTypeCode(type));
    body.u32(results.length);
    for (const type of results) body.u8(valueTypeCode(type));
    const index = this.parameterCounts.length;
    this.typeIndices.set(key, index);
    this.parameterCounts.push(params.length);
    this.resultCounts.push(results.length);
    return index;
  }

  importMemory(module: string, name: string, limits: MemoryLimits): void {
    this.assertNoMemory();
    this.import('memory', module, name, (body) => writeMemoryLimits(body, limits));
  }

  defineMemory(limits: MemoryLimits): void {
    this.assertNoMemory();
    writeMemoryLimits(this.entry('memory'), limits);
    this.defined.memory++;
  }

  importFunction(module: string, name: string, typeIndex: number): number {
    this.assertType(typeIndex);
    return this.import('func', module, name, (body) => body.u32(typeIndex));
  }

  /** A function to be written: its index is fixed now, its code until `toBytes`. */
  function(typeIndex: number): FunctionBuilder {
    this.assertType(typeIndex);
    const builder = new FunctionBuilder(this.define('func'), typeIndex, this.parameterCounts[typeIndex] ?? 0);
    this.functions.push(builder);
    return builder;
  }

  importTable(module: string, name: string, limits: TableLimits): number {
    return this.import('table', module, name, (body) => writeTableLimits(body, limits));
  }

  /** A table of function references, all null at first. */
  defineTable(limits: TableLimits): number {
    writeTableLimits(this.entry('table'), limits);
    return this.define('table');
  }

  importGlobal(module: string, name: string, type: ValueType, mutable: boolean): number {
    const code = valueTypeCode(type);
    return this.import('global', module, name, (body) => body.u8(code).u8(mutable ? 1 : 0));
  }

  /** `init` is a value of the type, or a constant expression. */
  defineGlobal(type: ValueType, mutable: boolean, init: number | bigint | Code): number {
    const expression = init instanceof Code ? init : constantOf(type, init);
    this.keepReferences(expression);
    this.entry('global').u8(valueTypeCode(type)).u8(mutable ? 1 : 0).append(expression.buffer).u8(OP.end);
    return this.define('global');
  }

  /** An exception tag; the parameters of its type are the values an exception carries. */
  importTag(module: string, name: string, typeIndex: number): number {
    this.assertTagType(typeIndex);
    return this.import('tag', module, name, (body) => body.u8(0).u32(typeIndex));
  }

  defineTag(typeIndex: number): number {
    this.assertTagType(typeIndex);
    this.entry('tag').u8(0).u32(typeIndex);
    return this.define('tag');
  }

  export(name: string, kind: ExternKind, index: number): void {
    const count = this.imported[kind] + this.defined[kind];
    if (!(index >= 0 && index < count)) throw new Error(`export '${name}': the module has no ${kind} ${index}, only ${count} of them`);
    if (this.exportNames.has(name)) throw new Error(`export '${name}' exists already; export names must be unique`);
    this.exportNames.add(name);
    this.entry('export').name(name).u8(EXTERN_KIND_CODE[kind]).u32(index);
  }

  /** The function to run at instantiation. */
  start(functionIndex: number): void {
    this.startFunction = functionIndex;
  }

  /** Fills a table from `offset` (a constant, or a constant expression) on at instantiation. */
  elements(table: number, offset: number | Code, functionIndices: ArrayLike<number>): void {
    const body = this.entry('element');
    if (table === 0) body.u8(0);
    else body.u8(2).u32(table);
    writeOffset(body, offset);
    if (table !== 0) body.u8(0);
    writeIndices(body, functionIndices);
  }

  /** Bytes to copy to memory at `offset` (a constant, or a constant expression) at instantiation. */
  data(offset: number | Code, bytes: Uint8Array): void {
    const body = this.entry('data').u8(0);
    writeOffset(body, offset);
    body.u32(bytes.length).bytes(bytes);
  }

  /** Hints at the `if` or `br_if` that starts at `codeOffset` bytes into the function's code; `Code.hint` is the easier way. */
  branchHint(functionIndex: number, codeOffset: number, likely: boolean): void {
    const builder = this.functions[functionIndex - this.imported.func];
    if (builder === undefined) {
      throw new Error(`branch hint: the module defines no function ${functionIndex}; hint one made with function()`);
    }
    builder.code.hintAt(codeOffset, likely);
  }

  /** The finished module. Can be called again after more was added. */
  toBytes(): Uint8Array {
    let bodiesSizeBytes = 0;
    for (const builder of this.functions) {
      builder.assertComplete();
      bodiesSizeBytes += u32SizeBytes(builder.bodySizeBytes) + builder.bodySizeBytes;
      this.keepReferences(builder.code);
    }
    const out = new ByteBuffer(bodiesSizeBytes + 512).bytes(HEADER);
    this.writeSection(out, 'type');
    this.writeSection(out, 'import');
    this.writeFunctionTypes(out);
    for (const name of ['table', 'memory', 'tag', 'global', 'export'] as const) this.writeSection(out, name);
    if (this.startFunction !== undefined) writeSized(out, SECTION.start, new ByteBuffer().u32(this.startFunction));
    this.writeElements(out);
    this.writeBranchHints(out);
    if (this.functions.length > 0) {
      out.u8(SECTION.code).u32(u32SizeBytes(this.functions.length) + bodiesSizeBytes).u32(this.functions.length);
      for (const builder of this.functions) builder.writeTo(out);
    }
    this.writeSection(out, 'data');
    this.writeNames(out);
    return out.toBytes();
  }

  private entry(name: SectionName): ByteBuffer {
    let section = this.sections.get(name);
    if (section === undefined) {
      section = { count: 0, body: new ByteBuffer() };
      this.sections.set(name, section);
    }
    section.count++;
    return section.body;
  }

  private import(kind: ExternKind, module: string, name: string, describe: (body: ByteBuffer) => void): number {
    if (this.defined[kind] > 0) {
      throw new Error(`import '${module}.${name}' follows the definition of a ${kind}; import every ${kind} before defining one`);
    }
    describe(this.entry('import').name(module).name(name).u8(EXTERN_KIND_CODE[kind]));
    return this.imported[kind]++;
  }

  private define(kind: ExternKind): number {
    return this.imported[kind] + this.defined[kind]++;
  }

  private keepReferences(code: Code): void {
    for (const index of code.referencedFunctions) this.referenced.add(index);
  }

  private assertType(typeIndex: number): void {
    if (this.parameterCounts[typeIndex] === undefined) throw new Error(`the module has no type ${typeIndex}; make one with type()`);
  }

  private assertTagType(typeIndex: number): void {
    this.assertType(typeIndex);
    if (this.resultCounts[typeIndex] !== 0) throw new Error(`type ${typeIndex} has results; the type of a tag must have none`);
  }

  private assertNoMemory(): void {
    if (this.imported.memory + this.defined.memory > 0) throw new Error('the module has a memory already; import or define only one');
  }

  private writeSection(out: ByteBuffer, name: SectionName): void {
    const section = this.sections.get(name);
    if (section === undefined) return;
    out.u8(SECTION[name]).u32(u32SizeBytes(section.count) + section.body.length).u32(section.count).append(section.body);
  }

  private writeFunctionTypes(out: ByteBuffer): void {
    if (this.functions.length === 0) return;
    const body = new ByteBuffer(this.functions.length + 8).u32(this.functions.length);
    for (const builder of this.functions) body.u32(builder.typeIndex);
    writeSized(out, SECTION.function, body);
  }

  /** The active segments, and a declarative one for what `ref.func` names. */
  private writeElements(out: ByteBuffer): void {
    if (this.referenced.size === 0) return this.writeSection(out, 'element');
    const active = this.sections.get('element');
    const body = new ByteBuffer().u32((active?.count ?? 0) + 1);
    if (active !== undefined) body.append(active.body);
    body.u8(ELEMENT_DECLARATIVE).u8(0);
    writeIndices(body, [...this.referenced]);
    writeSized(out, SECTION.element, body);
  }

  /** Branch hinting proposal: offsets count from the start of a body, before the locals' declarations, in rising order. */
  private writeBranchHints(out: ByteBuffer): void {
    const hinted = this.functions.filter((builder) => builder.code.hints.length > 0);
    if (hinted.length === 0) return;
    const body = new ByteBuffer().name('metadata.code.branch_hint').u32(hinted.length);
    for (const { index, code, localsSizeBytes } of hinted) {
      const hints = [...code.hints].sort((a, b) => a.offset - b.offset);
      body.u32(index).u32(hints.length);
      for (const { offset, likely } of hints) body.u32(localsSizeBytes + offset).u8(1).u8(likely ? 1 : 0);
    }
    writeSized(out, SECTION.custom, body);
  }

  private writeNames(out: ByteBuffer): void {
    const named = this.functions.filter((builder) => builder.name !== undefined);
    if (named.length === 0) return;
    const names = new ByteBuffer().u32(named.length);
    for (const { index, name } of named) names.u32(index).name(name ?? '');
    const body = new ByteBuffer().name('name').u8(NAME_SUBSECTION_FUNCTIONS).u32(names.length).append(names);
    writeSized(out, SECTION.custom, body);
  }
}

function writeSized(out: ByteBuffer, id: number, body: ByteBuffer): void {
  out.u8(id).u32(body.length).append(body);
}

function writeOffset(body: ByteBuffer, offset: number | Code): void {
  const expression = offset instanceof Code ? offset : new Code(8).i32(offset);
  body.append(expression.buffer).u8(OP.end);
}

function writeIndices(body: ByteBuffer, indices: ArrayLike<number>): void {
  body.u32(indices.length);
  for (let i = 0; i < indices.length; i++) body.u32(indices[i] ?? -1);
}
