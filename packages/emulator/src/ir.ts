import type { Code } from '@hanok/wasm';
import type { ExactFloat, Routine, Value, ValueType, X87Quick } from '@hanok/x86';
import type { ByteSource } from './jit/fold-vector.ts';
import type { Origin } from './jit/instruction-memory.ts';

/**
 * A value on its way to WebAssembly. Pure nodes used once are written where they are used; all others are written
 * where they were made and kept in a local.
 */
export interface Node extends Value {
  readonly emit: (lowering: Lowering) => void;
  /** A register is read where it is used, without a local of its own. */
  readonly kind: 'constant' | 'register' | 'pure' | 'effect';
  uses: number;
  local: number;
  /** The value of an integer constant. */
  readonly constant?: bigint;
  /** How a pure value was made, for engines that simplify. */
  operation?: { readonly name: string; readonly operands: readonly Value[]; readonly lane?: number };
  /** Where the bytes of a vector come from, for engines that simplify. */
  bytes?: readonly ByteSource[];
  /** What an address is made of, for engines that know what registers hold. */
  origin?: Origin | undefined;
  /** An integer below 2^n. */
  knownBits?: number;
  /** Which guest registers' locals the value is made of while it is not kept, one bit each (general, then vector). */
  registers?: number;
  /** One of them changed since, so that a use from here on needs the value kept where it was made. */
  stale?: boolean;
  kept?: boolean;
}

/** Notes that a value is used here. */
export function use(value: Value): void {
  const node = value as Node;
  node.uses += 1;
  if (node.stale) node.kept = true;
}

/** Code in order: nodes to be written, or actions that leave nothing on the stack. */
type Step = { node: Node } | { action: (lowering: Lowering) => void };

/** A straight list of steps; nested lists stand inside actions. */
export class Block {
  readonly steps: Step[] = [];
}

/** Where control goes from inside a handler; the main function and the functions beside it differ in how. */
export interface Flow {
  /** Leaves because an exception is pending in the state block. */
  fault(code: Code): void;
  /** Leaves for the i64 RIP on the stack. */
  jump(code: Code): void;
  /** Leaves for the slot's relative target. */
  branch(code: Code): void;
  /** Leaves with the i32 status on the stack when it is not zero. */
  leaveOnStatus(code: Code): void;
  /** Asks for interrupts to be looked at soon. */
  interruptWindow(code: Code): void;
}

/** Functions that generated code calls, by their indices in the module. */
export interface Callees {
  readonly slowRead: number;
  readonly slowWrite: number;
  readonly slowModify: number;
  /** (cpu, linear, size): what a LOCKed access needs where it is not aligned RAM with a TLB hit; and its end. */
  readonly slowLock: number;
  readonly slowUnlock: number;
  readonly slowAddress: number;
  readonly segmentLinear: number;
  readonly helper: number;
  readonly flag: Readonly<Record<'CF' | 'PF' | 'AF' | 'SF' | 'OF' | 'L', number>>;
  readonly flagsImage: number;
  readonly copyForward: number;
  readonly fillForward: number;
  /** (cpu) → the time-stamp counter. */
  readonly timeStamp: number;
  /** Writes the routine's function into the module when it is first called. */
  routine(routine: Routine): number;
  /** Calls an exact floating-point operation: (cpu, operands) → result. */
  exactFloat(code: Code, name: ExactFloat): void;
  /** Calls the ordinary case of an x87 instruction: (cpu, operands) → done. */
  x87(code: Code, name: X87Quick): void;
}

/** Turns blocks into WebAssembly. */
export class Lowering {
  readonly code: Code;
  readonly flow: Flow;
  readonly callees: Callees;
  /** Locals that hold the state block's address, the slot's, and the TLB's (-1: load it). */
  readonly cpu: number;
  readonly slot: number;
  readonly tlb: number;
  readonly #newLocal: (type: ValueType) => number;
  readonly #pools = new Map<ValueType, number[]>();
  readonly #taken = new Map<ValueType, number>();

  constructor(code: Code, newLocal: (type: ValueType) => number, flow: Flow, callees: Callees, cpu: number, slot: number, tlb: number) {
    this.code = code;
    this.#newLocal = newLocal;
    this.flow = flow;
    this.callees = callees;
    this.cpu = cpu;
    this.slot = slot;
    this.tlb = tlb;
  }

  /** All temporaries are free again: the next handler shares no value with the last. */
  releaseLocals(): void {
    this.#taken.clear();
  }

  temporary(type: ValueType): number {
    const pool = this.#pools.get(type) ?? [];
    this.#pools.set(type, pool);
    const taken = this.#taken.get(type) ?? 0;
    this.#taken.set(type, taken + 1);
    if (taken === pool.length) pool.push(this.#newLocal(type));
    return pool[taken]!;
  }

  /** Puts on the stack what a function takes: the state block's address, and operands. */
  pushCallOf(operands: readonly Value[]): void {
    this.code.localGet(this.cpu);
    for (const operand of operands) this.push(operand);
  }

  /** Puts a value on the stack. */
  push(value: Value): this {
    const node = value as Node;
    if (node.local >= 0) this.code.localGet(node.local);
    else node.emit(this);
    return this;
  }

  /** A local that holds the value. */
  local(value: Value): number {
    const node = value as Node;
    if (node.local >= 0) return node.local;
    const local = this.temporary(node.type);
    node.emit(this);
    this.code.localSet(local);
    return local;
  }

  block(block: Block): void {
    for (const step of block.steps) {
      if ('action' in step) step.action(this);
      else this.#define(step.node);
    }
  }

  #define(node: Node): void {
    if (node.kind === 'constant' || (node.kind !== 'effect' && !node.kept && (node.kind === 'register' || node.uses < 2))) return;
    node.emit(this);
    node.local = this.temporary(node.type);
    this.code.localSet(node.local);
  }
}
