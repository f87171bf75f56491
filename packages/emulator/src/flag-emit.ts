import type { Code, ModuleBuilder } from '@hanok/wasm';
import type { FlagName } from '@hanok/x86';
import type { Callees, Lowering } from './ir.ts';
import { CPU, FLAG_KIND } from './layout.ts';

/** RFLAGS positions (SDM vol. 1 §3.4.3). */
export const FLAG_MASK: Readonly<Record<FlagName, number>> = { CF: 0x1, PF: 0x4, AF: 0x10, ZF: 0x40, SF: 0x80, OF: 0x800 };

const kind = (code: Code, cpu: number) => code.localGet(cpu).memory('i32.load', CPU.flagKind);
const word = (code: Code, cpu: number) => code.localGet(cpu).memory('i32.load', CPU.flagWord);
const a = (code: Code, cpu: number) => code.localGet(cpu).memory('i64.load', CPU.flagA);
const b = (code: Code, cpu: number) => code.localGet(cpu).memory('i64.load', CPU.flagB);
const result = (code: Code, cpu: number) => code.localGet(cpu).memory('i64.load', CPU.flagResult);

/** Pushes one flag. */
export function emitFlag(l: Lowering, name: FlagName): void {
  if (name === 'ZF') result(l.code, l.cpu).op('i64.eqz');
  else l.code.localGet(l.cpu).call(l.callees.flag[name]);
}

/** After a subtraction a condition is a comparison of its operands: that case is written in place. */
function afterSubtraction(l: Lowering, comparison: 'i64.lt_u' | 'i64.le_u' | 'i64.lt_s' | 'i64.le_s', otherwise: () => void): void {
  kind(l.code, l.cpu).i32(FLAG_KIND.Sub).op('i32.eq').if('i32');
  a(l.code, l.cpu);
  b(l.code, l.cpu).op(comparison).op('else');
  otherwise();
  l.code.op('end');
}

const zero = (l: Lowering) => result(l.code, l.cpu).op('i64.eqz');
const call = (l: Lowering, name: keyof Callees['flag']) => l.code.localGet(l.cpu).call(l.callees.flag[name]);

/** The eight conditions; odd condition codes are their negations. */
const CONDITIONS: readonly ((l: Lowering) => void)[] = [
  (l) => void call(l, 'OF'),
  (l) => afterSubtraction(l, 'i64.lt_u', () => call(l, 'CF')),
  (l) => void zero(l),
  (l) => afterSubtraction(l, 'i64.le_u', () => {
    call(l, 'CF');
    zero(l).op('i32.or');
  }),
  (l) => void call(l, 'SF'),
  (l) => void call(l, 'PF'),
  (l) => afterSubtraction(l, 'i64.lt_s', () => call(l, 'L')),
  (l) => afterSubtraction(l, 'i64.le_s', () => {
    call(l, 'L');
    zero(l).op('i32.or');
  }),
];

/** Pushes condition code 0-15. */
export function condition(l: Lowering, code: number): void {
  CONDITIONS[code >> 1]!(l);
  if (code & 1) l.code.op('i32.eqz');
}

/** A function (cpu) → i32 in which `whenKind` decides by how the flags were made. */
function flagFunction(module: ModuleBuilder, name: string, cases: readonly [number, (code: Code) => void][], otherwise: (code: Code) => void): number {
  const f = module.function(module.type(['i32'], ['i32']));
  f.name = `flag ${name}`;
  for (const [flagKind, push] of cases) {
    kind(f.code, 0).i32(flagKind).op('i32.eq').if();
    push(f.code);
    f.code.op('return').op('end');
  }
  otherwise(f.code);
  return f.index;
}

const bitOfWord = (position: number) => (code: Code) => void word(code, 0).i32(position).op('i32.shr_u').i32(1).op('i32.and');
const none = (code: Code) => void code.i32(0);
const sign = (code: Code) => void result(code, 0).i64(0).op('i64.lt_s');

function overflow(code: Code, subtraction: boolean): void {
  a(code, 0);
  if (subtraction) b(code, 0);
  else result(code, 0);
  code.op('i64.xor');
  if (subtraction) a(code, 0);
  else b(code, 0);
  result(code, 0).op('i64.xor').op('i64.and').i64(0).op('i64.lt_s');
}

function auxiliary(code: Code): void {
  a(code, 0);
  b(code, 0).op('i64.xor');
  result(code, 0).op('i64.xor').op('i32.wrap_i64').i32(4).op('i32.shr_u').i32(1).op('i32.and');
}

/** 1 where the low byte has an even number of ones. */
function parity(code: Code): void {
  result(code, 0).i64(0xff).op('i64.and').op('i64.popcnt').op('i32.wrap_i64').i32(1).op('i32.and').op('i32.eqz');
}

/** The functions that work flags out of how they were made. */
export function defineFlagFunctions(module: ModuleBuilder): Pick<Callees, 'flag' | 'flagsImage'> {
  const { Explicit, Add, Sub, Logic, Product } = FLAG_KIND;
  const productOverflow = defineProductOverflow(module);
  const isCut = (code: Code) => void code.localGet(0).call(productOverflow);
  const CF = flagFunction(module, 'CF', [
    [Sub, (code) => void (a(code, 0), b(code, 0).op('i64.lt_u'))],
    [Add, (code) => void (result(code, 0), a(code, 0).op('i64.lt_u'))],
    [Logic, none],
    [Product, isCut],
  ], bitOfWord(0));
  const OF = flagFunction(module, 'OF', [[Sub, (code) => overflow(code, true)], [Add, (code) => overflow(code, false)], [Logic, none], [Product, isCut]], bitOfWord(11));
  const AF = flagFunction(module, 'AF', [[Sub, auxiliary], [Add, auxiliary], [Logic, none], [Product, none]], bitOfWord(4));
  const SF = flagFunction(module, 'SF', [[Explicit, bitOfWord(7)]], sign);
  const PF = flagFunction(module, 'PF', [[Explicit, bitOfWord(2)]], parity);
  const L = flagFunction(module, 'L', [[Logic, sign]], (code) => void code.localGet(0).call(SF).localGet(0).call(OF).op('i32.ne'));
  return { flag: { CF, PF, AF, SF, OF, L }, flagsImage: defineImage(module, { CF, PF, AF, SF, OF }) };
}

/** Defines (cpu) → i32: whether the product of the operands, 128 bits of it, is more than the result. */
function defineProductOverflow(module: ModuleBuilder): number {
  const f = module.function(module.type(['i32'], ['i32']));
  f.name = 'product is cut';
  const [x, y, middle, cross] = [f.local('i64'), f.local('i64'), f.local('i64'), f.local('i64')];
  const { code } = f;
  const low = (local: number) => code.localGet(local).i64(0xffffffff).op('i64.and');
  const high = (local: number) => code.localGet(local).i64(32).op('i64.shr_s');
  a(code, 0).localSet(x);
  b(code, 0).localSet(y);
  high(x);
  low(y).op('i64.mul');
  low(x);
  low(y).op('i64.mul').i64(32).op('i64.shr_u').op('i64.add').localSet(middle);
  low(x);
  high(y).op('i64.mul');
  low(middle).op('i64.add').localSet(cross);
  high(x);
  high(y).op('i64.mul');
  high(middle).op('i64.add');
  high(cross).op('i64.add');
  result(code, 0).i64(63).op('i64.shr_s').op('i64.ne');
  code.localGet(x).localGet(y).op('i64.mul');
  result(code, 0).op('i64.ne').op('i32.or');
  return f.index;
}

function defineImage(module: ModuleBuilder, functions: Record<'CF' | 'PF' | 'AF' | 'SF' | 'OF', number>): number {
  const f = module.function(module.type(['i32'], ['i64']));
  f.name = 'flags image';
  result(f.code, 0).op('i64.eqz').i32(6).op('i32.shl');
  for (const name of ['CF', 'PF', 'AF', 'SF', 'OF'] as const) {
    f.code.localGet(0).call(functions[name]).i32(Math.log2(FLAG_MASK[name])).op('i32.shl').op('i32.or');
  }
  f.code.op('i64.extend_i32_u');
  return f.index;
}
