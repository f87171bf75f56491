import type { MemoryOp } from '@hanok/wasm';
import type { IntegerBits, SegmentName, Value, ValueType } from '@hanok/x86';
import type { Node } from '../ir.ts';
import { SEGMENT_INDEX, segmentField } from '../layout.ts';
import { emitLoad, emitModifyPointer, emitStore, LOAD_OPS, STORE_OPS } from '../memory-emit.ts';
import { FoldingEmitter } from './folding-emitter.ts';
import { InstructionMemory, originOf, RIP_REGISTER } from './instruction-memory.ts';
import type { TemplateCode } from './template-code.ts';

/** Where an access that reads and writes has translated its address. */
export interface ModifiedPlace {
  readonly load: (type: ValueType, op: MemoryOp) => Node;
  readonly store: (value: Value, op: MemoryOp) => void;
}

/** Builds accesses to memory, and knows what their addresses are made of. Those that are grouped are translated already. */
export class MemoryEmitter extends FoldingEmitter {
  readonly memory = new InstructionMemory();
  /** Conditions and loops around what is built. */
  protected depth = 0;
  /** Something has changed that the interpreter must not do again. */
  protected hasEffect = false;
  readonly #grouped: number;
  readonly #dataSegment: number;

  constructor(dataSegment: number, grouped: number, helperNumber: (name: string) => number) {
    super(true, helperNumber);
    this.#dataSegment = dataSegment;
    this.#grouped = grouped;
  }

  override op(name: string, ...operands: Value[]): Value {
    const node = super.op(name, ...operands) as Node;
    node.origin ??= originOf(name, operands as Node[]);
    return node;
  }
  protected withOrigin(node: Node, register: number): Node {
    return Object.assign(node, { origin: this.memory.origin(register) });
  }
  protected noteChange(register: number, value: Value): void {
    this.memory.changes.set(register, this.depth > 0 ? undefined : (value as Node).origin);
  }
  protected atRip(node: Node, displacement: number): Node {
    return Object.assign(node, { origin: { register: RIP_REGISTER, displacement } });
  }

  noteEffect(): void {
    this.hasEffect = true;
  }

  /** The number of an access and whether it is grouped. */
  #access(linear: Value, sizeBytes: number, writes: boolean): { number: number; isGrouped: boolean } {
    const number = this.memory.add(linear, sizeBytes, writes, this.depth > 0);
    return { number, isGrouped: (this.#grouped & (1 << number)) !== 0 };
  }

  protected linear(segment: SegmentName, offset: Value): Value {
    const number = segment === 'data' ? this.#dataSegment : SEGMENT_INDEX[segment];
    return segment === 'data' && number >= SEGMENT_INDEX.FS ? this.add(offset, this.loadState('i64.load', segmentField(number, 'base'))) : offset;
  }
  override load(segment: SegmentName, offset: Value, bits: IntegerBits): Value {
    return this.loaded(this.loadAt(this.linear(segment, offset), 'i64', LOAD_OPS[bits].unsigned, bits / 8), bits);
  }
  /** States that a zero-extending load gives no more than `bits` bits. */
  loaded(value: Node, bits: number): Node {
    return Object.assign(value, { knownBits: bits });
  }
  override store(segment: SegmentName, offset: Value, value: Value, bits: IntegerBits): void {
    this.storeAt(this.linear(segment, offset), value, STORE_OPS[bits], bits / 8);
  }
  override copyForward(to: Value, from: Value, lengthBytes: Value, bits: IntegerBits): Value {
    return this.bulk('copyForward', to, this.linear('data', from), lengthBytes, bits);
  }
  protected override bulk(...parameters: Parameters<FoldingEmitter['bulk']>): Value {
    this.memory.addOther();
    return super.bulk(...parameters);
  }

  loadAt(linear: Value, type: ValueType, op: MemoryOp, sizeBytes: number): Node {
    const { number, isGrouped } = this.#access(linear, sizeBytes, false);
    if (isGrouped) return this.#loadGrouped(type, op, number);
    return this.node(type, 'effect', [linear], (l) => emitLoad(l, l.local(linear), op, sizeBytes));
  }
  #loadGrouped(type: ValueType, op: MemoryOp, access: number): Node {
    return this.node(type, 'effect', [], (l) => (l.code as TemplateCode).groupPointer(access).groupAccess(op, access));
  }

  storeAt(linear: Value, value: Value, op: MemoryOp, sizeBytes: number): void {
    const { number, isGrouped } = this.#access(linear, sizeBytes, true);
    if (isGrouped) this.#storeGrouped(value, op, number);
    else this.action([linear, value], (l) => emitStore(l, l.local(linear), l.local(value), op, sizeBytes));
    this.noteEffect();
  }
  #storeGrouped(value: Value, op: MemoryOp, access: number): void {
    this.action([value], (l) => {
      const code = (l.code as TemplateCode).groupPointer(access);
      l.push(value);
      code.groupAccess(op, access);
    });
  }

  modifyAt(linear: Value, sizeBytes: number): ModifiedPlace {
    const { number, isGrouped } = this.#access(linear, sizeBytes, true);
    if (isGrouped) return { load: (type, op) => this.#loadGrouped(type, op, number), store: (value, op) => this.#storeGrouped(value, op, number) };
    let pointer = -1;
    this.action([linear], (l) => void (pointer = emitModifyPointer(l, l.local(linear), sizeBytes)));
    return {
      load: (type, op) => this.node(type, 'effect', [], (l) => l.code.localGet(pointer).memory(op, 0, 1)),
      store: (value, op) => {
        this.action([linear, value], (l) => {
          const local = l.local(value);
          l.code.localGet(pointer).localGet(local).memory(op, 0, 1);
        });
      },
    };
  }
}
