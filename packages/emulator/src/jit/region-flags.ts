import type { FlagName, Value } from '@hanok/x86';
import { FLAG_MASK } from '../flag-emit.ts';
import type { Lowering } from '../ir.ts';
import { CPU, FLAG_KIND } from '../layout.ts';
import type { RegionState } from './region-state.ts';

const { Explicit, Partial, Add, Sub, Logic } = FLAG_KIND;

/** How the flags are held at a place in a region: in the state block, as some kind in locals, or as the local `kind` says. */
export type FlagState = 'memory' | 'dynamic' | 'explicit' | 'partial' | 'add' | 'sub' | 'logic';

const KIND: Record<Exclude<FlagState, 'memory' | 'dynamic'>, number> = { explicit: Explicit, partial: Partial, add: Add, sub: Sub, logic: Logic };
/** The local `kind` holds a FLAG_KIND plus one, and zero while the flags are in the state block. */
const IN_MEMORY = 0;

type BitFlag = 'CF' | 'PF' | 'AF' | 'SF' | 'OF';
const BITS: readonly BitFlag[] = ['CF', 'PF', 'AF', 'SF', 'OF'];

/** The flags of a region: lazily computed as in the interpreter, but how they were made is known while code is written. */
export class RegionFlags {
  state: FlagState = 'memory';
  readonly #region: RegionState;
  readonly #kind: number;
  readonly #a: number;
  readonly #b: number;
  readonly #result: number;
  readonly #bits = new Map<BitFlag, number>();

  constructor(region: RegionState) {
    this.#region = region;
    this.#kind = region.newLocal('i32');
    this.#a = region.newLocal('i64');
    this.#b = region.newLocal('i64');
    this.#result = region.newLocal('i64');
  }

  #bit(name: BitFlag): number {
    const known = this.#bits.get(name);
    if (known !== undefined) return known;
    const local = this.#region.newLocal('i32');
    this.#bits.set(name, local);
    return local;
  }

  /** Writes what the local `kind` must say where paths meet or the region is left. */
  recordKind(l: Lowering, state: FlagState): void {
    if (state === 'dynamic') return;
    l.code.i32(state === 'memory' ? IN_MEMORY : KIND[state] + 1).localSet(this.#kind);
  }

  setOperands(l: Lowering, a: Value, b: Value, result: Value): void {
    l.push(a).push(b).push(result).code.localSet(this.#result).localSet(this.#b).localSet(this.#a);
  }
  setResult(l: Lowering, result: Value): void {
    l.push(result).code.localSet(this.#result);
  }
  setBit(l: Lowering, name: BitFlag, value: Value): void {
    l.push(value).code.localSet(this.#bit(name));
  }

  /** Moves the flags to the state block; `state` says how they are held here. */
  spill(l: Lowering, state: FlagState): void {
    if (state === 'memory') return;
    if (state === 'dynamic') {
      // Code written later may hold flags in these on a path that comes back here.
      for (const name of BITS) this.#bit(name);
      l.code.localGet(this.#kind).if();
    }
    this.#store(l, () => {
      if (state === 'dynamic') l.code.localGet(this.#kind).i32(1).op('i32.sub');
      else l.code.i32(KIND[state]);
    });
    if (state === 'dynamic') l.code.op('end');
    l.code.i32(IN_MEMORY).localSet(this.#kind);
  }

  #store(l: Lowering, kind: () => void): void {
    const { code, cpu } = l;
    code.localGet(cpu);
    kind();
    code.memory('i32.store', CPU.flagKind);
    code.localGet(cpu).localGet(this.#a).memory('i64.store', CPU.flagA);
    code.localGet(cpu).localGet(this.#b).memory('i64.store', CPU.flagB);
    code.localGet(cpu).localGet(this.#result).memory('i64.store', CPU.flagResult);
    if (this.#bits.size === 0) return;
    // Where all flags are explicit the host reads them from this word alone.
    code.localGet(cpu).localGet(this.#result).op('i64.eqz').i32(Math.log2(FLAG_MASK.ZF)).op('i32.shl');
    for (const [name, local] of this.#bits) code.localGet(local).i32(Math.log2(FLAG_MASK[name])).op('i32.shl').op('i32.or');
    code.memory('i32.store', CPU.flagWord);
  }

  /** At the region's end: stores what the local `kind` says. */
  storeAtEnd(l: Lowering): void {
    this.spill(l, 'dynamic');
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
    if (name === 'ZF') code.localGet(this.#result).op('i64.eqz');
    else if (name === 'PF') this.#parity(l, state);
    else if (name === 'SF') this.#sign(l, state);
    else if (state === 'explicit' || state === 'partial') code.localGet(this.#bit(name));
    else if (state === 'logic') code.i32(0);
    else this.#ofArithmetic(l, name, state);
  }

  /** ZF and CF at a loop's top, where counting loops read them: by the local `kind`, without a call for what loops leave. */
  #pushDynamic(l: Lowering, name: 'ZF' | 'CF'): void {
    const { code } = l;
    const inMemory = () => this.push(l, name, 'memory');
    if (name === 'ZF') {
      code.localGet(this.#kind).if('i32').localGet(this.#result).op('i64.eqz').op('else');
      inMemory();
      code.op('end');
      return;
    }
    const carry = this.#bit('CF');
    code.localGet(this.#kind).i32(Partial + 1).op('i32.eq').if('i32').localGet(carry).op('else');
    code.localGet(this.#kind).i32(Sub + 1).op('i32.eq').if('i32').localGet(this.#a).localGet(this.#b).op('i64.lt_u').op('else');
    this.spill(l, 'dynamic');
    inMemory();
    code.op('end').op('end');
  }

  #parity(l: Lowering, state: FlagState): void {
    if (state === 'explicit') l.code.localGet(this.#bit('PF'));
    else l.code.localGet(this.#result).i64(0xff).op('i64.and').op('i64.popcnt').op('i32.wrap_i64').i32(1).op('i32.and').op('i32.eqz');
  }
  #sign(l: Lowering, state: FlagState): void {
    if (state === 'explicit') l.code.localGet(this.#bit('SF'));
    else l.code.localGet(this.#result).i64(0).op('i64.lt_s');
  }

  #ofArithmetic(l: Lowering, name: 'CF' | 'AF' | 'OF', state: FlagState): void {
    const { code } = l;
    const [a, b, r] = [this.#a, this.#b, this.#result];
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
      if (state === 'sub') code.localGet(this.#a).localGet(this.#b).op(operation);
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
      code.i32(Math.log2(FLAG_MASK[name])).op('i32.shl').op('i32.or');
    }
    code.op('i64.extend_i32_u');
  }

  /** Takes all six flags from an image in RFLAGS's layout. */
  setImage(l: Lowering, image: Value): void {
    const local = l.local(image);
    const { code } = l;
    for (const name of BITS) {
      code.localGet(local).op('i32.wrap_i64').i32(Math.log2(FLAG_MASK[name])).op('i32.shr_u').i32(1).op('i32.and').localSet(this.#bit(name));
    }
    code.localGet(local).i64(6).op('i64.shr_u').i64(1).op('i64.and').i64(1).op('i64.xor').localSet(this.#result);
  }
}
