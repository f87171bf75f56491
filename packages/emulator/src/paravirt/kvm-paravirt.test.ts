import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestMemory } from '@hanok/machine';
import { TimeStamp } from '../time-stamp.ts';
import { KVM_HC, KVM_MSR, kvmCpuid } from './kvm-abi.ts';
import { clockScale } from './kvm-clock.ts';
import type { EoiTarget } from './kvm-eoi.ts';
import { KvmParavirt, type ParavirtHost } from './kvm-paravirt.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
const WALL_NS = 1_700_000_000_250_000_000;

function create(tscHz = 1_000_000_000) {
  const time = { nowNs: 0, stolenNs: 0 };
  const calls: unknown[] = [];
  const memory = new GuestMemory(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }), 0, 65536);
  const host: ParavirtHost = {
    nowNs: () => time.nowNs,
    wallStartNs: () => WALL_NS,
    stolenNs: () => time.stolenNs,
    sendIpi: (...call) => calls.push(call) && call[0].length,
    kick: (vcpu) => vcpu < 2,
    yield: () => void calls.push('yield'),
  };
  const timeStamp = new TimeStamp(() => time.nowNs, tscHz);
  const apic: Mutable<EoiTarget> & { ended: number } = { hasRequests: false, inServiceCount: 1, servesLevel: false, ended: 0, endOfInterrupt: () => void apic.ended++ };
  return { time, calls, memory, timeStamp, apic, paravirt: new KvmParavirt(memory, timeStamp, tscHz, apic, host) };
}

/** What a guest computes from a clock record at a count of its time-stamp counter. */
function guestTime(memory: GuestMemory, at: number, tsc: bigint): bigint {
  const shift = (memory.slice(at + 28, 1)![0]! << 24) >> 24;
  const delta = BigInt.asUintN(64, tsc - memory.readU64(at + 8)!);
  const scaled = shift < 0 ? delta >> BigInt(-shift) : delta << BigInt(shift);
  return memory.readU64(at + 16)! + ((scaled * BigInt(memory.readU32(at + 24)!)) >> 32n);
}

test('the signature and the features of CPUID', () => {
  const [max, ...name] = kvmCpuid(0x40000000);
  assert.equal(max, 0x40000001);
  assert.equal(Buffer.from(Uint32Array.from(name).buffer).toString('latin1'), 'KVMKVMKVM\0\0\0');
  const [features] = kvmCpuid(0x40000001);
  for (const bit of [0, 3, 5, 6, 7, 9, 11, 13, 24]) assert.ok(features! & (1 << bit), `feature ${bit}`);
  assert.equal(features! & (1 << 4), 0, 'no asynchronous page faults');
});

test('the clock counts machine time at any frequency, also after the guest moved its counter', () => {
  for (const tscHz of [1_000_000_000, 24_000_000, 2_100_000_000, 3_999_999_999]) {
    const { time, memory, timeStamp, paravirt } = create(tscHz);
    time.nowNs = 5_000_000_000;
    assert.equal(paravirt.writeMsr(KVM_MSR.SYSTEM_TIME_NEW, 0x1001n), true);
    assert.equal(memory.slice(0x1000 + 29, 1)![0], 1, 'stable');
    const isNear = () => {
      const error = guestTime(memory, 0x1000, timeStamp.read()) - BigInt(time.nowNs);
      assert.ok(error > -1000n && error < 1000n, `${tscHz} Hz: off by ${error} ns`);
    };
    isNear();
    time.nowNs = 3_600_000_000_000;
    isNear();
    const version = memory.readU32(0x1000)!;
    timeStamp.write(77n);
    paravirt.tscChanged();
    isNear();
    assert.equal(memory.readU32(0x1000)! & 1, 0);
    assert.ok(memory.readU32(0x1000)! > version);
  }
  assert.deepEqual(clockScale(1_000_000_000), { multiplier: 0x80000000, shift: 1 });
});

test('wall-clock time of the beginning', () => {
  const { memory, paravirt } = create();
  paravirt.writeMsr(KVM_MSR.WALL_CLOCK_NEW, 0x2000n);
  assert.equal(memory.readU32(0x2004), 1_700_000_000);
  // Nanoseconds since 1970 are more than a number of JavaScript holds exactly.
  assert.ok(Math.abs(memory.readU32(0x2008)! - 250_000_000) < 1000);
});

test('wall-clock time and time-stamp counter of one moment', () => {
  const { time, memory, timeStamp, paravirt } = create();
  time.nowNs = 3_000_000_000;
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.CLOCK_PAIRING), [0x5000n, 0n, 0n, 0n]), 0n);
  assert.equal(memory.readU64(0x5000), 1_700_000_003n);
  assert.equal(memory.readU64(0x5010), timeStamp.read());
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.CLOCK_PAIRING), [0x5000n, 1n, 0n, 0n]), -95n);
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.CLOCK_PAIRING), [0xfff0n, 0n, 0n, 0n]), -14n);
});

test('stolen time adds up; a sleeping vCPU can be asked to flush its TLB', () => {
  const { time, memory, paravirt } = create();
  const { steal } = paravirt;
  assert.equal(paravirt.writeMsr(KVM_MSR.STEAL_TIME, 0x3003n), false, 'reserved bits');
  assert.equal(paravirt.writeMsr(KVM_MSR.STEAL_TIME, 0x3001n), true);
  time.stolenNs = 7_000_000;
  steal.update(10_000_000);
  assert.equal(memory.readU64(0x3000), 7_000_000n);
  steal.update(10_000_001);
  assert.equal(memory.readU32(0x3008)! & 1, 0);
  steal.sleep();
  assert.equal(memory.slice(0x3010, 1)![0], 1);
  memory.slice(0x3010, 1)![0]! |= 2;
  assert.equal(steal.wake(), true);
  assert.equal(steal.wake(), false);
  assert.equal(memory.slice(0x3010, 1)![0], 0);
});

test('an end of interrupt without an exit is offered only while nothing else waits', () => {
  const { memory, apic, paravirt } = create();
  const { eoi } = paravirt;
  const flag = memory.slice(0x4000, 1)!;
  paravirt.writeMsr(KVM_MSR.PV_EOI_EN, 0x4001n);
  for (const [key, value] of [['hasRequests', true], ['inServiceCount', 2], ['servesLevel', true]] as const) {
    const before = { ...apic };
    Object.assign(apic, { [key]: value });
    eoi.offer();
    assert.equal(flag[0], 0, key);
    Object.assign(apic, before);
  }
  eoi.offer();
  assert.equal(flag[0], 1);
  eoi.collect();
  assert.equal(flag[0], 1, 'still open');
  flag[0] = 0;
  eoi.collect();
  assert.equal(apic.ended, 1);
  eoi.offer();
  apic.hasRequests = true;
  eoi.collect();
  assert.equal(flag[0], 0, 'taken back');
  eoi.collect();
  assert.equal(apic.ended, 1);
});

test('a guest that ends the offers keeps what it used of them', () => {
  const { memory, apic, paravirt } = create();
  paravirt.writeMsr(KVM_MSR.PV_EOI_EN, 0x4001n);
  paravirt.eoi.offer();
  memory.slice(0x4000, 1)![0] = 0;
  paravirt.writeMsr(KVM_MSR.PV_EOI_EN, 0n);
  assert.equal(apic.ended, 1);
});

test('hypercalls', () => {
  const { calls, paravirt } = create();
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.SEND_IPI), [0b101n, 1n, 2n, 0x41n]), 3n);
  assert.deepEqual(calls.pop(), [[2, 4, 66], 0, 0x41]);
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.SEND_IPI), [1n, 0n, 0n, 0x541n]), -22n, 'INIT is none of its modes');
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.KICK_CPU), [0n, 1n, 0n, 0n]), 0n);
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.KICK_CPU), [0n, ~0n & 0xffffffffn, 0n, 0n]), -22n);
  assert.equal(paravirt.hypercall(BigInt(KVM_HC.SCHED_YIELD), [1n, 0n, 0n, 0n]), 0n);
  assert.deepEqual(calls, ['yield']);
  assert.equal(paravirt.hypercall(99n, [0n, 0n, 0n, 0n]), -1000n);
});

test('addresses outside RAM are ignored', () => {
  const { paravirt } = create();
  for (const number of [KVM_MSR.SYSTEM_TIME_NEW, KVM_MSR.WALL_CLOCK_NEW, KVM_MSR.STEAL_TIME, KVM_MSR.PV_EOI_EN]) {
    for (const value of [0xffff_ffff_ffff_ffc1n, 0x1_0001n, 0xffc1n]) paravirt.writeMsr(number, value);
  }
  paravirt.steal.update(1e9);
  paravirt.steal.sleep();
  paravirt.steal.wake();
});
