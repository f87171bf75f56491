import type { Emit, Operands, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';

/** The eight encodings that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share; `index` is their place in that list. */
export function binaryRows(index: number, lock = true) {
  const base = index * 8;
  const hex = (opcode: number) => opcode.toString(16).toUpperCase().padStart(2, '0');
  const options = { lock };
  return [
    row(hex(base), 'Eb,Gb', options),
    row(hex(base + 1), 'Ev,Gv', options),
    row(hex(base + 2), 'Gb,Eb'),
    row(hex(base + 3), 'Gv,Ev'),
    row(hex(base + 4), 'AL,Ib'),
    row(hex(base + 5), 'rAX,Iz'),
    row(`80 /${index}`, 'Eb,Ib', options),
    row(`81 /${index}`, 'Ev,Iz', options),
    row(`82 /${index}`, 'Eb,Ib', { ...options, not64: true }),
    row(`83 /${index}`, 'Ev,Ib', options),
  ];
}

function addWithCarry(e: Emit, o: Operands): void {
  const a = o.readSigned(0);
  const b = o.readSigned(1);
  const carry = e.flag('CF');
  const r = e.signExtend(e.add(e.add(a, b), e.widen(carry)), o.bits);
  o.write(0, r);
  const wrapped = e.op('i32.or', e.ltU(r, a), e.op('i32.and', carry, e.eq(r, a)));
  e.flagsResult(r, { CF: wrapped, OF: signBit(e, e.and(e.xor(a, r), e.xor(b, r))), AF: e.bit(e.xor(e.xor(a, b), r), 4) });
}

function subtractWithBorrow(e: Emit, o: Operands): void {
  const a = o.readSigned(0);
  const b = o.readSigned(1);
  const borrow = e.flag('CF');
  const r = e.signExtend(e.sub(e.sub(a, b), e.widen(borrow)), o.bits);
  o.write(0, r);
  const wrapped = e.op('i32.or', e.ltU(a, b), e.op('i32.and', borrow, e.eq(a, b)));
  e.flagsResult(r, { CF: wrapped, OF: signBit(e, e.and(e.xor(a, b), e.xor(a, r))), AF: e.bit(e.xor(e.xor(a, b), r), 4) });
}

/** Bit 63 as a condition. */
export function signBit(e: Emit, value: Value): Value {
  return e.bit(value, 63);
}

export const ADD = insn('ADD', {
  rows: binaryRows(0),
  body(e, o) {
    const a = o.readSigned(0);
    const b = o.readSigned(1);
    const r = e.signExtend(e.add(a, b), o.bits);
    o.write(0, r);
    e.flagsAdd(a, b, r);
  },
});

export const ADC = insn('ADC', { rows: binaryRows(2), body: addWithCarry });
export const SBB = insn('SBB', { rows: binaryRows(3), body: subtractWithBorrow });

export const SUB = insn('SUB', {
  rows: binaryRows(5),
  body(e, o) {
    const a = o.readSigned(0);
    const b = o.readSigned(1);
    const r = e.signExtend(e.sub(a, b), o.bits);
    o.write(0, r);
    e.flagsSub(a, b, r);
  },
});

export const CMP = insn('CMP', {
  rows: binaryRows(7, false),
  body(e, o) {
    const a = o.readSigned(0);
    const b = o.readSigned(1);
    e.flagsSub(a, b, e.signExtend(e.sub(a, b), o.bits));
  },
});

export const INC = insn('INC', {
  rows: [row('FE /0', 'Eb', { lock: true }), row('FF /0', 'Ev', { lock: true }), row('40+r', 'Zv', { not64: true })],
  body(e, o) {
    const r = e.signExtend(e.add(o.readSigned(0), e.constant(1)), o.bits);
    o.write(0, r);
    const smallest = -(1n << BigInt(o.bits - 1));
    e.flagsResult(r, { OF: e.eq(r, e.constant(smallest)), AF: e.eqz(e.and(r, e.constant(15))) });
  },
});

export const DEC = insn('DEC', {
  rows: [row('FE /1', 'Eb', { lock: true }), row('FF /1', 'Ev', { lock: true }), row('48+r', 'Zv', { not64: true })],
  body(e, o) {
    const r = e.signExtend(e.sub(o.readSigned(0), e.constant(1)), o.bits);
    o.write(0, r);
    const largest = (1n << BigInt(o.bits - 1)) - 1n;
    e.flagsResult(r, { OF: e.eq(r, e.constant(largest)), AF: e.eq(e.and(r, e.constant(15)), e.constant(15)) });
  },
});

export const NEG = insn('NEG', {
  rows: [row('F6 /3', 'Eb', { lock: true }), row('F7 /3', 'Ev', { lock: true })],
  body(e, o) {
    const b = o.readSigned(0);
    const zero = e.constant(0);
    const r = e.signExtend(e.sub(zero, b), o.bits);
    o.write(0, r);
    e.flagsSub(zero, b, r);
  },
});

export const XADD = insn('XADD', {
  rows: [row('0F C0', 'Eb,Gb', { lock: true }), row('0F C1', 'Ev,Gv', { lock: true })],
  body(e, o) {
    const a = o.readSigned(0);
    const b = o.readSigned(1);
    const r = e.signExtend(e.add(a, b), o.bits);
    // The sum goes last: with both operands the same register, that is what stays (SDM vol. 2C, "XADD").
    if (o.isMemory(0)) {
      o.write(0, r);
      o.write(1, a);
    } else {
      o.write(1, a);
      o.write(0, r);
    }
    e.flagsAdd(a, b, r);
  },
});

export const CMPXCHG = insn('CMPXCHG', {
  rows: [row('0F B0', 'Eb,Gb', { lock: true }), row('0F B1', 'Ev,Gv', { lock: true })],
  body(e, o) {
    const accumulator = e.signExtend(e.register(0), o.bits);
    const destination = o.readSigned(0);
    const source = o.readSigned(1);
    const equal = e.eq(accumulator, destination);
    // Memory is written either way, as the processor does; a register that differs keeps even its upper half.
    if (o.isMemory(0)) o.write(0, e.select(equal, source, destination));
    else e.if(equal, () => o.write(0, source));
    e.if(e.eqz(equal), () => e.setRegister(0, destination, o.bits));
    e.flagsSub(accumulator, destination, e.signExtend(e.sub(accumulator, destination), o.bits));
  },
});

/** ADCX and ADOX: additions with a carry in CF or OF alone, so that two chains can run side by side (SDM vol. 2A). */
function chainedAdd(name: string, encoding: string, carry: 'CF' | 'OF') {
  return insn(name, {
    rows: [row(encoding, 'Gy,Ey')],
    body(e, o) {
      const a = o.read(0);
      const b = o.read(1);
      const carryIn = e.flag(carry);
      const r = e.zeroExtend(e.add(e.add(a, b), e.widen(carryIn)), o.sizeBits(0));
      o.write(0, r);
      e.flagsSet({ [carry]: e.op('i32.or', e.ltU(r, a), e.op('i32.and', carryIn, e.eq(r, a))) });
    },
  });
}

export const ADCX = chainedAdd('ADCX', '66 0F 38 F6', 'CF');
export const ADOX = chainedAdd('ADOX', 'F3 0F 38 F6', 'OF');

export const ARITHMETIC = [ADD, ADC, SBB, SUB, CMP, INC, DEC, NEG, XADD, CMPXCHG, ADCX, ADOX];
