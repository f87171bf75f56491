import { type Emit, type Operands, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';

/** An instruction whose whole meaning is one helper of the engine's, given the numbers and values of its operands. */
function viaHelper(name: string, helper: string, rows: ReturnType<typeof row>[], ...arguments_: ((e: Emit, o: Operands) => ReturnType<Operands['read']>)[]) {
  return insn(name, { system: true, rows, body: (e, o) => void e.helper(helper, ...arguments_.map((argument) => argument(e, o))) });
}

const value = (index: number) => (_: Emit, o: Operands) => o.read(index);
const number = (index: number) => (_: Emit, o: Operands) => o.number(index);
const linear = (index: number, purpose?: 'write') => (_: Emit, o: Operands) => o.linear(index, purpose);
const bits = (e: Emit, o: Operands) => e.constant(o.bits);
const ends = { ends: true } as const;
/** Control and debug registers are as wide as the mode, whatever the prefixes say. */
const wide = { force64: true, ends: true, perMode: true } as const;

const MOVES = [
  viaHelper('MOV', 'set-control-register', [row('0F 22 /r', 'Cy,Ry', wide)], number(0), value(1)),
  viaHelper('MOV', 'set-debug-register', [row('0F 23 /r', 'Dy,Ry', wide)], number(0), value(1)),
  insn('MOV', { system: true, rows: [row('0F 20 /r', 'Ry,Cy', wide)], body: (e, o) => o.write(0, e.helper('get-control-register', o.number(1))) }),
  insn('MOV', { system: true, rows: [row('0F 21 /r', 'Ry,Dy', wide)], body: (e, o) => o.write(0, e.helper('get-debug-register', o.number(1))) }),
  insn('MOV', { rows: [row('8C', 'Ev,Sw')], body: (_, o) => o.writeSelector(0, o.read(1)) }),
  viaHelper('MOV', 'load-segment', [row('8E', 'Sw,Ew')], number(0), value(1)),
];

/** LDS and kin: a far pointer into a segment register and a general one. */
const farLoad = (name: string, segment: number, encoding: string, options = {}) =>
  insn(name, {
    system: true,
    rows: [row(encoding, 'Gv,Mp', options)],
    body(e, o) {
      const offset = o.read(1);
      o.displace(1, e.constant(o.bits / 8));
      e.helper('load-segment', e.constant(segment), o.readWord(1));
      o.write(0, offset);
    },
  });

const [RAX, RCX, RDX] = [0, 1, 2];
/** CR4's bit of that name. */
const TSD = 4n;

const SEGMENT_LOADS = [
  farLoad('LES', 0, 'C4', { not64: true }),
  farLoad('LDS', 3, 'C5', { not64: true }),
  farLoad('LSS', 2, '0F B2'),
  farLoad('LFS', 4, '0F B4'),
  farLoad('LGS', 5, '0F B5'),
];

/** The privilege is checked before the operand is read, and before it what `first` checks. */
const privileged = (name: string, helper: string, encoding: ReturnType<typeof row>, first?: string) =>
  insn(name, {
    system: true,
    rows: [encoding],
    body(e, o) {
      if (first) e.helper(first);
      e.if(e.nez(e.state('cpl')), () => e.fault(Vector.GP, 0));
      e.helper(helper, o.read(0));
    },
  });

const DESCRIPTOR_TABLES = [
  viaHelper('SGDT', 'store-descriptor-table', [row('0F 01 /0', 'Ms', { force64: true })], (e) => e.constant(0), linear(0, 'write'), bits),
  viaHelper('SIDT', 'store-descriptor-table', [row('0F 01 /1', 'Ms', { force64: true })], (e) => e.constant(1), linear(0, 'write'), bits),
  viaHelper('LGDT', 'load-descriptor-table', [row('0F 01 /2', 'Ms', { force64: true })], (e) => e.constant(0), linear(0), bits),
  viaHelper('LIDT', 'load-descriptor-table', [row('0F 01 /3', 'Ms', { force64: true })], (e) => e.constant(1), linear(0), bits),
  insn('SLDT', { system: true, rows: [row('0F 00 /0', 'Ev')], body: (e, o) => o.writeSelector(0, e.helper('store-system-selector', e.constant(6))) }),
  insn('STR', { system: true, rows: [row('0F 00 /1', 'Ev')], body: (e, o) => o.writeSelector(0, e.helper('store-system-selector', e.constant(7))) }),
  privileged('LLDT', 'load-local-descriptor-table', row('0F 00 /2', 'Ew'), 'check-protected-mode'),
  privileged('LTR', 'load-task-register', row('0F 00 /3', 'Ew'), 'check-protected-mode'),
  insn('VERR', { system: true, rows: [row('0F 00 /4', 'Ew')], body: (e, o) => e.flagsSet({ ZF: e.narrow(e.helper('verify-segment', o.read(0), e.constant(0))) }) }),
  insn('VERW', { system: true, rows: [row('0F 00 /5', 'Ew')], body: (e, o) => e.flagsSet({ ZF: e.narrow(e.helper('verify-segment', o.read(0), e.constant(1))) }) }),
];

/** LAR and LSL give the value with bit 63 set, or zero where the selector is not usable. */
const inspect = (name: string, encoding: string, helper: string) =>
  insn(name, {
    system: true,
    rows: [row(encoding, 'Gv,Ev')],
    body(e, o) {
      const found = e.helper(helper, e.zeroExtend(o.read(1), 16));
      const usable = e.bit(found, 63);
      e.if(usable, () => o.write(0, e.zeroExtend(found, 32)));
      e.flagsSet({ ZF: usable });
    },
  });

const INSPECTION = [inspect('LAR', '0F 02', 'load-access-rights'), inspect('LSL', '0F 03', 'load-segment-limit')];

const ARPL = insn('ARPL', {
  system: true,
  rows: [row('63', 'Ew,Gw', { not64: true })],
  body(e, o) {
    e.helper('check-protected-mode');
    const destination = o.read(0);
    const privilege = e.and(o.read(1), e.constant(3));
    const lower = e.ltU(e.and(destination, e.constant(3)), privilege);
    o.write(0, e.select(lower, e.or(e.and(destination, e.constant(~3n)), privilege), destination));
    e.flagsSet({ ZF: lower });
  },
});

const MACHINE_STATUS = [
  insn('SMSW', { system: true, rows: [row('0F 01 /4', 'Ev')], body: (e, o) => o.writeSelector(0, e.helper('get-machine-status')) }),
  privileged('LMSW', 'set-machine-status', row('0F 01 /6', 'Ew', ends)),
  viaHelper('CLTS', 'clear-task-switched', [row('0F 06')]),
];

/** CR4.TSD keeps it from programs (SDM vol. 2B, "RDTSC"). */
const readTimeStamp = (name: string, encoding: string, more: (e: Emit) => void = () => {}) =>
  insn(name, {
    system: true,
    rows: [row(encoding)],
    body(e) {
      const reserved = e.and(e.state('cr4'), e.constant(TSD));
      e.if(e.op('i32.and', e.nez(reserved), e.nez(e.state('cpl'))), () => e.fault(Vector.GP, 0));
      const value = e.timeStamp();
      e.setRegister(RAX, e.and(value, e.constant(0xffffffff)));
      e.setRegister(RDX, e.shrU(value, e.constant(32)));
      more(e);
    },
  });

const MODEL_SPECIFIC = [
  viaHelper('RDMSR', 'read-msr', [row('0F 32')]),
  viaHelper('WRMSR', 'write-msr', [row('0F 30', '', ends)]),
  viaHelper('RDPMC', 'read-performance-counter', [row('0F 33')]),
  readTimeStamp('RDTSC', '0F 31'),
  readTimeStamp('RDTSCP', '0F 01 F9', (e) => e.setRegister(RCX, e.state('tscAux'))),
  viaHelper('CPUID', 'cpuid', [row('0F A2')]),
];

const MEMORY_MANAGEMENT = [
  viaHelper('INVLPG', 'invalidate-page', [row('0F 01 /7', 'Mb', ends)], linear(0)),
  viaHelper('INVD', 'write-back-caches', [row('0F 08')]),
  viaHelper('WBINVD', 'write-back-caches', [row('0F 09')]),
  viaHelper('INVPCID', 'invalidate-process-context', [row('66 0F 38 82 /r', 'Gy,Mdq', { force64: true, ends: true })], value(0), linear(1)),
];

const readBase = (name: string, extension: number, segment: number) =>
  insn(name, { system: true, rows: [row(`F3 0F AE /${extension}`, 'Ry', { only64: true })], body: (e, o) => o.write(0, e.helper('read-segment-base', e.constant(segment))) });
const writeBase = (name: string, extension: number, segment: number) =>
  viaHelper(name, 'write-segment-base', [row(`F3 0F AE /${extension}`, 'Ry', { only64: true })], (e) => e.constant(segment), value(0));
const SEGMENT_BASES = [readBase('RDFSBASE', 0, 4), readBase('RDGSBASE', 1, 5), writeBase('WRFSBASE', 2, 4), writeBase('WRGSBASE', 3, 5)];

/** XSAVE and kin, with 64-bit pointers of the x87 under REX.W; the helper checks that the system uses them. */
const extendedState = (name: string, helper: string, encoding: string, ...flags: number[]) =>
  [0, 1].map((wide) => viaHelper(wide ? `${name}64` : name, helper, [row(`NP ${wide ? 'REX.W' : 'W0'} ${encoding}`, 'M')], linear(0), ...[wide, ...flags].map((flag) => (e: Emit) => e.constant(flag))));
const EXTENDED_STATES = [
  ...extendedState('XSAVE', 'x87-xsave', '0F AE /4', 0),
  ...extendedState('XRSTOR', 'x87-xrstor', '0F AE /5'),
  ...extendedState('XSAVEOPT', 'x87-xsave', '0F AE /6', 0),
  ...extendedState('XSAVEC', 'x87-xsave', '0F C7 /4', 1),
  viaHelper('XGETBV', 'get-extended-control', [row('NP 0F 01 D0')]),
  viaHelper('XSETBV', 'set-extended-control', [row('NP 0F 01 D1')]),
];

const CALLS = [
  viaHelper('SYSENTER', 'system-enter', [row('0F 34', '', ends)]),
  viaHelper('SYSEXIT', 'system-exit', [row('0F 35', 'rAX', ends)], bits),
  viaHelper('VMCALL', 'hypercall', [row('0F 01 C1')]),
  viaHelper('VMMCALL', 'hypercall', [row('0F 01 D9')]),
  viaHelper('HLT', 'halt', [row('F4', '', ends)]),
  viaHelper('MONITOR', 'monitor', [row('0F 01 C8')]),
  viaHelper('MWAIT', 'monitor-wait', [row('0F 01 C9', '', ends)]),
];

/** Ports: the helper checks IOPL and the task's permission bitmap (SDM vol. 1 §19.5). */
const IN = insn('IN', {
  system: true,
  rows: [row('E4', 'AL,Ib'), row('E5', 'eAX,Ib'), row('EC', 'AL,DX'), row('ED', 'eAX,DX')],
  body: (e, o) => o.write(0, e.helper('port-in', portOf(e, o, 1), e.constant(o.bits))),
});
const OUT = insn('OUT', {
  system: true,
  rows: [row('E6', 'Ib,AL'), row('E7', 'Ib,eAX'), row('EE', 'DX,AL'), row('EF', 'DX,eAX')],
  body: (e, o) => void e.helper('port-out', portOf(e, o, 0), o.read(1), e.constant(o.sizeBits(1))),
});
const portOf = (e: Emit, o: Operands, index: number) => (o.isImmediate(index) ? e.zeroExtend(o.read(index), 8) : o.read(index));

const CMPXCHG8B = insn('CMPXCHG8B', {
  rows: [row('W0 0F C7 /1', 'Mq', { lock: true })],
  body(e, o) {
    const high = e.constant(32);
    const expected = e.or(e.shl(e.register(2, 32), high), e.register(0, 32));
    const replacement = e.or(e.shl(e.register(1, 32), high), e.register(3, 32));
    const found = o.read(0);
    const equal = e.eq(found, expected);
    o.write(0, e.select(equal, replacement, found));
    e.if(e.eqz(equal), () => {
      e.setRegister(0, found, 32);
      e.setRegister(2, e.shrU(found, high), 32);
    });
    e.flagsSet({ ZF: equal });
  },
});

const CMPXCHG16B = insn('CMPXCHG16B', {
  rows: [row('REX.W 0F C7 /1', 'Mdq', { lock: true })],
  body(e, o) {
    e.if(e.nez(e.and(o.linear(0), e.constant(15))), () => e.fault(Vector.GP, 0));
    const found = o.readVector(0);
    const [low, high] = [e.lane('i64x2.extract_lane', 0, found), e.lane('i64x2.extract_lane', 1, found)];
    const equal = e.op('i32.and', e.eq(low, e.register(0)), e.eq(high, e.register(2)));
    const wanted = e.lane('i64x2.replace_lane', 1, e.op('i64x2.splat', e.register(3)), e.register(1));
    o.writeVector(0, e.select(equal, wanted, found));
    e.if(e.eqz(equal), () => {
      e.setRegister(0, low);
      e.setRegister(2, high);
    });
    e.flagsSet({ ZF: equal });
  },
});

const random = (name: string, extension: number) =>
  insn(name, {
    system: true,
    rows: [row(`NP 0F C7 /${extension}`, 'Rv'), row(`66 0F C7 /${extension}`, 'Rv')],
    body(e, o) {
      o.write(0, e.helper('random'));
      const no = e.constant32(0);
      e.flagsSet({ CF: e.constant32(1), OF: no, SF: no, ZF: no, AF: no, PF: no });
    },
  });
const RDPID = insn('RDPID', {
  system: true,
  rows: [row('F3 0F C7 /7', 'Ry', { force64: true })],
  body: (e, o) => o.write(0, e.state('tscAux')),
});

const RANDOM = [random('RDRAND', 6), random('RDSEED', 7)];

export const SYSTEM = [
  ...MOVES, ...SEGMENT_LOADS, ...DESCRIPTOR_TABLES, ...INSPECTION, ARPL, ...MACHINE_STATUS, ...MODEL_SPECIFIC, ...MEMORY_MANAGEMENT, ...CALLS,
  IN, OUT, CMPXCHG8B, CMPXCHG16B, ...RANDOM, RDPID, ...SEGMENT_BASES, ...EXTENDED_STATES,
];
