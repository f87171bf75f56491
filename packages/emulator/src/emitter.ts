import type { LaneOp, MemoryOp, PlainOp } from '@hanok/wasm';
import { type Emit, type ExactFloat, exactFloatType, type FlagName, type IntegerBits, type Routine, type SegmentName, type StateName, type Value, type ValueType, type Variable, Vector, type X87Quick } from '@hanok/x86';
import { condition, emitFlag, FLAG_MASK } from './flag-emit.ts';
import { emitRoundingShows } from './float/rounding-shows.ts';
import { RFLAGS } from './cpu-state.ts';
import { emitFlatSegment, emitSelectTlb, FLAT_CODE64, FLAT_DATA } from './privilege-emit.ts';
import { Block, type Lowering, type Node, use } from './ir.ts';
import { CPU, FLAG_KIND, SEGMENT_INDEX, segmentField } from './layout.ts';
import { emitLoad, emitStore, LOAD_OPS, segmentAddress, STORE_OPS } from './memory-emit.ts';
import { emitRip } from './rip-emit.ts';
import { STATE_OFFSETS } from './state-offsets.ts';
import { resultType } from './operation-type.ts';

const CR4_OSXMMEXCPT_BIT = 10;

/** Builds a handler out of an instruction's body. */
export class Emitter implements Emit {
  readonly mode64: boolean;
  /** Helper names in the order of their numbers; grows as bodies name them. */
  protected readonly helperNumber: (name: string) => number;
  #block = new Block();
  #usesHelper = false;

  constructor(mode64: boolean, helperNumber: (name: string) => number) {
    this.mode64 = mode64;
    this.helperNumber = helperNumber;
  }

  get root(): Block {
    return this.#block;
  }

  get usesHelper(): boolean {
    return this.#usesHelper;
  }

  node(type: ValueType, kind: Node['kind'], args: readonly Value[], emit: (lowering: Lowering) => void, constant?: bigint): Node {
    let registers = 0;
    for (const arg of args) {
      use(arg);
      registers |= (arg as Node).registers ?? 0;
    }
    const node: Node = { type, kind, emit, uses: 0, local: -1, registers: kind === 'pure' ? registers : 0, ...(constant === undefined ? {} : { constant }) };
    this.#block.steps.push({ node });
    return node;
  }

  /** Adds code that leaves nothing on the stack. The arguments are kept for it. */
  action(args: readonly Value[], emit: (lowering: Lowering) => void): void {
    for (const arg of args) use(arg);
    this.#block.steps.push({ action: emit });
  }

  constant(value: bigint | number): Value {
    const exact = typeof value === 'number' ? BigInt(value) : BigInt.asIntN(64, value);
    return this.node('i64', 'constant', [], (l) => l.code.i64(exact), exact);
  }
  constant32(value: number): Value {
    return this.node('i32', 'constant', [], (l) => l.code.i32(value));
  }
  constantF32(value: number): Value {
    return this.node('f32', 'constant', [], (l) => l.code.f32(value));
  }
  constantF64(value: number): Value {
    return this.node('f64', 'constant', [], (l) => l.code.f64(value));
  }
  constantVector(bytes: readonly number[]): Value {
    return this.node('v128', 'constant', [], (l) => l.code.v128(Uint8Array.from(bytes)));
  }

  op(name: string, ...operands: Value[]): Value {
    return this.node(resultType(name), 'pure', operands, (l) => {
      for (const operand of operands) l.push(operand);
      l.code.op(name as PlainOp);
    });
  }

  lane(name: string, index: number, ...operands: Value[]): Value {
    const extracted: Record<string, ValueType> = { i8x16: 'i32', i16x8: 'i32', i32x4: 'i32', i64x2: 'i64', f32x4: 'f32', f64x2: 'f64' };
    const type = name.includes('extract') ? extracted[name.split('.')[0]!]! : 'v128';
    return this.node(type, 'pure', operands, (l) => {
      for (const operand of operands) l.push(operand);
      l.code.lane(name as LaneOp, index);
    });
  }

  shuffle(lanes: readonly number[], a: Value, b: Value): Value {
    return this.node('v128', 'pure', [a, b], (l) => l.push(a).push(b).code.shuffle(lanes));
  }

  add(a: Value, b: Value): Value { return this.op('i64.add', a, b); }
  sub(a: Value, b: Value): Value { return this.op('i64.sub', a, b); }
  mul(a: Value, b: Value): Value { return this.op('i64.mul', a, b); }
  and(a: Value, b: Value): Value { return this.op('i64.and', a, b); }
  or(a: Value, b: Value): Value { return this.op('i64.or', a, b); }
  xor(a: Value, b: Value): Value { return this.op('i64.xor', a, b); }
  shl(a: Value, count: Value): Value { return this.op('i64.shl', a, count); }
  shrU(a: Value, count: Value): Value { return this.op('i64.shr_u', a, count); }
  shrS(a: Value, count: Value): Value { return this.op('i64.shr_s', a, count); }
  not(a: Value): Value { return this.op('i64.xor', a, this.constant(-1)); }
  eq(a: Value, b: Value): Value { return this.op('i64.eq', a, b); }
  ne(a: Value, b: Value): Value { return this.op('i64.ne', a, b); }
  eqz(a: Value): Value { return this.op(a.type === 'i32' ? 'i32.eqz' : 'i64.eqz', a); }
  nez(a: Value): Value { return a.type === 'i32' ? a : this.op('i64.ne', a, this.constant(0)); }
  both(a: Value, b: Value): Value { return this.op('i32.and', a, b); }
  either(a: Value, b: Value): Value { return this.op('i32.or', a, b); }
  ltU(a: Value, b: Value): Value { return this.op('i64.lt_u', a, b); }
  ltS(a: Value, b: Value): Value { return this.op('i64.lt_s', a, b); }
  narrow(a: Value): Value { return this.op('i32.wrap_i64', a); }
  widen(a: Value): Value { return this.op('i64.extend_i32_u', a); }

  select(condition: Value, a: Value, b: Value): Value {
    return this.node(a.type, 'pure', [a, b, condition], (l) => l.push(a).push(b).push(condition).code.op('select'));
  }

  zeroExtend(a: Value, bits: number): Value {
    return bits === 64 ? a : this.and(a, this.constant((1n << BigInt(bits)) - 1n));
  }

  signExtend(a: Value, bits: number): Value {
    return bits === 64 ? a : this.op(`i64.extend${bits}_s`, a);
  }

  bit(a: Value, index: number): Value {
    if (index === 63) return this.ltS(a, this.constant(0));
    return this.narrow(this.and(this.shrU(a, this.constant(index)), this.constant(1)));
  }

  call(routine: Routine, ...args: Value[]): Value {
    return this.node(routine.result, 'pure', args, (l) => {
      for (const arg of args) l.push(arg);
      l.code.call(l.callees.routine(routine));
    });
  }

  variable(initial: Value): Variable {
    const place = { local: -1 };
    this.action([initial], (l) => {
      place.local = l.temporary(initial.type);
      l.push(initial).code.localSet(place.local);
    });
    return {
      get: () => this.node(initial.type, 'effect', [], (l) => l.code.localGet(place.local)),
      set: (value) => this.action([value], (l) => l.push(value).code.localSet(place.local)),
    };
  }

  /** Runs `build` so that what it makes goes to a block of its own. */
  nested(build: () => void): Block {
    const outer = this.#block;
    this.#block = new Block();
    build();
    const inner = this.#block;
    this.#block = outer;
    return inner;
  }

  rarely(condition: Value, then: () => void): void {
    this.if(condition, then, undefined, true);
  }

  if(condition: Value, then: () => void, otherwise?: () => void, isRare = false): void {
    const thenBlock = this.nested(then);
    const elseBlock = otherwise && this.nested(otherwise);
    this.action([condition], (l) => {
      l.push(condition);
      if (isRare) l.code.hint(false);
      l.code.if();
      l.block(thenBlock);
      if (elseBlock) {
        l.code.op('else');
        l.block(elseBlock);
      }
      l.code.op('end');
    });
  }

  loopWhile(body: () => Value): void {
    let again: Value | undefined;
    const block = this.nested(() => {
      again = body();
      use(again);
    });
    this.action([], (l) => {
      l.code.loop();
      l.block(block);
      l.push(again!).code.brIf(0);
      l.code.op('end');
    });
  }

  /** Loads from the state block at a fixed offset. */
  loadState(name: MemoryOp, offset: number): Value {
    return this.node(name.split('.')[0] as ValueType, 'effect', [], (l) => l.code.localGet(l.cpu).memory(name, offset));
  }
  storeState(name: MemoryOp, offset: number, value: Value): void {
    this.action([value], (l) => l.code.localGet(l.cpu) && l.push(value).code.memory(name, offset));
  }

  register(index: number, bits: IntegerBits = 64): Value {
    return this.loadState(LOAD_OPS[bits].unsigned, CPU.gpr + index * 8);
  }
  setRegister(index: number, value: Value, bits: IntegerBits = 64): void {
    const stored = bits === 32 ? this.zeroExtend(value, 32) : value;
    this.storeState(bits === 32 ? 'i64.store' : STORE_OPS[bits], CPU.gpr + index * 8, stored);
  }
  vectorRegister(index: number): Value {
    return this.loadState('v128.load', CPU.xmm + index * 16);
  }
  setVectorRegister(index: number, value: Value): void {
    this.storeState('v128.store', CPU.xmm + index * 16, value);
  }

  state(name: StateName): Value {
    return name === 'rip' ? this.#ripPlus(false) : this.loadState('i64.load', STATE_OFFSETS[name]);
  }
  setState(name: StateName, value: Value): void {
    this.storeState('i64.store', name === 'rip' ? CPU.rip : STATE_OFFSETS[name], value);
  }

  load(segment: SegmentName, offset: Value, bits: IntegerBits): Value {
    const linear = segmentAddress(this, segment, offset, bits / 8, false);
    return this.node('i64', 'effect', [linear], (l) => emitLoad(l, l.local(linear), LOAD_OPS[bits].unsigned, bits / 8, segment === 'SS'));
  }
  store(segment: SegmentName, offset: Value, value: Value, bits: IntegerBits): void {
    const linear = segmentAddress(this, segment, offset, bits / 8, true);
    this.action([linear, value], (l) => emitStore(l, l.local(linear), l.local(value), STORE_OPS[bits], bits / 8, segment === 'SS'));
  }

  copyForward(to: Value, from: Value, lengthBytes: Value, bits: IntegerBits): Value {
    return this.bulk('copyForward', to, segmentAddress(this, 'data', from, bits / 8, false), lengthBytes, bits);
  }
  fillForward(to: Value, value: Value, lengthBytes: Value, bits: IntegerBits): Value {
    return this.bulk('fillForward', to, value, lengthBytes, bits);
  }
  protected bulk(name: 'copyForward' | 'fillForward', to: Value, second: Value, lengthBytes: Value, bits: IntegerBits): Value {
    return this.node('i64', 'effect', [to, second, lengthBytes], (l) => {
      l.code.localGet(l.cpu);
      l.push(to).push(second).push(lengthBytes).code.i32(bits / 8).call(l.callees[name]);
    });
  }

  #flagsOperands(kind: number, a: Value, b: Value, r: Value): void {
    this.#setFlagKind(kind);
    this.storeState('i64.store', CPU.flagA, a);
    this.storeState('i64.store', CPU.flagB, b);
    this.storeState('i64.store', CPU.flagResult, r);
  }
  #setFlagKind(kind: number): void {
    this.storeState('i32.store', CPU.flagKind, this.constant32(kind));
  }
  flagsAdd(a: Value, b: Value, r: Value): void {
    this.#flagsOperands(FLAG_KIND.Add, a, b, r);
  }
  flagsSub(a: Value, b: Value, r: Value): void {
    this.#flagsOperands(FLAG_KIND.Sub, a, b, r);
  }
  flagsProduct(a: Value, b: Value, r: Value): void {
    this.#flagsOperands(FLAG_KIND.Product, a, b, r);
  }
  flagsLogic(r: Value): void {
    this.#setFlagKind(FLAG_KIND.Logic);
    this.storeState('i64.store', CPU.flagResult, r);
  }
  flagsResult(r: Value, given: Partial<Record<'CF' | 'OF' | 'AF', Value>>): void {
    let word = this.constant32(0);
    for (const name of ['CF', 'AF', 'OF'] as const) {
      word = this.op('i32.or', word, this.op('i32.shl', given[name] ?? this.flag(name), this.constant32(Math.log2(FLAG_MASK[name]))));
    }
    // The word is built before the kind changes, because it may read the flags as they were.
    const kept = this.node('i32', 'effect', [word], (l) => l.push(word));
    this.#setFlagKind(FLAG_KIND.Partial);
    this.storeState('i32.store', CPU.flagWord, kept);
    this.storeState('i64.store', CPU.flagResult, r);
  }
  flagsSet(given: Partial<Record<FlagName, Value>>): void {
    const names = Object.keys(given) as FlagName[];
    const mask = names.reduce((sum, name) => sum | FLAG_MASK[name], 0);
    let image = mask === 0x8d5 ? this.constant(0) : this.and(this.flagsImage(), this.constant(~mask));
    for (const name of names) {
      image = this.or(image, this.shl(this.widen(given[name]!), this.constant(Math.log2(FLAG_MASK[name]))));
    }
    this.setFlagsImage(image);
  }
  flag(name: FlagName): Value {
    return this.node('i32', 'effect', [], (l) => emitFlag(l, name));
  }
  flagsImage(): Value {
    return this.node('i64', 'effect', [], (l) => l.code.localGet(l.cpu).call(l.callees.flagsImage));
  }
  setFlagsImage(image: Value): void {
    const zero = this.and(this.shrU(image, this.constant(6)), this.constant(1));
    this.#setFlagKind(FLAG_KIND.Explicit);
    this.storeState('i32.store', CPU.flagWord, this.narrow(image));
    this.storeState('i64.store', CPU.flagResult, this.xor(zero, this.constant(1)));
  }
  condition(code: number): Value {
    return this.node('i32', 'effect', [], (l) => condition(l, code));
  }

  pause(): void {
    this.action([], (l) => l.code.localGet(l.cpu).localGet(l.cpu).memory('i32.load', CPU.pauses).i32(1).op('i32.add').memory('i32.store', CPU.pauses));
  }
  fence(): void {
    this.action([], (l) => l.code.atomicFence());
  }

  setAlignmentCheck(on: boolean): void {
    this.changeAlignmentCheck(on);
    // Wherever the address of the TLB is kept, it is read again behind a jump.
    this.jump(this.nextRip());
  }
  protected changeAlignmentCheck(on: boolean): void {
    const flags = this.state('systemFlags');
    const ac = this.constant(RFLAGS.AC);
    this.setState('systemFlags', on ? this.or(flags, ac) : this.and(flags, this.not(ac)));
    this.action([], (l) => emitSelectTlb(l, 0));
  }
  enterFlat(cpl: 0 | 3, cs: Value, ss: Value | undefined): void {
    this.action(ss ? [cs, ss] : [cs], (l) => {
      emitFlatSegment(l, SEGMENT_INDEX.CS, l.local(cs), FLAT_CODE64, cpl);
      if (ss) emitFlatSegment(l, SEGMENT_INDEX.SS, l.local(ss), FLAT_DATA, cpl);
      l.code.localGet(l.cpu).i64(cpl).memory('i64.store', CPU.cpl);
      emitSelectTlb(l, cpl);
    });
  }

  /** RIP of this instruction, or of the next one. */
  #ripPlus(withLength: boolean): Value {
    return this.node('i64', 'effect', [], (l) => emitRip(l.code, l.cpu, l.slot, withLength));
  }
  nextRip(): Value {
    return this.#ripPlus(true);
  }
  checkTarget(target: Value): void {
    const outside = this.mode64
      ? this.ne(this.shrS(this.shl(target, this.constant(16)), this.constant(16)), target)
      : this.ltU(this.loadState('i64.load32_u', segmentField(SEGMENT_INDEX.CS, 'limit')), target);
    this.if(outside, () => this.fault(Vector.GP, 0));
  }
  jump(target: Value): void {
    this.action([target], (l) => l.flow.jump(l.push(target).code));
  }
  branch(condition?: Value): void {
    if (!condition) return void this.action([], (l) => l.flow.branch(l.code));
    this.action([condition], (l) => {
      l.push(condition).code.if();
      l.flow.branch(l.code);
      l.code.op('end');
    });
  }
  interruptWindow(): void {
    this.action([], (l) => l.flow.interruptWindow(l.code));
  }
  fault(vector: number, errorCode?: number): void {
    this.action([], (l) => {
      l.code.localGet(l.cpu).i32(errorCode === undefined ? vector : vector | 0x80000000).memory('i32.store', CPU.faultVector);
      l.code.localGet(l.cpu).i32(errorCode ?? 0).memory('i32.store', CPU.faultErrorCode);
      l.flow.fault(l.code);
    });
  }
  exactFloat(name: ExactFloat, ...operands: Value[]): Value {
    const result = this.node(exactFloatType(name), 'effect', operands, (l) => {
      l.pushCallOf(operands);
      l.callees.exactFloat(l.code, name);
    });
    this.if(this.loadState('i32.load', CPU.floatFault), () => this.floatFault());
    return result;
  }
  /** SDM vol. 3A §2.5, "OSXMMEXCPT". */
  protected floatFault(): void {
    this.if(this.bit(this.state('cr4'), CR4_OSXMMEXCPT_BIT), () => this.fault(Vector.XM), () => this.fault(Vector.UD));
  }
  x87(name: X87Quick, ...operands: Value[]): Value {
    return this.node('i32', 'effect', operands, (l) => {
      l.pushCallOf(operands);
      l.callees.x87(l.code, name);
    });
  }
  x87Stored(part: 'value' | 'head'): Value {
    return this.loadState('i64.load', part === 'value' ? CPU.result : CPU.x87StoredHead);
  }
  timeStamp(): Value {
    return this.node('i64', 'effect', [], (l) => l.code.localGet(l.cpu).call(l.callees.timeStamp));
  }
  roundingShows(): Value {
    return this.node('i32', 'effect', [], (l) => emitRoundingShows(l.code, l.cpu));
  }
  helper(name: string, ...args: Value[]): Value {
    this.#usesHelper = true;
    const number = this.helperNumber(name);
    args.forEach((arg, index) => this.storeState('i64.store', CPU.arguments + index * 8, arg));
    return this.node('i64', 'effect', [], (l) => {
      l.code.i32(number).localGet(l.slot).i32(args.length).call(l.callees.helper);
      l.flow.leaveOnStatus(l.code);
      l.code.localGet(l.cpu).memory('i64.load', CPU.result);
    });
  }
}
