import { type Emit, type Operands, type Value, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';
import { conditionName } from './move.ts';
import { dropStack, peek, push } from './stack.ts';

const near = { force64: true, perMode: true, ends: true } as const;
const far = { perMode: true, ends: true } as const;

/** A near target as the mode holds it: 64 bits, else 16 or 32 bits. */
const target = (e: Emit, o: Operands, value: Value) => (e.mode64 ? value : e.zeroExtend(value, o.bits));

export const JMP = insn('JMP', {
  rows: [row('E9', 'Jz', near), row('EB', 'Jb', near)],
  body: (e) => e.branch(),
});

export const JMP_INDIRECT = insn('JMP', {
  rows: [row('FF /4', 'Ev', near)],
  body(e, o) {
    const to = target(e, o, o.read(0));
    e.checkTarget(to);
    e.jump(to);
  },
});

export const CALL = insn('CALL', {
  rows: [row('E8', 'Jz', near)],
  body(e, o) {
    if (!e.mode64) e.checkTarget(target(e, o, e.add(e.nextRip(), o.read(0))));
    push(e, e.nextRip(), o.bits);
    e.branch();
  },
});

export const CALL_INDIRECT = insn('CALL', {
  rows: [row('FF /2', 'Ev', near)],
  body(e, o) {
    const to = target(e, o, o.read(0));
    e.checkTarget(to);
    push(e, e.nextRip(), o.bits);
    e.jump(to);
  },
});

export const RET = insn('RET', {
  rows: [row('C3', 'rAX', near), row('C2', 'Iw', near)],
  body(e, o) {
    const bits = e.mode64 ? 64 : o.bits;
    const to = target(e, o, peek(e, bits));
    e.checkTarget(to);
    const extra = o.sizeBits(0) === 16 && o.isImmediate(0) ? e.add(e.zeroExtend(o.read(0), 16), e.constant(bits / 8)) : bits / 8;
    dropStack(e, extra);
    e.jump(to);
  },
});

const JCC = Array.from({ length: 16 }, (_, code) =>
  insn(`J${conditionName(code)}`, {
    rows: [
      row((0x70 + code).toString(16).toUpperCase(), 'Jb', { force64: true, perMode: true }),
      row(`0F ${(0x80 + code).toString(16).toUpperCase()}`, 'Jz', { force64: true, perMode: true }),
    ],
    body: (e) => e.branch(e.condition(code)),
  }),
);

const counted = { force64: true, perMode: true, perAddressSize: true } as const;

/** rCX as wide as the address size, one less. */
function countDown(e: Emit, o: Operands): Value {
  const left = e.zeroExtend(e.sub(e.register(1), e.constant(1)), o.addressBits);
  e.setRegister(1, left, o.addressBits);
  return e.nez(left);
}

const LOOP = insn('LOOP', { rows: [row('E2', 'Jb', counted)], body: (e, o) => e.branch(countDown(e, o)) });
const LOOPE = insn('LOOPE', {
  rows: [row('E1', 'Jb', counted)],
  body: (e, o) => e.branch(e.op('i32.and', countDown(e, o), e.flag('ZF'))),
});
const LOOPNE = insn('LOOPNE', {
  rows: [row('E0', 'Jb', counted)],
  body: (e, o) => e.branch(e.op('i32.and', countDown(e, o), e.op('i32.eqz', e.flag('ZF')))),
});
export const JCXZ = insn('JCXZ', {
  rows: [row('E3', 'Jb', counted)],
  body: (e, o) => e.branch(e.eqz(e.register(1, o.addressBits))),
});

/** Far transfers go through one helper: descriptors, gates and privilege changes live there. */
const farPointer = (e: Emit, o: Operands): [Value, Value] => {
  const offset = o.read(0);
  o.displace(0, e.constant(o.bits / 8));
  return [o.readWord(0), offset];
};

const JMP_FAR = insn('JMP FAR', {
  system: true,
  rows: [row('FF /5', 'Mp', far), row('EA', 'Ap', { ...far, not64: true })],
  body(e, o) {
    const [selector, offset] = o.isMemory(0) ? farPointer(e, o) : o.farImmediate();
    e.helper('jump-far', selector, offset);
  },
});

const CALL_FAR = insn('CALL FAR', {
  system: true,
  rows: [row('FF /3', 'Mp', far), row('9A', 'Ap', { ...far, not64: true })],
  body(e, o) {
    const [selector, offset] = o.isMemory(0) ? farPointer(e, o) : o.farImmediate();
    e.helper('call-far', selector, offset, e.constant(o.bits));
  },
});

const RET_FAR = insn('RET FAR', {
  system: true,
  rows: [row('CB', 'rAX', far), row('CA', 'Iw', far)],
  body: (e, o) => void e.helper('return-far', e.constant(o.bits), o.isImmediate(0) ? e.zeroExtend(o.read(0), 16) : e.constant(0)),
});

const interrupt = { perMode: true, ends: true } as const;

export const INT = insn('INT', {
  system: true,
  rows: [row('CD', 'Ib', interrupt)],
  body: (e, o) => void e.helper('software-interrupt', e.zeroExtend(o.read(0), 8)),
});
export const INT3 = insn('INT3', { system: true, rows: [row('CC', '', interrupt)], body: (e) => void e.helper('software-exception', e.constant(Vector.BP)) });
export const INTO = insn('INTO', {
  system: true,
  rows: [row('CE', '', { ...interrupt, not64: true })],
  body: (e) => e.if(e.flag('OF'), () => void e.helper('software-exception', e.constant(Vector.OF))),
});
export const INT1 = insn('INT1', { system: true, rows: [row('F1', '', interrupt)], body: (e) => void e.helper('debug-exception') });

const undefinedInstruction = (name: string, encoding: string, operands = '') =>
  insn(name, { system: true, rows: [row(encoding, operands)], body: (e) => e.fault(Vector.UD) });
/** UD0 and UD1 have operands, which they do not access (SDM vol. 2B, "UD"). */
export const UD = [undefinedInstruction('UD2', '0F 0B'), undefinedInstruction('UD1', '0F B9', 'Gv,Ev'), undefinedInstruction('UD0', '0F FF', 'Gv,Ev')];

export const CONTROL = [
  JMP, JMP_INDIRECT, CALL, CALL_INDIRECT, RET, ...JCC, LOOP, LOOPE, LOOPNE, JCXZ, JMP_FAR, CALL_FAR, RET_FAR, INT, INT3, INTO, INT1, ...UD,
];
