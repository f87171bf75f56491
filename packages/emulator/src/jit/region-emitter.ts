import type { ExactFloat, FlagName, IntegerBits, StateName, Value, ValueType, X87Quick } from '@hanok/x86';
import type { Emitter } from '../emitter.ts';
import { FLAG_MASK } from '../flag-emit.ts';
import { type Lowering, type Node, use } from '../ir.ts';
import { CPU } from '../layout.ts';
import type { CompiledInstruction } from './region-blocks.ts';
import { MemoryEmitter } from './memory-emitter.ts';
import { type Branch, NotCompilable, type RegionExits } from './region-exits.ts';
import type { FlagState, RegionFlags } from './region-flags.ts';
import { registerBit, vectorBit } from './register-bits.ts';
import type { TemplateCode } from './template-code.ts';
import type { RegisterWidths } from './register-widths.ts';
import { RegionX87 } from './region-x87.ts';
import { loadRoundingShows } from './region-registers.ts';
import { LOCAL, type VectorConstants } from './virtual-locals.ts';

/** Builds the code of one instruction in a region: its operands are known, and registers are locals. */
export class RegionEmitter extends MemoryEmitter {
  readonly #flags: RegionFlags;
  readonly #exits: RegionExits;
  readonly #instruction: CompiledInstruction;
  readonly #widths: RegisterWidths;
  readonly #constants: VectorConstants;
  readonly #x87 = new RegionX87(this, (name, operands) => super.x87(name, ...operands));
  /** Registers that must be available before this instruction, and those it makes so. */
  #needs = 0;
  #written = 0;
  #branch: Branch | undefined;
  #jumpTarget: Value | undefined;

  constructor(flags: RegionFlags, exits: RegionExits, instruction: CompiledInstruction, widths: RegisterWidths, constants: VectorConstants, helperNumber: (name: string) => number) {
    super(instruction.decoded.segment, instruction.groups?.mask ?? 0, helperNumber);
    this.#flags = flags;
    this.#exits = exits;
    this.#instruction = instruction;
    this.#widths = widths;
    this.#constants = constants;
  }

  get needs(): number {
    return this.#needs;
  }
  get written(): number {
    return this.#written;
  }
  get branchTaken(): Branch | undefined {
    return this.#branch;
  }
  /** Where the body ended by going, when only the guest knows. */
  get jumpTarget(): Value | undefined {
    return this.#jumpTarget;
  }

  /** Code that leaves the region must know how the flags are held, which is known while the body runs. */
  override node(type: ValueType, kind: Node['kind'], args: readonly Value[], emit: (l: Lowering) => void, constant?: bigint): Node {
    return super.node(type, kind, args, kind === 'effect' ? this.#placed(emit) : emit, constant);
  }
  override action(args: readonly Value[], emit: (l: Lowering) => void): void {
    super.action(args, this.#placed(emit));
  }
  #placed(emit: (l: Lowering) => void): (l: Lowering) => void {
    const { state } = this.#flags;
    return (l) => {
      this.#exits.flagsHere = state;
      emit(l);
    };
  }

  #registerNode(type: 'i64' | 'v128', local: number, mask: number): Node {
    this.#needs |= mask & ~this.#written;
    const node = this.node(type, 'register', [], (l) => l.code.localGet(local));
    node.registers = mask;
    return this.track(node);
  }

  override register(index: number, bits: IntegerBits = 64): Value {
    const node = this.withOrigin(this.#registerNode('i64', LOCAL.general + index, registerBit(index)), index);
    node.knownBits = this.#widths.get(index);
    return this.zeroExtend(node, bits);
  }
  /** Bits 8-15 of a register: AH and kin. */
  highByte(index: number): Value {
    return this.zeroExtend(this.shrU(this.#registerNode('i64', LOCAL.general + index, registerBit(index)), this.constant(8)), 8);
  }
  override setRegister(index: number, value: Value, bits: IntegerBits = 64): void {
    if (bits >= 32) {
      const whole = this.zeroExtend(value, bits);
      this.#assign(index, whole, Math.min(bits, (whole as Node).knownBits ?? 64));
      return;
    }
    const kept = this.and(this.register(index), this.constant(~((1n << BigInt(bits)) - 1n)));
    this.#assign(index, this.or(kept, this.zeroExtend(value, bits)), Math.max(bits, this.#widths.get(index)));
  }
  setHighByte(index: number, value: Value): void {
    const kept = this.and(this.register(index), this.constant(~0xff00n));
    this.#assign(index, this.or(kept, this.shl(this.zeroExtend(value, 8), this.constant(8))), Math.max(16, this.#widths.get(index)));
  }
  #assign(index: number, value: Value, width: number): void {
    const local = LOCAL.general + index;
    this.action([value], (l) => l.push(value).code.localSet(local).localGet(l.cpu).localGet(local).memory('i64.store', CPU.gpr + index * 8));
    // Inside a condition either value may stay.
    this.#widths.set(index, this.depth > 0 ? Math.max(width, this.#widths.get(index)) : width);
    this.noteChange(index, value);
    this.#noteWritten(registerBit(index));
  }
  override vectorRegister(index: number): Value {
    return this.#registerNode('v128', LOCAL.vector + index, vectorBit(index));
  }
  override setVectorRegister(index: number, value: Value): void {
    const local = LOCAL.vector + index;
    this.action([value], (l) => l.push(value).code.localSet(local).localGet(l.cpu).localGet(local).memory('v128.store', CPU.xmm + index * 16));
    this.#noteWritten(vectorBit(index));
  }
  #noteWritten(register: number): void {
    // Inside a condition what was there before may stay.
    if (this.depth > 0) this.#needs |= register & ~this.#written;
    else this.#written |= register;
    this.invalidate(register);
    this.hasEffect = true;
  }

  override state(name: StateName): Value {
    if (name === 'x87Words') return this.#x87.words;
    return name === 'rip' ? this.ripPlus(0) : super.state(name);
  }
  override setState(name: StateName, value: Value): void {
    if (name === 'rip') throw new NotCompilable();
    this.hasEffect = true;
    super.setState(name, value);
    if (name === 'mxcsr') this.#readRounding();
  }

  override constantVector(bytes: readonly number[]): Value {
    const name = this.#constants.name(bytes);
    if (name === undefined) return Object.assign(super.constantVector(bytes), { bytes });
    return Object.assign(this.node('v128', 'constant', [], (l) => l.code.localGet(name)), { bytes });
  }
  override roundingShows(): Value {
    return this.node('i32', 'effect', [], (l) => l.code.localGet(LOCAL.roundingShows));
  }
  override exactFloat(name: ExactFloat, ...operands: Value[]): Value {
    const result = super.exactFloat(name, ...operands);
    this.#readRounding();
    return result;
  }
  protected override floatFault(): void {
    this.fault();
  }
  /** MXCSR may have changed. */
  #readRounding(): void {
    this.action([], (l) => loadRoundingShows(l.code));
  }

  override x87(name: X87Quick, ...operands: Value[]): Value {
    return this.#x87.quick(name, operands);
  }
  override x87Stored(part: 'value' | 'head'): Value {
    return this.#x87.stored(part) ?? super.x87Stored(part);
  }
  /** An MMX register has changed. */
  x87Written(): void {
    this.action([], (l) => (l.code as TemplateCode).reload(true));
  }
  /** By how much the instruction moves TOP. */
  get stackMove(): number {
    return this.#x87.stackMove;
  }

  /** RIP of this instruction plus `delta`. */
  ripPlus(delta: number): Value {
    return this.atRip(this.node('i64', 'effect', [], (l) => (l.code as TemplateCode).rip(delta)), delta);
  }
  override nextRip(): Value {
    return this.ripPlus(this.#instruction.decoded.lengthBytes);
  }

  #setFlags(state: FlagState, values: readonly Value[], write: (l: Lowering) => void): void {
    if (this.#instruction.flagsDead) return;
    this.action(values, write);
    this.#flags.state = state;
    this.hasEffect = true;
  }
  override flagsAdd(a: Value, b: Value, r: Value): void {
    this.#setFlags('add', [a, b, r], (l) => this.#flags.setOperands(l, a, b, r));
  }
  override flagsSub(a: Value, b: Value, r: Value): void {
    this.#setFlags('sub', [a, b, r], (l) => this.#flags.setOperands(l, a, b, r));
  }
  override flagsProduct(a: Value, b: Value, r: Value): void {
    this.#setFlags('product', [a, b, r], (l) => this.#flags.setOperands(l, a, b, r));
  }
  override flagsLogic(r: Value): void {
    this.#setFlags('logic', [r], (l) => this.#flags.setResult(l, r));
  }
  override flagsResult(r: Value, given: Parameters<Emitter['flagsResult']>[1]): void {
    if (this.#instruction.flagsDead) return;
    const word = this.#word(['CF', 'AF', 'OF'], given);
    this.#setFlags('partial', [r, word], (l) => {
      this.#flags.setWord(l, word);
      this.#flags.setResult(l, r);
    });
  }
  override flagsSet(given: Partial<Record<FlagName, Value>>): void {
    if (this.#instruction.flagsDead) return;
    const { state } = this.#flags;
    const keepsResult = !('ZF' in given || 'SF' in given || 'PF' in given) && state !== 'memory' && state !== 'dynamic';
    if (keepsResult) {
      this.#setPartial(given);
      return;
    }
    const zero = given.ZF ?? this.flag('ZF');
    const word = this.#word(['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'], { ...given, ZF: zero });
    const result = this.widen(this.eqz(zero));
    this.#setFlags('explicit', [result, word], (l) => {
      this.#flags.setWord(l, word);
      this.#flags.setResult(l, result);
    });
  }
  /** CF, AF and OF change, the result that ZF, SF and PF come from stays. */
  #setPartial(given: Partial<Record<FlagName, Value>>): void {
    const isExplicit = this.#flags.state === 'explicit';
    const names = isExplicit ? (Object.keys(given) as FlagName[]) : (['CF', 'AF', 'OF'] as const);
    let word = this.#word(names, given);
    if (isExplicit) {
      const mask = names.reduce((sum, name) => sum | FLAG_MASK[name], 0);
      const before = this.node('i32', 'effect', [], (l) => this.#flags.pushWord(l));
      word = this.op('i32.or', word, this.op('i32.and', before, this.constant32(~mask)));
    }
    this.#setFlags(isExplicit ? 'explicit' : 'partial', [word], (l) => this.#flags.setWord(l, word));
  }
  /** Flags at their places in RFLAGS: new ones, or as they are. */
  #word(names: readonly FlagName[], given: Partial<Record<FlagName, Value>>): Value {
    const bits = names.map((name) => {
      const value = given[name] ?? this.flag(name);
      const shift = Math.log2(FLAG_MASK[name]);
      return shift === 0 ? value : this.op('i32.shl', value, this.constant32(shift));
    });
    return bits.reduce((a, b) => this.op('i32.or', a, b));
  }
  override flag(name: FlagName): Value {
    const { state } = this.#flags;
    return this.node('i32', 'effect', [], (l) => this.#flags.push(l, name, state));
  }
  override flagsImage(): Value {
    const { state } = this.#flags;
    return this.node('i64', 'effect', [], (l) => this.#flags.pushImage(l, state));
  }
  override setFlagsImage(image: Value): void {
    this.#setFlags('explicit', [image], (l) => this.#flags.setImage(l, image));
  }
  override condition(code: number): Value {
    const { state } = this.#flags;
    return this.node('i32', 'effect', [], (l) => this.#flags.pushCondition(l, code, state));
  }

  override if(condition: Value, then: () => void, otherwise?: () => void, isRare?: boolean): void {
    const { constant } = condition as Node;
    if (constant !== undefined) {
      if (constant !== 0n) then();
      else otherwise?.();
      return;
    }
    const before = this.#flags.state;
    const meeting = { needed: false };
    this.action([], (l) => meeting.needed && this.#flags.recordKind(l, before));
    const effectBefore = this.hasEffect;
    let hasEffect = effectBefore;
    const branch = (build: () => void) => () => {
      this.#flags.state = before;
      this.hasEffect = effectBefore;
      this.depth++;
      build();
      this.depth--;
      hasEffect ||= this.hasEffect;
      const after = this.#flags.state;
      this.action([], (l) => meeting.needed && this.#flags.recordKind(l, after));
      ends.push(after);
    };
    const ends: FlagState[] = otherwise ? [] : [before];
    super.if(condition, branch(then), otherwise && branch(otherwise), isRare);
    this.hasEffect = hasEffect;
    const same = ends.every((state) => state === ends[0]);
    meeting.needed = !same;
    this.#flags.state = same ? ends[0]! : 'dynamic';
  }

  override loopWhile(body: () => Value): void {
    const before = this.#flags.state;
    // The top is reached with the flags as they were and as the body leaves them.
    this.action([], (l) => this.#flags.recordKind(l, before));
    this.#flags.state = 'dynamic';
    // What was read before the loop may change in it, and is then used again from the start.
    this.invalidate(-1);
    this.#widths.forget();
    this.depth++;
    super.loopWhile(() => {
      const again = body();
      const after = this.#flags.state;
      this.action([], (l) => this.#flags.recordKind(l, after));
      return again;
    });
    this.depth--;
    if (this.#flags.state === 'dynamic') this.#flags.state = before;
  }

  override jump(target: Value): void {
    if (this.depth === 0) {
      use(target);
      this.#jumpTarget = target;
      return;
    }
    this.action([target], (l) => this.#exits.leave(l, l.local(target)));
  }
  override branch(condition?: Value): void {
    if (condition) use(condition);
    this.#branch = { condition };
  }
  override interruptWindow(): void {
    this.action([], (l) => l.code.localGet(l.cpu).memory('i32.load', CPU.interruptPending).if().i32(0).localSet(LOCAL.budget).op('end'));
  }
  /** Exceptions are the interpreter's: it runs the instruction again and raises them. */
  override fault(): void {
    this.action([], () => this.#exits.interpret());
  }

  override setAlignmentCheck(on: boolean): void {
    this.memory.changesTranslation = true;
    this.changeAlignmentCheck(on);
    this.action([], (l) => l.code.localGet(l.cpu).localGet(l.cpu).memory('i32.load', CPU.tlb).op('i32.add').localSet(LOCAL.tlb));
  }
  override enterFlat(cpl: 0 | 3, cs: Value, ss: Value | undefined): void {
    this.memory.changesTranslation = true;
    super.enterFlat(cpl, cs, ss);
    this.hasEffect = true;
  }

  override helper(name: string, ...args: Value[]): Value {
    // What stands under a condition is rare: the interpreter does it, unless something has already changed.
    if (this.depth > 0 && !this.hasEffect) {
      this.fault();
      return this.constant(0);
    }
    this.memory.changesTranslation = true;
    const number = this.helperNumber(name);
    args.forEach((arg, index) => this.storeState('i64.store', CPU.arguments + index * 8, arg));
    const { state } = this.#flags;
    const result = this.node('i64', 'effect', [], (l) => {
      this.#flags.spill(l, state);
      this.#exits.callHelper(l, number, args.length);
      l.code.localGet(l.cpu).memory('i64.load', CPU.result);
    });
    this.#flags.state = 'memory';
    this.#widths.forget();
    this.invalidate(-1);
    this.hasEffect = true;
    return result;
  }
}
