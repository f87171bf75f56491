import { type Emit, type Value, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';
import { dropStack, peek, push } from './stack.ts';

const IF_BIT = 9;
const IF = 1n << 9n;
const DF = 1n << 10n;
const VM_RF = 0x30000n;
const stack = { default64: true, perMode: true } as const;

export const CLC = insn('CLC', { rows: [row('F8')], body: (e) => e.flagsSet({ CF: e.constant32(0) }) });
export const STC = insn('STC', { rows: [row('F9')], body: (e) => e.flagsSet({ CF: e.constant32(1) }) });
export const CMC = insn('CMC', { rows: [row('F5')], body: (e) => e.flagsSet({ CF: e.op('i32.eqz', e.flag('CF')) }) });

const changeSystemFlags = (e: Emit, change: (value: Value) => Value) => e.setState('systemFlags', change(e.state('systemFlags')));

export const CLD = insn('CLD', { rows: [row('FC')], body: (e) => changeSystemFlags(e, (flags) => e.and(flags, e.constant(~DF))) });
const STD = insn('STD', { rows: [row('FD')], body: (e) => changeSystemFlags(e, (flags) => e.or(flags, e.constant(DF))) });

/** CLI and STI need CPL at most IOPL (SDM vol. 2A); virtual-8086 extensions are not offered. */
function checkInterruptPrivilege(e: Emit): void {
  const ioPrivilege = e.and(e.shrU(e.state('systemFlags'), e.constant(12)), e.constant(3));
  e.if(e.ltU(ioPrivilege, e.state('cpl')), () => e.fault(Vector.GP, 0));
}

/** Where an interrupt waits the engine takes over behind this instruction: a CLI may follow, and it must not come too late. */
function letInterruptsIn(e: Emit): void {
  e.if(e.nez(e.state('interruptPending')), () => {
    e.interruptWindow();
    e.jump(e.nextRip());
  });
}

export const CLI = insn('CLI', {
  system: true,
  rows: [row('FA')],
  body(e) {
    checkInterruptPrivilege(e);
    changeSystemFlags(e, (flags) => e.and(flags, e.constant(~IF)));
  },
});

export const STI = insn('STI', {
  system: true,
  rows: [row('FB')],
  body(e) {
    checkInterruptPrivilege(e);
    e.if(e.op('i32.eqz', e.bit(e.state('systemFlags'), IF_BIT)), () => {
      changeSystemFlags(e, (flags) => e.or(flags, e.constant(IF)));
      e.setState('shadowRip', e.nextRip());
      letInterruptsIn(e);
    });
  },
});

export const LAHF = insn('LAHF', {
  rows: [row('9F')],
  body(e) {
    const image = e.or(e.and(e.flagsImage(), e.constant(0xd5)), e.constant(2));
    e.setRegister(0, e.or(e.shl(image, e.constant(8)), e.register(0, 8)), 16);
  },
});

export const SAHF = insn('SAHF', {
  rows: [row('9E')],
  body(e) {
    const given = e.and(e.shrU(e.register(0), e.constant(8)), e.constant(0xd5));
    e.setFlagsImage(e.or(given, e.and(e.flagsImage(), e.constant(0x800))));
  },
});

export const PUSHF = insn('PUSHF', {
  rows: [row('9C', 'rAX', stack)],
  body(e, o) {
    if (!e.mode64) e.helper('check-virtual-8086-iopl');
    const image = e.or(e.flagsImage(), e.and(e.state('systemFlags'), e.constant(~VM_RF)));
    push(e, image, o.bits);
  },
});

/** At CPL 0 without trace and IOPL changes the flags are set here; everything else goes through the helper. */
export const POPF = insn('POPF', {
  rows: [row('9D', 'rAX', stack)],
  body(e, o) {
    const value = peek(e, o.bits);
    const changed = e.xor(value, e.state('systemFlags'));
    const simple = e.op('i32.and', e.eqz(e.and(changed, e.constant(0x277100n))), e.eqz(e.state('cpl')));
    dropStack(e, o.bits / 8);
    e.if(
      simple,
      () => {
        e.setFlagsImage(e.and(value, e.constant(0x8d5)));
        const kept = e.and(e.state('systemFlags'), e.constant(~(IF | DF)));
        e.setState('systemFlags', e.or(kept, e.and(value, e.constant(IF | DF))));
      },
      () => void e.helper('set-flags', value, e.constant(o.bits)),
    );
    e.if(e.bit(value, IF_BIT), () => letInterruptsIn(e));
  },
});

export const FLAG = [CLC, STC, CMC, CLD, STD, CLI, STI, LAHF, SAHF, PUSHF, POPF];
