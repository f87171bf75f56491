import type { Insn, Row } from '@hanok/x86';

/** System instructions that programs may still try: at privilege level 3 they must raise what the host's processor raises. */
const CHECKED_AT_CPL3 = new Set(['UD0', 'UD1', 'UD2', 'INT', 'CLI', 'STI', 'HLT', 'IN', 'OUT', 'INS', 'OUTS', 'RDMSR', 'WRMSR', 'CLTS', 'INVD', 'WBINVD', 'LGDT', 'LIDT', 'LLDT', 'LTR', 'LMSW', 'INVLPG']);

interface Exclusion {
  readonly reason: string;
  readonly applies: (row: Row) => boolean;
}

const named = (...names: string[]) => (row: Row) => names.includes(row.insn.name);

/** Rows that are not compared with the host's processor, each with the reason. */
const EXCLUSIONS: readonly Exclusion[] = [
  { reason: 'system instruction: its effects need privilege or belong to the host\'s kernel', applies: (row) => row.insn.system && !CHECKED_AT_CPL3.has(row.insn.name) },
  { reason: 'invalid in 64-bit mode (SDM vol. 2, "64-Bit Mode" column), where the cases run', applies: (row) => row.options.not64 === true },
  {
    reason: 'the values are the processor\'s or the moment\'s own (SDM vol. 2, CPUID, RDTSC, RDTSCP, RDPMC, RDRAND, RDSEED, RDPID, XGETBV)',
    applies: named('CPUID', 'RDTSC', 'RDTSCP', 'RDPMC', 'RDRAND', 'RDSEED', 'RDPID', 'XGETBV'),
  },
  { reason: 'image depends on the XCR0 and layout the processor has (SDM vol. 1 §13.4)', applies: named('XSAVE', 'XSAVE64', 'XSAVEOPT', 'XSAVEOPT64', 'XSAVEC', 'XSAVEC64', 'XRSTOR', 'XRSTOR64') },
  { reason: 'the FS and GS bases of the test process hold its thread-local storage (System V ABI, x86-64 supplement, §3.4.2)', applies: named('WRFSBASE', 'WRGSBASE', 'RDFSBASE') },
];

/** Why a row has no cases, or undefined when it must have some. */
export function exclusionOf(row: Row): string | undefined {
  return EXCLUSIONS.find((exclusion) => exclusion.applies(row))?.reason;
}

/** CPUID features by instruction, as Linux names them in /proc/cpuinfo; a host without one cannot judge the instruction. */
const FEATURES: Readonly<Record<string, string>> = {
  MOVBE: 'movbe', POPCNT: 'popcnt', LZCNT: 'abm', TZCNT: 'bmi1', CRC32: 'sse4_2', CMPXCHG16B: 'cx16', CMPXCHG8B: 'cx16', PCLMULQDQ: 'pclmulqdq',
  AESENC: 'aes', AESENCLAST: 'aes', AESDEC: 'aes', AESDECLAST: 'aes', AESIMC: 'aes', AESKEYGENASSIST: 'aes', ADCX: 'adx', ADOX: 'adx', CLFLUSHOPT: 'clflushopt',
  SHA1RNDS4: 'sha_ni', SHA1NEXTE: 'sha_ni', SHA1MSG1: 'sha_ni', SHA1MSG2: 'sha_ni', SHA256RNDS2: 'sha_ni', SHA256MSG1: 'sha_ni', SHA256MSG2: 'sha_ni',
  RDGSBASE: 'fsgsbase',
};

/** The feature of an instruction that the host lacks, given the flags of /proc/cpuinfo. */
export function missingFeature(insn: Insn, hostFlags: ReadonlySet<string>): string | undefined {
  const feature = FEATURES[insn.name];
  return feature !== undefined && !hostFlags.has(feature) ? feature : undefined;
}
