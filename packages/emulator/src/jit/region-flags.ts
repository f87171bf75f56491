import type { Code } from '@hanok/wasm';
import type { FlagName, Value } from '@hanok/x86';
import { FLAG_MASK } from '../flag-emit.ts';
import type { Lowering } from '../ir.ts';
import { CPU, FLAG_KIND } from '../layout.ts';
import { LOCAL } from './virtual-locals.ts';

const { Explicit, Partial, Add, Sub, Logic, Product } = FLAG_KIND;

/** How the flags are held at a place in a region: in the state block, as some kind in locals, or as the local `kind` says. */
export type FlagState = 'memory' | 'dynamic' | 'explicit' | 'partial' | 'add' | 'sub' | 'logic' | 'product';

const KIND: Record<Exclude<FlagState, 'memory' | 'dynamic'>, number> = { explicit: Explicit, partial: Partial, add: Add, sub: Sub, logic: Logic, product: Product };
/** The local `kind` holds a FLAG_KIND plus one, and zero while the flags are in the state block. */
const IN_MEMORY = 0;

const BITS = ['CF', 'PF', 'AF', 'SF', 'OF'] as const;
const shiftOf = (name: FlagName) => Math.log2(FLAG_MASK[name]);

/** The flags of a region: lazily computed as in the interpreter, but how they were made is known while code is written. */
export class RegionFlags {
  state: FlagState = 'memory';

  /** Writes what the local `kind` must say where paths meet or the region is left. */
  recordKind(l: Lowering, state: FlagState): void {
    if (state === 'dynamic') return;
    l.code.i32(state === 'memory' ? IN_MEMORY : KIND[state] + 1).localSet(LOCAL.flagKind);
  }

  setOperands(l: Lowering, a: Value, b: Value, result: Value): void {
    l.push(a).push(b).push(result).code.localSet(LOCAL.flagResult).localSet(LOCAL.flagB).localSet(LOCAL.flagA);
  }
  setResult(l: Lowering, result: Value): void {
    l.push(result).code.localSet(LOCAL.flagResult);
  }
  /** Flags at their places in RFLAGS, those that the state does not take from operands and result. */
  setWord(l: Lowering, word: Value): void {
    l.push(word).code.localSet(LOCAL.flagWord);
  }
  pushWord(l: Lowering): void {
    l.code.localGet(LOCAL.flagWord);
  }

  /** Moves the flags to the state block; `state` says how they are held here. */
  spill(l: Lowering, state: FlagState): void {
    if (state === 'memory') return;
    if (state === 'dynamic') l.code.localGet(LOCAL.flagKind).if();
    this.store(l, state);
    if (state === 'dynamic') l.code.op('end');
    l.code.i32(IN_MEMORY).localSet(LOCAL.flagKind);
  }

  /** Stores what a state is made of; a dynamic one is not in memory. */
  store({ code, cpu }: Lowering, state: FlagState): void {
    if (state === 'memory') return;
    const isDynamic = state === 'dynamic';
    code.localGet(cpu);
    if (isDynamic) code.localGet(LOCAL.flagKind).i32(1).op('i32.sub');
    else code.i32(KIND[state]);
    code.memory('i32.store', CPU.flagKind);
    code.localGet(cpu).localGet(LOCAL.flagResult).memory('i64.store', CPU.flagResult);
    if (isDynamic || state === 'add' || state === 'sub' || state === 'product') {
      code.localGet(cpu).localGet(LOCAL.flagA).memory('i64.store', CPU.flagA);
      code.localGet(cpu).localGet(LOCAL.flagB).memory('i64.store', CPU.flagB);
    }
    if (isDynamic || state === 'partial' || state === 'explicit') code.localGet(cpu).localGet(LOCAL.flagWord).memory('i32.store', CPU.flagWord);
  }

  /** Pushes what the function that leaves a region takes: the local `kind`'s value, operands, result and word. */
  pushAll(code: Code, state: FlagState): void {
    if (state === 'dynamic') code.localGet(LOCAL.flagKind);
    else code.i32(state === 'memory' ? IN_MEMORY : KIND[state] + 1);
    code.localGet(LOCAL.flagA).localGet(LOCAL.flagB).localGet(LOCAL.flagResult).localGet(LOCAL.flagWord);
  }

  /** Pushes one flag, held as `state` says. */
  push(l: Lowering, name: FlagName, state: FlagState): void {
    const { code } = l;
    if (state === 'dynamic' && (name === 'ZF' || name === 'CF')) {
      this.#pushDynamic(l, name);
      return;
    }
    if (state === 'memory' || state === 'dynamic') {
      this.spill(l, state);
      if (name === 'ZF') code.localGet(l.cpu).memory('i64.load', CPU.flagResult).op('i64.eqz');
      else code.localGet(l.cpu).call(l.callees.flag[name]);
      return;
    }
    if (name === 'ZF') code.localGet(LOCAL.flagResult).op('i64.eqz');
    else if (name === 'PF') this.#parity(l, state);
    else if (name === 'SF') this.#sign(l, state);
    else if (state === 'explicit' || state === 'partial') this.#bitOfWord(l, name);
    else if (state === 'logic' || (state === 'product' && name === 'AF')) code.i32(0);
    else if (state === 'product') {
      // Seldom asked: multiplications are followed by what sets other flags.
      this.store(l, state);
      code.localGet(l.cpu).call(l.callees.flag[name]);
    }
    else this.#ofArithmetic(l, name, state);
  }

  /** ZF and CF at a loop's top, where counting loops read them: by the local `kind`, without a call for what loops leave. */
  #pushDynamic(l: Lowering, name: 'ZF' | 'CF'): void {
    const { code } = l;
    const inMemory = () => this.push(l, name, 'memory');
    if (name === 'ZF') {
      code.localGet(LOCAL.flagKind).if('i32').localGet(LOCAL.flagResult).op('i64.eqz').op('else');
      inMemory();
      code.op('end');
      return;
    }
    code.localGet(LOCAL.flagKind).i32(Partial + 1).op('i32.eq').if('i32');
    this.#bitOfWord(l, 'CF');
    code.op('else');
    code.localGet(LOCAL.flagKind).i32(Sub + 1).op('i32.eq').if('i32').localGet(LOCAL.flagA).localGet(LOCAL.flagB).op('i64.lt_u').op('else');
    this.spill(l, 'dynamic');
    inMemory();
    code.op('end').op('end');
  }

  #bitOfWord({ code }: Lowering, name: FlagName): void {
    code.localGet(LOCAL.flagWord);
    if (shiftOf(name) > 0) code.i32(shiftOf(name)).op('i32.shr_u');
    code.i32(1).op('i32.and');
  }
  #parity(l: Lowering, state: FlagState): void {
    if (state === 'explicit') this.#bitOfWord(l, 'PF');
    else l.code.localGet(LOCAL.flagResult).i64(0xff).op('i64.and').op('i64.popcnt').op('i32.wrap_i64').i32(1).op('i32.and').op('i32.eqz');
  }
  #sign(l: Lowering, state: FlagState): void {
    if (state === 'explicit') this.#bitOfWord(l, 'SF');
    else l.code.localGet(LOCAL.flagResult).i64(0).op('i64.lt_s');
  }

  #ofArithmetic(l: Lowering, name: 'CF' | 'AF' | 'OF', state: FlagState): void {
    const { code } = l;
    const [a, b, r] = [LOCAL.flagA, LOCAL.flagB, LOCAL.flagResult];
    if (name === 'CF') {
      if (state === 'sub') code.localGet(a).localGet(b).op('i64.lt_u');
      else code.localGet(r).localGet(a).op('i64.lt_u');
    } else if (name === 'AF') {
      code.localGet(a).localGet(b).op('i64.xor').localGet(r).op('i64.xor').op('i32.wrap_i64').i32(4).op('i32.shr_u').i32(1).op('i32.and');
    } else {
      code.localGet(a).localGet(state === 'sub' ? b : r).op('i64.xor');
      code.localGet(state === 'sub' ? a : b).localGet(r).op('i64.xor').op('i64.and').i64(0).op('i64.lt_s');
    }
  }

  /** Pushes condition code 0-15 (SDM vol. 1 appendix B). */
  pushCondition(l: Lowering, condition: number, state: FlagState): void {
    const { code } = l;
    const flag = (name: FlagName) => this.push(l, name, state);
    const compare = (operation: 'i64.lt_u' | 'i64.le_u' | 'i64.lt_s' | 'i64.le_s', otherwise: () => void) => {
      if (state === 'sub') code.localGet(LOCAL.flagA).localGet(LOCAL.flagB).op(operation);
      else otherwise();
    };
    const less = () => {
      if (state === 'logic') return flag('SF');
      flag('SF');
      flag('OF');
      code.op('i32.xor');
    };
    const orZero = (first: () => void) => () => {
      first();
      flag('ZF');
      code.op('i32.or');
    };
    const conditions = [
      () => flag('OF'),
      () => compare('i64.lt_u', () => flag('CF')),
      () => flag('ZF'),
      () => compare('i64.le_u', orZero(() => flag('CF'))),
      () => flag('SF'),
      () => flag('PF'),
      () => compare('i64.lt_s', less),
      () => compare('i64.le_s', orZero(less)),
    ];
    if (state === 'dynamic') {
      this.spill(l, state);
      state = 'memory';
    }
    conditions[condition >> 1]!();
    if (condition & 1) code.op('i32.eqz');
  }

  /** Pushes the six flags at their places in RFLAGS, as i64. */
  pushImage(l: Lowering, state: FlagState): void {
    const { code } = l;
    if (state === 'memory' || state === 'dynamic') {
      this.spill(l, state);
      code.localGet(l.cpu).call(l.callees.flagsImage);
      return;
    }
    this.push(l, 'ZF', state);
    code.i32(6).op('i32.shl');
    for (const name of BITS) {
      this.push(l, name, state);
      code.i32(shiftOf(name)).op('i32.shl').op('i32.or');
    }
    code.op('i64.extend_i32_u');
  }

  /** Takes all six flags from an image in RFLAGS's layout. */
  setImage(l: Lowering, image: Value): void {
    const local = l.local(image);
    const { code } = l;
    code.localGet(local).op('i32.wrap_i64').localSet(LOCAL.flagWord);
    code.localGet(local).i64(6).op('i64.shr_u').i64(1).op('i64.and').i64(1).op('i64.xor').localSet(LOCAL.flagResult);
  }
}
