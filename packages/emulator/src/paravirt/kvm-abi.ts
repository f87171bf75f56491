/**
 * The interface that KVM offers its guests (Linux, Documentation/virt/kvm/x86: cpuid.rst, msr.rst, hypercalls.rst).
 * Numbers and field places are theirs.
 */
export const KVM_LEAF_FIRST = 0x40000000;
export const KVM_LEAF_LAST = 0x400000ff;
const SIGNATURE = 'KVMKVMKVM\0\0\0';

/** Bits of leaf 0x40000001, EAX. */
const FEATURE = {
  CLOCKSOURCE: 0, NOP_IO_DELAY: 1, CLOCKSOURCE2: 3, STEAL_TIME: 5, PV_EOI: 6, PV_UNHALT: 7, PV_TLB_FLUSH: 9, PV_SEND_IPI: 11, PV_SCHED_YIELD: 13,
  CLOCKSOURCE_STABLE_BIT: 24,
} as const;

export const KVM_MSR = {
  WALL_CLOCK: 0x11, SYSTEM_TIME: 0x12, WALL_CLOCK_NEW: 0x4b564d00, SYSTEM_TIME_NEW: 0x4b564d01, STEAL_TIME: 0x4b564d03, PV_EOI_EN: 0x4b564d04,
} as const;

export const KVM_HC = { KICK_CPU: 5, CLOCK_PAIRING: 9, SEND_IPI: 10, SCHED_YIELD: 11 } as const;

/** Errors of hypercalls, negative as Linux returns them. */
export const KVM_ERROR = { ENOSYS: -1000n, EOPNOTSUPP: -95n, EFAULT: -14n, EPERM: -1n, EINVAL: -22n } as const;

/** Leaf 1, ECX: there is a hypervisor. */
export const HYPERVISOR_BIT = 1 << 31;

/** Registers EAX, EBX, ECX, EDX of a hypervisor leaf. */
export function kvmCpuid(leaf: number): readonly [number, number, number, number] {
  const word = (at: number) => [0, 1, 2, 3].reduce((sum, byte) => (sum | (SIGNATURE.charCodeAt(at + byte) << (byte * 8))) >>> 0, 0);
  if (leaf === KVM_LEAF_FIRST) return [KVM_LEAF_FIRST + 1, word(0), word(4), word(8)];
  if (leaf === KVM_LEAF_FIRST + 1) return [Object.values(FEATURE).reduce<number>((sum, bit) => (sum | (1 << bit)) >>> 0, 0), 0, 0, 0];
  return [0, 0, 0, 0];
}
