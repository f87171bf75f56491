import { CR4 } from './cpu-state.ts';

/** Which of a package's processors one is: each vCPU is a core with one thread. */
export interface Place {
  readonly apicId: number;
  readonly vcpuCount: number;
}

/** What a guest is told about its processor. */
export interface CpuModel {
  readonly name: string;
  /** Time-stamp counter frequency in Hz. */
  readonly tscHz: number;
  /** Bits of CR4 that some features add to what every model has. */
  readonly cr4Features: bigint;
  cpuid(leaf: number, subleaf: number, place: Place): readonly [number, number, number, number];
}

const bits = (...numbers: number[]) => numbers.reduce((sum, number) => (sum | (1 << number)) >>> 0, 0);

/** Four characters as a register shows them. */
const text = (characters: string, at: number) =>
  [0, 1, 2, 3].reduce((sum, index) => (sum | ((characters.charCodeAt(at + index) || 0) << (index * 8))) >>> 0, 0);

const CRYSTAL_HZ = 25_000_000;
const TSC_HZ = 1_000_000_000;

type FeatureRegister = 'leaf1Ecx' | 'leaf7Ebx' | 'leaf7Ecx' | 'leaf7Edx' | 'extendedEcx';

/** Features in which models differ, as Linux names them (SDM vol. 2A tables 3-8, 3-10). */
const FEATURES = {
  pni: ['leaf1Ecx', 0], pclmulqdq: ['leaf1Ecx', 1], ssse3: ['leaf1Ecx', 9], cx16: ['leaf1Ecx', 13], sse4_1: ['leaf1Ecx', 19], sse4_2: ['leaf1Ecx', 20],
  pcid: ['leaf1Ecx', 17], xsave: ['leaf1Ecx', 26], movbe: ['leaf1Ecx', 22], popcnt: ['leaf1Ecx', 23], aes: ['leaf1Ecx', 25],
  fsgsbase: ['leaf7Ebx', 0], invpcid: ['leaf7Ebx', 10], bmi1: ['leaf7Ebx', 3], bmi2: ['leaf7Ebx', 8], erms: ['leaf7Ebx', 9], rdseed: ['leaf7Ebx', 18], adx: ['leaf7Ebx', 19], clflushopt: ['leaf7Ebx', 23], clwb: ['leaf7Ebx', 24], sha_ni: ['leaf7Ebx', 29],
  umip: ['leaf7Ecx', 2], rdpid: ['leaf7Ecx', 22], fsrm: ['leaf7Edx', 4],
  lahf_lm: ['extendedEcx', 0], abm: ['extendedEcx', 5], '3dnowprefetch': ['extendedEcx', 8],
} as const satisfies Record<string, readonly [FeatureRegister, number]>;

type Feature = keyof typeof FEATURES;

/** Bits of CR4 that come with features (SDM vol. 3A §2.5). */
const CR4_FEATURES: Partial<Record<Feature, bigint>> = { fsgsbase: CR4.FSGSBASE, pcid: CR4.PCIDE, umip: CR4.UMIP, xsave: CR4.OSXSAVE };

/** What every model has: a virtual machine's own needs, and what kernels of 64 bits take for granted. */
const COMMON: Readonly<Record<FeatureRegister, number>> = {
  leaf1Ecx: bits(21 /* x2APIC */, 24 /* TSC deadline */, 30 /* RDRAND */),
  leaf7Ebx: bits(1 /* TSC_ADJUST */, 7 /* SMEP */, 20 /* SMAP */),
  leaf7Ecx: 0,
  leaf7Edx: bits(26 /* IBRS, IBPB */, 27 /* STIBP */, 29 /* ARCH_CAPABILITIES */, 31 /* SSBD */),
  extendedEcx: 0,
};
const LEAF1_EDX = bits(
  0 /* FPU */, 2 /* DE */, 3 /* PSE */, 4 /* TSC */, 5 /* MSR */, 6 /* PAE */, 7 /* MCE */, 8 /* CX8 */, 9 /* APIC */, 11 /* SEP */, 12 /* MTRR */, 13 /* PGE */,
  14 /* MCA */, 15 /* CMOV */, 16 /* PAT */, 17 /* PSE-36 */, 19 /* CLFSH */, 23 /* MMX */, 24 /* FXSR */, 25 /* SSE */, 26 /* SSE2 */,
);
/** Linux runs a loop at each system call of a virtual machine with an Intel processor, BHI_NO or not, unless it can set BHI_DIS_S. */
const LEAF7_2_EDX = bits(4 /* BHI_CTRL */);
const EXTENDED_EDX = bits(11 /* SYSCALL */, 20 /* NX */, 26 /* 1-GiB pages */, 27 /* RDTSCP */, 29 /* long mode */);

const VENDOR = 'GenuineIntel';
const BRAND = 'Hanok x86-64 virtual processor';
/** Family 6, model 44, stepping 1: the last of Intel's without AVX, so that software takes the paths made for such. */
const SIGNATURE = 0x000206c1;

/** A processor with these features besides the common ones. */
function defineModel(name: string, features: readonly Feature[]): CpuModel {
  const registers = { ...COMMON };
  for (const [register, bit] of features.map((feature) => FEATURES[feature])) registers[register] = (registers[register] | bits(bit)) >>> 0;
  const leaves = defineLeaves(registers, features.includes('xsave'));
  const cr4Features = features.reduce((sum, feature) => sum | (CR4_FEATURES[feature] ?? 0n), 0n);
  return { name, tscHz: TSC_HZ, cr4Features, cpuid: (leaf, subleaf, place) => leaves.get(leaf)?.(subleaf, place) ?? [0, 0, 0, 0] };
}

/** What the levels of the System V ABI add (x86-64 supplement, §3.1.1). */
const LEVEL_2: readonly Feature[] = ['pni', 'ssse3', 'cx16', 'sse4_1', 'sse4_2', 'popcnt', 'lahf_lm'];
/** All else this processor can do. */
const EXTENSIONS: readonly Feature[] = [
  'fsgsbase', 'pcid', 'invpcid', 'umip', 'xsave',
  'movbe', 'abm', 'bmi1', 'bmi2', 'adx', 'aes', 'pclmulqdq', 'sha_ni', 'rdseed', 'rdpid', 'clflushopt', 'clwb', '3dnowprefetch', 'erms', 'fsrm',
];

type Leaf = (subleaf: number, place: Place) => readonly [number, number, number, number];

const brandLeaf = (part: number): Leaf => () => [0, 4, 8, 12].map((offset) => text(BRAND, part * 16 + offset)) as unknown as [number, number, number, number];

const defineLeaves = (registers: Readonly<Record<FeatureRegister, number>>, xsave: boolean) => new Map<number, Leaf>([
  [0, () => [0x16, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)]],
  [1, (_, { apicId, vcpuCount }) => [
    SIGNATURE, ((apicId << 24) | (2 ** coreBits(vcpuCount) << 16) | (8 << 8)) >>> 0, registers.leaf1Ecx, vcpuCount > 1 ? (LEAF1_EDX | HTT) >>> 0 : LEAF1_EDX,
  ]],
  [2, () => [0x00feff01, 0, 0, 0]],
  [4, (subleaf, place) => cacheLeaf(subleaf, place)],
  [6, () => [bits(2 /* ARAT */), 0, 0, 0]],
  [7, (subleaf) => (subleaf === 0 ? [2, registers.leaf7Ebx, registers.leaf7Ecx, registers.leaf7Edx] : [0, 0, 0, subleaf === 2 ? LEAF7_2_EDX : 0])],
  [0xb, (subleaf, place) => topologyLeaf(subleaf, place)],
  [0xd, (subleaf) => (xsave ? (STATE_LEAVES[subleaf] ?? [0, 0, 0, 0]) : [0, 0, 0, 0])],
  [0x15, () => [1, TSC_HZ / CRYSTAL_HZ, CRYSTAL_HZ, 0]],
  [0x16, () => [TSC_HZ / 1e6, TSC_HZ / 1e6, 100, 0]],
  [0x80000000, () => [0x80000008, 0, 0, 0]],
  [0x80000001, () => [0, 0, registers.extendedEcx, EXTENDED_EDX]],
  [0x80000002, brandLeaf(0)],
  [0x80000003, brandLeaf(1)],
  [0x80000004, brandLeaf(2)],
  [0x80000006, () => [0, 0, 0x02008040, 0]],
  [0x80000007, () => [0, 0, 0, bits(8 /* invariant TSC */)]],
  [0x80000008, () => [40 | (48 << 8), 0, 0, 0]],
]);

/** Extended states: x87 and SSE, 576 bytes in either form; XSAVEOPT, XSAVEC and XGETBV with ECX = 1 (SDM vol. 1 §13.2). */
const STATE_LEAVES: readonly (readonly [number, number, number, number])[] = [[3, 576, 576, 0], [7, 576, 0, 0]];

/** More than one APIC id in the package (SDM vol. 2A table 3-11). */
const HTT = bits(28);
/** How many bits of the APIC id number the cores of a package. */
const coreBits = (vcpuCount: number) => Math.ceil(Math.log2(vcpuCount));

/** Thread and core levels (SDM vol. 2A "CPUID", leaf 0BH). */
function topologyLeaf(subleaf: number, { apicId, vcpuCount }: Place): ReturnType<Leaf> {
  if (subleaf === 0) return [0, 1, 1 << 8, apicId];
  return subleaf === 1 ? [coreBits(vcpuCount), vcpuCount, (2 << 8) | 1, apicId] : [0, 0, subleaf & 0xff, apicId];
}

/** Each core has its own caches but for the last; bits 25-14 of EAX give the ids that share one, bits 31-26 those reserved for cores. */
function cacheLeaf(subleaf: number, { vcpuCount }: Place): ReturnType<Leaf> {
  const cache = CACHES[subleaf];
  if (!cache) return [0, 0, 0, 0];
  const others = 2 ** coreBits(vcpuCount) - 1;
  const sharing = subleaf === CACHES.length - 1 ? others << 14 : 0;
  return [(cache[0] | sharing | (others << 26)) >>> 0, cache[1], cache[2], cache[3]];
}

/**
 * L1 data, L1 instruction, L2 and L3 as leaf 4 describes them: 64-byte lines, 8 ways and 16; 32, 32 and 512 KiB, 16 MiB. What is
 * larger than the last is copied past the caches, by code that is slow here.
 */
const CACHES: readonly (readonly [number, number, number, number])[] = [
  [0x121, (7 << 22) | 63, 63, 0],
  [0x122, (7 << 22) | 63, 63, 0],
  [0x143, (7 << 22) | 63, 1023, 0],
  [0x163, (15 << 22) | 63, 16383, 0],
];

/** The models by name. The levels are those of the System V ABI; `x86-64-v2-extended` has everything short of AVX. */
export const CPU_MODELS: ReadonlyMap<string, CpuModel> = new Map(
  [defineModel('x86-64-v1', []), defineModel('x86-64-v2', LEVEL_2), defineModel('x86-64-v2-extended', [...LEVEL_2, ...EXTENSIONS])].map((model) => [model.name, model]),
);

export const DEFAULT_CPU_MODEL = CPU_MODELS.get('x86-64-v2-extended')!;
