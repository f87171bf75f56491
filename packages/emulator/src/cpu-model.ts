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
  cpuid(leaf: number, subleaf: number, place: Place): readonly [number, number, number, number];
}

const bits = (...numbers: number[]) => numbers.reduce((sum, number) => (sum | (1 << number)) >>> 0, 0);

/** Four characters as a register shows them. */
const text = (characters: string, at: number) =>
  [0, 1, 2, 3].reduce((sum, index) => (sum | ((characters.charCodeAt(at + index) || 0) << (index * 8))) >>> 0, 0);

const FAMILY_6_MODEL_94_STEPPING_3 = 0x000506e3;
const CRYSTAL_HZ = 25_000_000;

/** Feature bits of leaf 1 (SDM vol. 2A tables 3-10 and 3-11). */
const LEAF1_ECX = bits(13 /* CX16 */, 21 /* x2APIC */, 22 /* MOVBE */, 23 /* POPCNT */, 24 /* TSC deadline */, 30 /* RDRAND */);
const LEAF1_EDX = bits(
  0 /* FPU */, 2 /* DE */, 3 /* PSE */, 4 /* TSC */, 5 /* MSR */, 6 /* PAE */, 7 /* MCE */, 8 /* CX8 */, 9 /* APIC */, 11 /* SEP */, 13 /* PGE */,
  14 /* MCA */, 15 /* CMOV */, 16 /* PAT */, 17 /* PSE-36 */, 19 /* CLFSH */, 23 /* MMX */, 24 /* FXSR */, 25 /* SSE */, 26 /* SSE2 */,
);
const LEAF7_EBX = bits(1 /* TSC_ADJUST */, 7 /* SMEP */, 20 /* SMAP */);
const LEAF7_EDX = bits(26 /* IBRS, IBPB */, 27 /* STIBP */, 29 /* ARCH_CAPABILITIES */, 31 /* SSBD */);
const EXTENDED_ECX = bits(0 /* LAHF in 64-bit mode */, 5 /* LZCNT */);
const EXTENDED_EDX = bits(11 /* SYSCALL */, 20 /* NX */, 26 /* 1-GiB pages */, 27 /* RDTSCP */, 29 /* long mode */);

const VENDOR = 'GenuineIntel';
const BRAND = 'Hanok x86-64 virtual processor';

/** The processor of the first release: x86-64 with SSE2, and what Debian's kernels want of a virtual machine. */
export const X86_64_V1: CpuModel = {
  name: 'x86-64-v1',
  tscHz: 1_000_000_000,
  cpuid(leaf, subleaf, place) {
    const read = LEAVES.get(leaf);
    return read ? read(subleaf, place) : [0, 0, 0, 0];
  },
};

type Leaf = (subleaf: number, place: Place) => readonly [number, number, number, number];

const brandLeaf = (part: number): Leaf => () => [0, 4, 8, 12].map((offset) => text(BRAND, part * 16 + offset)) as unknown as [number, number, number, number];

const LEAVES = new Map<number, Leaf>([
  [0, () => [0x16, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)]],
  [1, (_, { apicId, vcpuCount }) => [FAMILY_6_MODEL_94_STEPPING_3, ((apicId << 24) | (2 ** coreBits(vcpuCount) << 16) | (8 << 8)) >>> 0, LEAF1_ECX, vcpuCount > 1 ? (LEAF1_EDX | HTT) >>> 0 : LEAF1_EDX]],
  [2, () => [0x00feff01, 0, 0, 0]],
  [4, (subleaf, place) => cacheLeaf(subleaf, place)],
  [6, () => [bits(2 /* ARAT */), 0, 0, 0]],
  [7, (subleaf) => (subleaf === 0 ? [0, LEAF7_EBX, 0, LEAF7_EDX] : [0, 0, 0, 0])],
  [0xb, (subleaf, place) => topologyLeaf(subleaf, place)],
  [0x15, () => [1, X86_64_V1.tscHz / CRYSTAL_HZ, CRYSTAL_HZ, 0]],
  [0x16, () => [X86_64_V1.tscHz / 1e6, X86_64_V1.tscHz / 1e6, 100, 0]],
  [0x80000000, () => [0x80000008, 0, 0, 0]],
  [0x80000001, () => [0, 0, EXTENDED_ECX, EXTENDED_EDX]],
  [0x80000002, brandLeaf(0)],
  [0x80000003, brandLeaf(1)],
  [0x80000004, brandLeaf(2)],
  [0x80000006, () => [0, 0, 0x02008040, 0]],
  [0x80000007, () => [0, 0, 0, bits(8 /* invariant TSC */)]],
  [0x80000008, () => [40 | (48 << 8), 0, 0, 0]],
]);

/** More than one APIC id in the package (SDM vol. 2A table 3-11). */
const HTT = bits(28);
/** How many bits of the APIC id number the cores of a package. */
const coreBits = (vcpuCount: number) => Math.ceil(Math.log2(vcpuCount));

/** Thread and core levels (SDM vol. 2A "CPUID", leaf 0BH). */
function topologyLeaf(subleaf: number, { apicId, vcpuCount }: Place): ReturnType<Leaf> {
  if (subleaf === 0) return [0, 1, 1 << 8, apicId];
  return subleaf === 1 ? [coreBits(vcpuCount), vcpuCount, (2 << 8) | 1, apicId] : [0, 0, subleaf & 0xff, apicId];
}

/** Each core has its own caches; bits 31-26 of EAX give the ids reserved for cores. */
function cacheLeaf(subleaf: number, { vcpuCount }: Place): ReturnType<Leaf> {
  const cache = CACHES[subleaf];
  return cache ? [(cache[0] | ((2 ** coreBits(vcpuCount) - 1) << 26)) >>> 0, cache[1], cache[2], cache[3]] : [0, 0, 0, 0];
}

/** L1 data, L1 instruction and L2 as leaf 4 describes them: 64-byte lines, 8 ways; 32, 32 and 512 KiB. */
const CACHES: readonly (readonly [number, number, number, number])[] = [
  [0x121, (7 << 22) | 63, 63, 0],
  [0x122, (7 << 22) | 63, 63, 0],
  [0x143, (7 << 22) | 63, 1023, 0],
];
