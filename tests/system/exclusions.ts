/** What another emulator is known to do otherwise than the manual: by guest and test, with the manual's words. */
export interface Exclusion {
  readonly machine: 'qemu' | 'bochs';
  readonly guest: string;
  /** Name of the test; absent where the whole guest cannot run there. */
  readonly test?: string;
  readonly reason: string;
}

const RSVD = 'sets RSVD without P; SDM vol. 3A §4.7: bit 3 can be set only if bit 0 is also set';
const RMW = 'reports the read of a read-modify-write first; a write access it is by SDM vol. 3A §4.7 (W/R), as Bochs and processors have it';
const MOVED = 'runs its old copy of an instruction over a page\'s end; SDM vol. 3A §4.10.4.1: INVLPG drops what was cached';

const GATE_ERROR = 'counts 16 bytes an entry in the error code of a 64-bit gate; SDM vol. 3A §6.13: the selector index is the entry\'s number';
const EXT = 'leaves EXT clear in an error code of an exception\'s delivery; SDM vol. 3A §6.13: set when the event is not the program\'s own';

const DEBUG_QEMU: readonly (readonly [string, string])[] = [
  ['registers', 'keeps reserved bits of DR6 and DR7; SDM vol. 3B figure 18-1'],
  ['an exception is not stepped', 'leaves RF clear in the image of a fault; SDM vol. 3B §18.3.1.1'],
  ['STI and CLI under TF', 'holds the single step back behind STI; SDM vol. 3A §6.8.3: only behind MOV SS and POP SS'],
  ['lengths', 'takes the bytes of a breakpoint from its unmasked address; SDM vol. 3B §18.2.5'],
  ['two breakpoints at once', 'reports one of two; SDM vol. 3B §18.2.3'],
  ['MOV SS postpones a data breakpoint', 'does not; SDM vol. 3A §6.8.3'],
  ['not behind MOV SS', 'breaks there; SDM vol. 3A §6.8.3'],
  ['general detection', 'lacks DR7.GD; SDM vol. 3B §18.2.4'],
  ['a fault in place of the trap', 'traps; SDM vol. 3A §6.9: the instruction has not completed'],
  ['INT1', 'lacks it; SDM vol. 2A, "INT n"'],
];

const TARGET = 'goes to a target that is not canonical and faults there; SDM vol. 2: the transfer itself raises #GP(0)';
const BOTH_SIZES = 'accepts a code segment with both L and D set; SDM vol. 3A §5.8.1: #GP(selector)';
const TRANSFERS_QEMU: readonly (readonly [string, string])[] = [
  ['IRETQ\'s faults', BOTH_SIZES],
  ['their faults', BOTH_SIZES],
  ['RET FAR\'s faults', TARGET],
  ['gates\' faults', TARGET],
  ['SYSRET\'s faults', 'is AMD\'s there; SDM vol. 2B, "SYSRET": #GP(0) before the privilege changes'],
  ['SYSENTER and SYSEXIT', TARGET],
  ['SYSCALL is undefined in compatibility mode', 'is AMD\'s there; SDM vol. 2B, "SYSCALL"'],
  ['a base that is not canonical', 'lacks the check; SDM vol. 4 table 2-2'],
];

const LACKS = 'is not in the TCG of QEMU 7.2';

export const EXCLUSIONS: readonly Exclusion[] = [
  ...['RDTSCP and RDPID', 'XSAVEC'].map((test) => ({ machine: 'qemu', guest: 'long-features', test, reason: LACKS }) as const),
  { machine: 'qemu', guest: 'long-features', test: 'FSGSBASE', reason: 'takes bases that are not canonical; SDM vol. 2B, "WRFSBASE"' },
  { machine: 'qemu', guest: 'long-features', test: 'XRSTOR\'s faults', reason: 'looks neither at the header\'s words nor at CR0.TS; SDM vol. 2D, "XRSTOR"' },
  { machine: 'qemu', guest: 'long-features', test: 'alignment checks', reason: LACKS },
  ...['EFER', 'model-specific registers that do not exist', 'memory types'].map((test) => ({ machine: 'qemu', guest: 'long-features', test, reason: 'ignores writes that it does not know; SDM vol. 2B, "WRMSR": #GP(0)' }) as const),
  { machine: 'qemu', guest: 'long-pcid', reason: LACKS },
  { machine: 'qemu', guest: 'long-interrupts', test: 'MOV SS holds them back one instruction', reason: 'does not where STI precedes it; SDM vol. 3A §6.8.3' },
  ...['the 36-bit extension of 4-MiB pages', 'PAE\'s reserved bits'].map((test) => ({ machine: 'qemu', guest: 'protected-paging', test, reason: RSVD }) as const),
  ...['limits', 'the stack segment', 'running off the segment\'s end'].map((test) => ({ machine: 'qemu', guest: 'real-mode', test, reason: 'has no limits of segments; SDM vol. 3A §5.3' }) as const),
  { machine: 'qemu', guest: 'protected-segments', reason: 'has no limits and types of segments; SDM vol. 3A §5.3, §5.4' },
  { machine: 'qemu', guest: 'protected-gates', test: 'errors of gates', reason: EXT },
  { machine: 'qemu', guest: 'protected-gates', test: 'errors in the new task', reason: 'faults in the old task; SDM vol. 3A §6.15, "#TS"' },
  { machine: 'qemu', guest: 'protected-gates', test: '64-KiB limits', reason: 'has no limits of segments; SDM vol. 3A §5.3' },
  ...TRANSFERS_QEMU.map(([test, reason]) => ({ machine: 'qemu', guest: 'long-transfers', test, reason }) as const),
  ...DEBUG_QEMU.map(([test, reason]) => ({ machine: 'qemu', guest: 'long-debug', test, reason }) as const),
  { machine: 'bochs', guest: 'long-debug', test: 'SYSCALL with TF masked', reason: 'takes TF from before SYSCALL; processors take it from behind, so that IA32_FMASK hides kernel entry from debuggers' },
  ...['a gate\'s privilege', 'INT3\'s gate has a privilege', 'gate not present', 'gate of a wrong type', 'privilege comes before presence', 'beyond the table'].map((test) => ({ machine: 'qemu', guest: 'long-exceptions', test, reason: GATE_ERROR }) as const),
  ...['and EXT in its error codes', 'the task state is too short', 'stacks that are not canonical'].map((test) => ({ machine: 'qemu', guest: 'long-exceptions', test, reason: EXT }) as const),
  { machine: 'qemu', guest: 'long-exceptions', test: 'IST', reason: 'loads SS with null although the privilege stays; SDM vol. 3A §6.14.4: only a change of privilege does' },
  { machine: 'qemu', guest: 'long-exceptions', test: 'INT1\'s gate has none', reason: 'has no INT1 in user code; SDM vol. 2A, "INT n"' },
  { machine: 'bochs', guest: 'long-exceptions', test: 'stacks that are not canonical', reason: 'names SS in the error code; SDM vol. 2A, "INT n": #SS(EXT)' },
  { machine: 'qemu', guest: 'long-paging', test: 'not present', reason: RMW },
  { machine: 'qemu', guest: 'long-page-ends', test: 'modifying over the page\'s end', reason: RMW },
  ...['reserved bits', 'large bit in a PML4 entry', 'NX is reserved without NXE', 'reserved bits of a 2-MiB page', '1-GiB page'].map((test) => ({ machine: 'qemu', guest: 'long-paging', test, reason: RSVD }) as const),
  { machine: 'qemu', guest: 'long-paging', test: 'non-canonical stack', reason: 'raises #GP; SDM vol. 3A §6.15, "#SS": a stack address that is not canonical raises #SS' },
  { machine: 'bochs', guest: 'long-page-ends', test: 'its second page moves', reason: MOVED },
  { machine: 'bochs', guest: 'long-page-ends', test: 'its second page is not for code', reason: MOVED },
];
