import type { Insn, Row } from '@hanok/x86';

/** System instructions that programs may still try: at privilege level 3 they must raise what the host's processor raises. */
const CHECKED_AT_CPL3 = new Set(['UD0', 'UD1', 'UD2', 'INT', 'INT1', 'INT3', 'CLI', 'STI', 'HLT', 'IN', 'OUT', 'INS', 'OUTS', 'RDMSR', 'WRMSR', 'CLTS', 'INVD', 'WBINVD', 'LGDT', 'LIDT', 'LLDT', 'LTR', 'LMSW', 'INVLPG']);

interface Exclusion {
  readonly reason: string;
  readonly applies: (row: Row) => boolean;
}

const named = (...names: string[]) => (row: Row) => names.includes(row.insn.name);

/** Rows that are not compared with the host's processor, each with the reason. */
const EXCLUSIONS: readonly Exclusion[] = [
  { reason: 'system instruction: its effects need privilege or belong to the host\'s kernel', applies: (row) => row.insn.system && !CHECKED_AT_CPL3.has(row.insn.name) },
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

/** Instructions by the CPUID feature that has them, as Linux names it in /proc/cpuinfo; a host without one cannot judge them. */
const FEATURES: readonly (readonly [feature: string, instructions: RegExp])[] = [
  ['movbe', /^MOVBE$/], ['popcnt', /^POPCNT$/], ['abm', /^LZCNT$/], ['bmi1', /^(TZCNT|ANDN|BEXTR|BLS(I|R|MSK))$/], ['bmi2', /^(BZHI|MULX|PDEP|PEXT|RORX|S[AH][LR]X)$/], ['cx16', /^CMPXCHG(8|16)B$/], ['fsgsbase', /^RDGSBASE$/],
  ['pni', /^(LDDQU|MOVS[HL]DUP|MOVDDUP|(ADDSUB|HADD|HSUB)P[SD])$/], ['clflushopt', /^CLFLUSHOPT$/], ['clwb', /^CLWB$/], ['adx', /^AD[CO]X$/],
  ['ssse3', /^(PH(ADD|SUB)(W|D|SW)|PSHUFB|PMADDUBSW|PMULHRSW|PALIGNR|P(SIGN|ABS)[BWD])$/],
  ['sse4_1', /^(PMOV[SZ]X..|P?BLEND.*|PTEST|PMUL(DQ|LD)|PCMPEQQ|MOVNTDQA|PACKUSDW|PM(IN|AX)(SB|SD|UW|UD)|PHMINPOSUW|MPSADBW|P(INSR|EXTR)[BD]|(EXTRACT|INSERT)PS|ROUND[PS][SD]|DPP[SD])$/],
  ['sse4_2', /^(PCMPGTQ|PCMP[EI]STR[IM]|CRC32)$/], ['pclmulqdq', /^PCLMULQDQ$/], ['aes', /^AES/], ['sha_ni', /^SHA/],
];

/** The feature of an instruction that the host lacks, given the flags of /proc/cpuinfo. */
export function missingFeature(insn: Insn, hostFlags: ReadonlySet<string>): string | undefined {
  return FEATURES.find(([feature, instructions]) => instructions.test(insn.name) && !hostFlags.has(feature))?.[0];
}
