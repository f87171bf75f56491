import { type Emit, type Operands, type Value, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';

/**
 * The ways between a kernel and its programs. What a 64-bit kernel does all the time stands here; everything else about
 * these instructions is the helpers'.
 */

const ARITHMETIC = 0x8d5n;
const TF = 0x100n;
const NT = 0x4000n;
const RF = 0x10000n;
const VM = 0x20000n;
/** Enabled breakpoints; without them RF means nothing (SDM vol. 3B §18.2.4). */
const DR7_ENABLED = 0xffn;
/** TF, IF, DF, IOPL, NT, RF, VM, AC and ID: what is kept of RFLAGS apart from the arithmetic flags. */
const SYSTEM = 0x277700n;
const FIXED = 2n;
const SCE = 1n;
const IF_BIT = 9;
const CANONICAL_SHIFT = 47;

const [RCX, RSP, R11] = [1, 4, 11];
/** Flat segment descriptors, accessed, as kernels of 64 bits have them (SDM vol. 3A §3.4.5, §5.2.1). */
const DESCRIPTOR = { kernelCode: 0x00af9b000000ffffn, kernelData: 0x00cf93000000ffffn, userCode: 0x00affb000000ffffn, userData: 0x00cff3000000ffffn } as const;
const PRIVILEGE = 3n;
const TABLE_AND_PRIVILEGE = 7n;

const ends = { ends: true, perMode: true } as const;

function setFlags(e: Emit, flags: Value): void {
  e.setFlagsImage(e.and(flags, e.constant(ARITHMETIC)));
  e.setState('systemFlags', e.or(e.and(flags, e.constant(SYSTEM)), e.constant(FIXED)));
}

const isZero = (e: Emit, value: Value, mask: bigint) => e.eqz(e.and(value, e.constant(mask)));
const all = (e: Emit, ...conditions: Value[]) => conditions.reduce((both, condition) => e.op('i32.and', both, condition));
const isCanonical = (e: Emit, address: Value) => {
  const top = e.shrS(address, e.constant(CANONICAL_SHIFT));
  return e.op('i32.or', e.eqz(top), e.eq(top, e.constant(-1)));
};
const field16 = (e: Emit, value: Value, shift: number) => e.and(e.shrU(value, e.constant(shift)), e.constant(0xffff));

const SYSCALL = insn('SYSCALL', {
  system: true,
  rows: [row('0F 05', '', ends)],
  body(e) {
    if (!e.mode64) return void e.helper('system-call');
    const flags = e.or(e.flagsImage(), e.and(e.state('systemFlags'), e.constant(~RF)));
    const kept = e.and(flags, e.not(e.state('fmask')));
    // A trap flag that stays set is looked at after the instruction, by whoever single-steps.
    const simple = all(e, e.nez(e.and(e.state('efer'), e.constant(SCE))), isZero(e, e.or(flags, kept), TF));
    e.if(
      simple,
      () => {
        e.setRegister(RCX, e.nextRip());
        e.setRegister(R11, flags);
        setFlags(e, kept);
        const cs = e.and(field16(e, e.state('star'), 32), e.constant(0xfffc));
        e.enterFlat(0, cs, e.add(cs, e.constant(8)));
        e.jump(e.state('lstar'));
      },
      () => void e.helper('system-call'),
    );
  },
});

const SYSRET = insn('SYSRET', {
  system: true,
  rows: [row('0F 07', 'rAX', ends)],
  body(e, o) {
    const general = () => void e.helper('system-return', e.constant(o.bits));
    if (!e.mode64 || o.bits !== 64) return general();
    const [target, flags] = [e.register(RCX), e.register(R11)];
    const simple = all(e, e.nez(e.and(e.state('efer'), e.constant(SCE))), e.eqz(e.state('cpl')), isCanonical(e, target), isZero(e, flags, TF));
    e.if(
      simple,
      () => {
        setFlags(e, e.and(flags, e.constant(~(RF | VM))));
        const selectors = field16(e, e.state('star'), 48);
        const selector = (offset: number) => e.or(e.and(e.add(selectors, e.constant(offset)), e.constant(0xffff)), e.constant(PRIVILEGE));
        e.enterFlat(3, selector(16), selector(8));
        e.if(e.bit(flags, IF_BIT), () => e.interruptWindow());
        e.jump(target);
      },
      general,
    );
  },
});

/** The frame on the stack that IRETQ takes (SDM vol. 3A figure 6-8). */
function returnFrame(e: Emit): Record<'rip' | 'cs' | 'flags' | 'rsp' | 'ss', Value> {
  const stack = e.register(RSP);
  const word = (index: number) => e.load('SS', e.add(stack, e.constant(index * 8)), 64);
  return { rip: word(0), cs: e.and(word(1), e.constant(0xffff)), flags: word(2), rsp: word(3), ss: e.and(word(4), e.constant(0xffff)) };
}

/** IRETQ of a kernel between flat segments. What is not that goes to the helper, which starts anew. */
function returnFlat(e: Emit, o: Operands): void {
  const general = () => void e.helper('interrupt-return', e.constant(o.bits));
  const nothingSpecial = all(e, isZero(e, e.state('dr7'), DR7_ENABLED), e.eqz(e.state('cpl')), e.eqz(e.state('nmiBlocked')), isZero(e, e.state('systemFlags'), NT));
  e.if(
    nothingSpecial,
    () => {
      const frame = returnFrame(e);
      const descriptor = (selector: Value) => e.load('DS', e.add(e.state('gdtBase'), e.and(selector, e.constant(~TABLE_AND_PRIVILEGE))), 64);
      const [code, data] = [descriptor(frame.cs), descriptor(frame.ss)];
      const inside = (selector: Value) => e.ltU(e.or(selector, e.constant(TABLE_AND_PRIVILEGE)), e.add(e.state('gdtLimit'), e.constant(1)));
      const plain = all(e, isZero(e, frame.flags, TF | NT | VM), isCanonical(e, frame.rip), inside(frame.cs), inside(frame.ss));
      const privilege = (selector: Value, value: bigint) => e.eq(e.and(selector, e.constant(TABLE_AND_PRIVILEGE)), e.constant(value));
      const noDataSegments = e.eqz(e.or(e.or(e.state('selectorES'), e.state('selectorDS')), e.or(e.state('selectorFS'), e.state('selectorGS'))));
      const isDescriptor = (found: Value, wanted: bigint) => e.eq(found, e.constant(wanted));
      const toUser = all(e, plain, privilege(frame.cs, 3n), privilege(frame.ss, 3n), isDescriptor(code, DESCRIPTOR.userCode), isDescriptor(data, DESCRIPTOR.userData), noDataSegments);
      const toKernel = all(e, plain, privilege(frame.cs, 0n), privilege(frame.ss, 0n), isDescriptor(code, DESCRIPTOR.kernelCode), isDescriptor(data, DESCRIPTOR.kernelData));
      // A kernel has no stack segment before its first system call.
      const withoutStack = all(e, plain, privilege(frame.cs, 0n), isDescriptor(code, DESCRIPTOR.kernelCode), e.eqz(e.or(frame.ss, e.state('selectorSS'))));
      const go = (cpl: 0 | 3, ss: Value | undefined) => () => {
        setFlags(e, e.and(frame.flags, e.constant(~RF)));
        e.setRegister(RSP, frame.rsp);
        e.enterFlat(cpl, frame.cs, ss);
        e.if(e.bit(frame.flags, IF_BIT), () => e.interruptWindow());
        e.jump(frame.rip);
      };
      e.if(toUser, go(3, frame.ss), () => e.if(toKernel, go(0, frame.ss), () => e.if(withoutStack, go(0, undefined), general)));
    },
    general,
  );
}

const IRET = insn('IRET', {
  system: true,
  rows: [row('CF', 'rAX', ends)],
  body(e, o) {
    if (e.mode64 && o.bits === 64) returnFlat(e, o);
    else e.helper('interrupt-return', e.constant(o.bits));
  },
});

const SWAPGS = insn('SWAPGS', {
  system: true,
  rows: [row('0F 01 F8', '', { only64: true })],
  body(e) {
    e.if(e.nez(e.state('cpl')), () => e.fault(Vector.GP, 0));
    const [user, kernel] = [e.state('gsBase'), e.state('kernelGsBase')];
    e.setState('gsBase', kernel);
    e.setState('kernelGsBase', user);
  },
});

/** CLAC and STAC open and close the pages of programs to a kernel under SMAP. */
const accessSwitch = (name: string, encoding: string, on: boolean) =>
  insn(name, {
    system: true,
    rows: [row(encoding)],
    body(e) {
      e.if(e.nez(e.state('cpl')), () => e.fault(Vector.UD));
      e.setAlignmentCheck(on);
    },
  });

export const PRIVILEGE_CHANGES = [SYSCALL, SYSRET, IRET, SWAPGS, accessSwitch('CLAC', 'NP 0F 01 CA', false), accessSwitch('STAC', 'NP 0F 01 CB', true)];
