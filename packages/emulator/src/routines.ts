import type { ModuleBuilder } from '@hanok/wasm';
import type { Routine } from '@hanok/x86';
import { Emitter } from './emitter.ts';
import { type Callees, type Flow, Lowering, use } from './ir.ts';

function never(): never {
  throw new Error('a routine names neither registers nor memory and raises nothing');
}

/** Routines compute: nothing in them can leave. */
export const NO_FLOW: Flow = { fault: never, jump: never, branch: never, leaveOnStatus: never, interruptWindow: never };

const NO_CALLEES: Omit<Callees, 'routine'> = {
  slowRead: -1, slowWrite: -1, slowModify: -1, slowLock: -1, slowUnlock: -1, slowAddress: -1, segmentLinear: -1, helper: -1, flagsImage: -1, copyForward: -1, fillForward: -1, timeStamp: -1,
  flag: { CF: -1, PF: -1, AF: -1, SF: -1, OF: -1, L: -1 }, exactFloat: never, x87: never,
};

/**
 * The functions of a module that bodies share, by the routine. Each module has its own copies, so that the compiler
 * may put them in place where they are called.
 */
export function routineFunctions(module: ModuleBuilder): Callees['routine'] {
  const indices = new Map<Routine, number>();
  const routine = (called: Routine): number => {
    const known = indices.get(called);
    if (known !== undefined) return known;
    const f = module.function(module.type([...called.parameters], [called.result]));
    f.name = called.name;
    indices.set(called, f.index);
    const emitter = new Emitter(true, never);
    const parameters = called.parameters.map((type, index) => emitter.node(type, 'register', [], (l) => l.code.localGet(index)));
    const result = called.body(emitter, ...parameters);
    use(result);
    const lowering = new Lowering(f.code, (type) => f.local(type), NO_FLOW, { ...NO_CALLEES, routine }, -1, -1, -1);
    lowering.block(emitter.root);
    lowering.push(result);
    return f.index;
  };
  return routine;
}
