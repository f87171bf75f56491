import type { MemoryOp, ModuleBuilder } from '@hanok/wasm';
import type { Value, ValueType } from '@hanok/x86';
import { Emitter } from '../emitter.ts';
import { type Callees, type Flow, Lowering, use } from '../ir.ts';

const NO_FLOW = new Proxy({}, {
  get(_, name) {
    throw new Error(`a function of its own has no ${String(name)}`);
  },
}) as Flow & Callees;

/** Builds a function of the module, whose first parameter is the state block's address, as bodies of instructions are built. */
export class FunctionWriter extends Emitter {
  constructor() {
    super(true, (name) => {
      throw new Error(`a function of its own cannot call the helper ${name}`);
    });
  }

  parameter(index: number, type: ValueType): Value {
    return this.node(type, 'register', [], (l) => l.code.localGet(index));
  }

  /** Calls another such function. */
  callFunction(target: Defined, ...args: Value[]): Value {
    return this.node(target.result, 'effect', args, (l) => {
      l.code.localGet(l.cpu);
      for (const arg of args) l.push(arg);
      l.code.call(target.index);
    });
  }

  /** Memory at a computed address (i32). */
  loadAt(name: MemoryOp, address: Value, offset: number): Value {
    return this.node(name.split('.')[0] as ValueType, 'effect', [address], (l) => l.push(address).code.memory(name, offset));
  }
  storeAt(name: MemoryOp, address: Value, offset: number, value: Value): void {
    this.action([address, value], (l) => l.push(address).push(value).code.memory(name, offset));
  }

  /** Returns 0 from the function (whose result is an i32) where the condition does not hold; it mostly does. */
  failUnless(condition: Value): void {
    this.action([condition], (l) => void l.push(condition).code.op('i32.eqz').hint(false).if().i32(0).op('return').op('end'));
  }
}

/** A function of the module: (cpu, …) → result. */
export interface Defined {
  readonly index: number;
  readonly result: ValueType;
}

export function defineFunction(module: ModuleBuilder, name: string, parameters: readonly ValueType[], result: ValueType, build: (e: FunctionWriter, ...parameters: Value[]) => Value): Defined {
  const f = module.function(module.type(['i32', ...parameters], [result]));
  f.name = name;
  const e = new FunctionWriter();
  const value = build(e, ...parameters.map((type, index) => e.parameter(index + 1, type)));
  use(value);
  const lowering = new Lowering(f.code, (type) => f.local(type), NO_FLOW, NO_FLOW, 0, -1, -1);
  lowering.block(e.root);
  lowering.push(value);
  return { index: f.index, result };
}
