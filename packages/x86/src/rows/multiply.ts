import { type Emit, type Operands, type Value, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';

/** High 64 bits of the unsigned product of two i64, by 32-bit halves. */
export function highProductU(e: Emit, a: Value, b: Value): Value {
  const c32 = e.constant(32);
  const mask = e.constant(0xffffffffn);
  const [aLow, aHigh, bLow, bHigh] = [e.and(a, mask), e.shrU(a, c32), e.and(b, mask), e.shrU(b, c32)];
  const cross = e.add(e.mul(aHigh, bLow), e.shrU(e.mul(aLow, bLow), c32));
  const crossLow = e.add(e.mul(aLow, bHigh), e.and(cross, mask));
  return e.add(e.add(e.mul(aHigh, bHigh), e.shrU(cross, c32)), e.shrU(crossLow, c32));
}

function highProductS(e: Emit, a: Value, b: Value): Value {
  const c63 = e.constant(63);
  const correction = e.add(e.and(e.shrS(a, c63), b), e.and(e.shrS(b, c63), a));
  return e.sub(highProductU(e, a, b), correction);
}

/** CF = OF = the product needs its high half; the other flags are undefined and follow the low half here. */
function productFlags(e: Emit, low: Value, overflow: Value): void {
  e.flagsResult(low, { CF: overflow, OF: overflow, AF: e.constant32(0) });
}

/** rDX:rAX (AX for bytes) = rAX times the operand. */
function multiplyAccumulator(e: Emit, o: Operands, signed: boolean): void {
  const bits = o.bits;
  const a = signed ? e.signExtend(e.register(0), bits) : e.register(0, bits);
  const b = signed ? o.readSigned(0) : o.read(0);
  const low = e.mul(a, b);
  const lowSigned = e.signExtend(low, bits);
  if (bits === 8) {
    e.setRegister(0, low, 16);
    productFlags(e, lowSigned, e.ne(low, signed ? lowSigned : e.zeroExtend(low, 8)));
  } else if (bits < 64) {
    e.setRegister(0, low, bits);
    e.setRegister(2, e.shrU(low, e.constant(bits)), bits);
    productFlags(e, lowSigned, e.ne(low, signed ? lowSigned : e.zeroExtend(low, bits)));
  } else {
    const high = signed ? highProductS(e, a, b) : highProductU(e, a, b);
    e.setRegister(0, low);
    e.setRegister(2, high);
    productFlags(e, low, e.ne(high, signed ? e.shrS(low, e.constant(63)) : e.constant(0)));
  }
}

export const MUL = insn('MUL', {
  rows: [row('F6 /4', 'Eb'), row('F7 /4', 'Ev')],
  body: (e, o) => multiplyAccumulator(e, o, false),
});

/** One-operand IMUL. */
export const IMUL = insn('IMUL', {
  rows: [row('F6 /5', 'Eb'), row('F7 /5', 'Ev')],
  body: (e, o) => multiplyAccumulator(e, o, true),
});

/** IMUL with a destination register: the product's low half. */
const IMUL_REGISTER = insn('IMUL', {
  rows: [row('0F AF', 'Gv,Ev'), row('69', 'Gv,Ev,Iz'), row('6B', 'Gv,Ev,Ib')],
  body(e, o) {
    const a = o.readSigned(o.count - 2);
    const b = o.readSigned(o.count - 1);
    const low = e.signExtend(e.mul(a, b), o.bits);
    o.write(0, low);
    e.flagsProduct(a, b, low);
  },
});

/** What a division leaves: hosts divide for longer than they multiply. */
const remainderOf = (e: Emit, dividend: Value, quotient: Value, divisor: Value) => e.sub(dividend, e.mul(quotient, divisor));

/** AX by a byte: quotient to AL, remainder to AH. */
function divideAx(e: Emit, o: Operands, signed: boolean): void {
  const divisor = signed ? o.readSigned(0) : o.read(0);
  e.if(e.eqz(divisor), () => e.fault(Vector.DE));
  const dividend = signed ? e.signExtend(e.register(0), 16) : e.register(0, 16);
  const quotient = e.op(signed ? 'i64.div_s' : 'i64.div_u', dividend, divisor);
  e.if(e.ne(quotient, signed ? e.signExtend(quotient, 8) : e.zeroExtend(quotient, 8)), () => e.fault(Vector.DE));
  const remainder = remainderOf(e, dividend, quotient, divisor);
  e.setRegister(0, e.or(e.zeroExtend(quotient, 8), e.shl(e.zeroExtend(remainder, 8), e.constant(8))), 16);
}

/** rDX:rAX of 16 or 32 bits each fits an i64. */
function dividePair(e: Emit, o: Operands, signed: boolean): void {
  const bits = o.bits;
  const divisor = signed ? o.readSigned(0) : o.read(0);
  e.if(e.eqz(divisor), () => e.fault(Vector.DE));
  const pair = e.or(e.shl(e.register(2, bits), e.constant(bits)), e.register(0, bits));
  const dividend = signed ? e.signExtend(pair, bits * 2) : pair;
  // The one quotient that overflows i64 itself traps in WebAssembly, so it is caught before.
  if (signed && bits === 32) {
    const smallest = e.constant(-(1n << 63n));
    e.if(e.op('i32.and', e.eq(dividend, smallest), e.eq(divisor, e.constant(-1))), () => e.fault(Vector.DE));
  }
  const quotient = e.op(signed ? 'i64.div_s' : 'i64.div_u', dividend, divisor);
  e.if(e.ne(quotient, signed ? e.signExtend(quotient, bits) : e.zeroExtend(quotient, bits)), () => e.fault(Vector.DE));
  const remainder = remainderOf(e, dividend, quotient, divisor);
  e.setRegister(0, quotient, bits);
  e.setRegister(2, remainder, bits);
}

/** RDX:RAX: a dividend that fits 64 bits is divided here, others by a helper. */
function divideWide(e: Emit, o: Operands, signed: boolean): void {
  const divisor = o.read(0);
  e.if(e.eqz(divisor), () => e.fault(Vector.DE));
  const low = e.register(0);
  const high = e.register(2);
  const fits = e.eq(high, signed ? e.shrS(low, e.constant(63)) : e.constant(0));
  const overflows = signed ? e.op('i32.and', e.eq(low, e.constant(-(1n << 63n))), e.eq(divisor, e.constant(-1))) : e.constant32(0);
  e.if(
    e.op('i32.and', fits, e.op('i32.eqz', overflows)),
    () => {
      const quotient = e.op(signed ? 'i64.div_s' : 'i64.div_u', low, divisor);
      e.setRegister(0, quotient);
      e.setRegister(2, remainderOf(e, low, quotient, divisor));
    },
    () => void e.helper(signed ? 'divide-signed-128' : 'divide-unsigned-128', high, low, divisor),
  );
}

function divide(e: Emit, o: Operands, signed: boolean): void {
  if (o.bits === 8) divideAx(e, o, signed);
  else if (o.bits === 64) divideWide(e, o, signed);
  else dividePair(e, o, signed);
}

export const DIV = insn('DIV', { rows: [row('F6 /6', 'Eb'), row('F7 /6', 'Ev')], body: (e, o) => divide(e, o, false) });
export const IDIV = insn('IDIV', { rows: [row('F6 /7', 'Eb'), row('F7 /7', 'Ev')], body: (e, o) => divide(e, o, true) });

export const MULTIPLY = [MUL, IMUL, IMUL_REGISTER, DIV, IDIV];
