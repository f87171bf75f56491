import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, PostedInterrupts } from '@hanok/machine';
import { IA32_APIC_BASE, IA32_TSC_DEADLINE } from './local-apic-registers.ts';
import { LocalApic } from './local-apic.ts';
import type { ApicAddress, IpiMessage } from './local-apic-ipi.ts';

const CRYSTAL_HZ = 25_000_000;
const TSC_HZ = 2_000_000_000;

function setUp(id = 0) {
  const clock = new FakeClock();
  const tsc = { offset: 0n };
  const eois: number[] = [];
  const ipis: IpiMessage[] = [];
  const addresses: (ApicAddress | undefined)[] = [];
  const apic = new LocalApic({
    id,
    bootProcessor: id === 0,
    physicalAddressBits: 40,
    crystalHz: CRYSTAL_HZ,
    tscHz: TSC_HZ,
    nowNs: () => clock.nowNs(),
    tscNow: () => BigInt(clock.nowNs()) * 2n + tsc.offset,
    onEoi: (vector) => eois.push(vector),
    sendIpi: (message) => ipis.push(message),
    onAddress: (address) => addresses.push(address),
  });
  const advance = (deltaNs: number): void => {
    clock.advance(deltaNs);
    apic.tick(clock.nowNs());
  };
  apic.write(0xf0, 0x1ff, 4);
  return { apic, clock, tsc, eois, ipis, addresses, advance };
}

const X2APIC = 0xfee00000n | 0xd00n;

test('identity, version and software enable', () => {
  const { apic } = setUp(3);
  assert.equal(apic.read(0x20, 4), 3 << 24);
  assert.equal(apic.read(0x30, 4), 0x60015);
  apic.write(0xf0, 0xff, 4);
  assert.equal(apic.read(0x350, 4) & 0x10000, 0x10000);
  apic.write(0x350, 0x700, 4);
  assert.equal(apic.read(0x350, 4), 0x10700, 'the mask stays while the APIC is disabled by software');
  apic.accept(0x40, false);
  assert.equal(apic.highestPending(), -1);
});

test('priorities: in-service class and task priority hold back interrupts', () => {
  const { apic } = setUp();
  apic.accept(0x41, false);
  apic.accept(0x52, false);
  assert.equal(apic.highestPending(), 0x52);
  apic.acknowledge(0x52);
  assert.equal(apic.highestPending(), -1);
  assert.equal(apic.read(0xa0, 4), 0x50);
  apic.accept(0x5f, false);
  assert.equal(apic.highestPending(), -1, 'the same class waits');
  apic.accept(0x61, false);
  assert.equal(apic.highestPending(), 0x61);
  apic.writeTaskPriority(6);
  assert.equal(apic.highestPending(), -1);
  assert.equal(apic.read(0x80, 4), 0x60);
  apic.write(0x80, 0x15, 4);
  assert.equal(apic.readTaskPriority(), 1);
  assert.equal(apic.highestPending(), 0x61);
  apic.write(0xb0, 0, 4);
  assert.equal(apic.highestPending(), 0x61);
  apic.acknowledge(0x61);
  assert.equal(apic.read(0x130, 4), 1 << 1);
  apic.write(0xb0, 0, 4);
  assert.equal(apic.highestPending(), 0x5f);
});

test('EOI of a level-triggered interrupt is told to the I/O APIC', () => {
  const { apic, eois } = setUp();
  apic.accept(0x33, true);
  assert.equal(apic.read(0x190, 4), 1 << 19);
  apic.acknowledge(0x33);
  apic.write(0xb0, 0, 4);
  apic.accept(0x33, false);
  apic.acknowledge(0x33);
  apic.write(0xb0, 0, 4);
  apic.write(0xb0, 0, 4);
  assert.deepEqual(eois, [0x33]);
});

test('collects what other threads posted', () => {
  const { apic } = setUp();
  const posted = new PostedInterrupts(new SharedArrayBuffer(PostedInterrupts.sizeBytes));
  posted.post(0x80, false);
  posted.post(0x9f, true);
  posted.postNmi();
  apic.collect(posted);
  assert.equal(apic.highestPending(), 0x9f);
  assert.equal(apic.read(0x1c0, 4), 0x80000000);
  assert.equal(apic.nmiPending, true);
  assert.equal(apic.takeNmi(), true);
  assert.equal(apic.takeNmi(), false);
  apic.collect(posted);
  assert.equal(apic.highestPending(), 0x9f);
});

test('one-shot timer', () => {
  const { apic, advance } = setUp();
  apic.write(0x3e0, 0x3, 4);
  apic.write(0x320, 0xec, 4);
  apic.write(0x380, 1000, 4);
  const countNs = (16 * 1e9) / CRYSTAL_HZ;
  assert.equal(apic.nextDeadlineNs(), 1000 * countNs);
  advance(400 * countNs);
  assert.equal(apic.read(0x390, 4), 600);
  advance(599 * countNs);
  assert.equal(apic.highestPending(), -1);
  advance(countNs);
  assert.equal(apic.highestPending(), 0xec);
  assert.equal(apic.read(0x390, 4), 0);
  assert.equal(apic.nextDeadlineNs(), Infinity);
});

test('periodic timer fires once however late, and keeps its rhythm', () => {
  const { apic, advance } = setUp();
  apic.write(0x3e0, 0xb, 4);
  apic.write(0x320, 0x200ec, 4);
  apic.write(0x380, 25, 4);
  advance(3500);
  assert.equal(apic.highestPending(), 0xec);
  assert.equal(apic.nextDeadlineNs(), 4000);
  apic.acknowledge(0xec);
  apic.write(0xb0, 0, 4);
  assert.equal(apic.highestPending(), -1);
  apic.write(0x320, 0x300ec, 4);
  assert.equal(apic.nextDeadlineNs(), Infinity, 'masked');
  advance(10_000);
  apic.write(0x320, 0x200ec, 4);
  assert.equal(apic.highestPending(), -1, 'what expired while masked is gone');
  assert.equal(apic.nextDeadlineNs(), 14_000);
  apic.write(0x380, 0, 4);
  assert.equal(apic.nextDeadlineNs(), Infinity);
});

test('TSC-deadline timer', () => {
  const { apic, advance, tsc, clock } = setUp();
  assert.equal(apic.writeMsr(IA32_TSC_DEADLINE, 100n), 'done');
  assert.equal(apic.readMsr(IA32_TSC_DEADLINE), 0n, 'ignored in the other modes');
  apic.write(0x320, 0x400ec, 4);
  apic.write(0x380, 5, 4);
  assert.equal(apic.read(0x380, 4), 0);
  apic.writeMsr(IA32_TSC_DEADLINE, 2_000_000n);
  assert.equal(apic.nextDeadlineNs(), 1_000_000);
  advance(999_999);
  assert.equal(apic.readMsr(IA32_TSC_DEADLINE), 2_000_000n);
  assert.equal(apic.highestPending(), -1);
  advance(1);
  assert.equal(apic.highestPending(), 0xec);
  assert.equal(apic.readMsr(IA32_TSC_DEADLINE), 0n);
  apic.acknowledge(0xec);
  apic.write(0xb0, 0, 4);
  apic.writeMsr(IA32_TSC_DEADLINE, 1n);
  assert.equal(apic.highestPending(), 0xec, 'a moment that has passed fires at once');
  apic.acknowledge(0xec);
  apic.write(0xb0, 0, 4);
  apic.writeMsr(IA32_TSC_DEADLINE, 4_000_000n);
  tsc.offset = 1_000_000n;
  apic.tscChanged();
  assert.equal(apic.nextDeadlineNs(), clock.nowNs() + 500_000);
  apic.writeMsr(IA32_TSC_DEADLINE, 0xffff_ffff_ffff_ffffn);
  assert.ok(apic.nextDeadlineNs() > 1e18);
  apic.writeMsr(IA32_TSC_DEADLINE, 0n);
  assert.equal(apic.nextDeadlineNs(), Infinity);
});

test('interrupt commands', () => {
  const { apic, ipis } = setUp(1);
  apic.write(0x310, 1 << 24, 4);
  apic.write(0x300, 0x40, 4);
  assert.equal(apic.highestPending(), 0x40);
  assert.equal(ipis.length, 0);
  apic.write(0x310, 2 << 24, 4);
  apic.write(0x300, 0x45, 4);
  assert.deepEqual(ipis.pop(), { mode: 0, vector: 0x45, shorthand: 'none', destination: 2, logical: false });
  apic.write(0x300, 0xc4500, 4);
  assert.deepEqual(ipis.pop(), { mode: 5, vector: 0, shorthand: 'others', destination: 2, logical: false });
  apic.write(0x300, 0x8500, 4);
  assert.equal(ipis.length, 0, 'INIT level de-assert');
  apic.write(0x300, 0x4608, 4);
  assert.deepEqual(ipis.pop(), { mode: 6, vector: 8, shorthand: 'none', destination: 2, logical: false });
  apic.write(0x300, 0x80400, 4);
  assert.equal(apic.takeNmi(), true);
  assert.equal(ipis.pop()?.shorthand, 'others');
  apic.write(0x300, 0x40050, 4);
  assert.equal(apic.highestPending(), 0x50);
  assert.equal(ipis.length, 0);
});

test('errors: illegal vectors and registers show in the ESR after a write, and in the error LVT', () => {
  const { apic } = setUp();
  apic.write(0x370, 0xfe, 4);
  apic.write(0x300, 0x40005, 4);
  assert.equal(apic.highestPending(), 0xfe);
  assert.equal(apic.read(0x280, 4), 0);
  apic.write(0x280, 0, 4);
  assert.equal(apic.read(0x280, 4), 0x20);
  assert.equal(apic.read(0x000, 4), 0);
  apic.accept(3, false);
  apic.write(0x280, 0, 4);
  assert.equal(apic.read(0x280, 4), 0xc0);
});

test('IA32_APIC_BASE: the legal transitions and no others', () => {
  const { apic } = setUp();
  assert.equal(apic.readMsr(IA32_APIC_BASE), 0xfee00900n);
  assert.equal(apic.pageAddress, 0xfee00000);
  assert.equal(apic.writeMsr(IA32_APIC_BASE, 0xfee00500n), 'fault', 'x2APIC without enable');
  assert.equal(apic.writeMsr(IA32_APIC_BASE, 0xfee00901n), 'fault', 'reserved bit');
  assert.equal(apic.writeMsr(IA32_APIC_BASE, (1n << 40n) | 0xfee00900n), 'fault', 'beyond the physical address width');
  assert.equal(apic.readMsr(0x802), 'fault', 'x2APIC register in xAPIC mode');
  assert.equal(apic.writeMsr(IA32_APIC_BASE, X2APIC), 'done');
  assert.equal(apic.pageAddress, -1);
  assert.equal(apic.read(0x20, 4), 0xffffffff);
  assert.equal(apic.writeMsr(IA32_APIC_BASE, 0xfee00900n), 'fault', 'x2APIC to xAPIC');
  assert.equal(apic.writeMsr(IA32_APIC_BASE, 0xfee00100n), 'done');
  assert.equal(apic.enabled, false);
  assert.equal(apic.writeMsr(IA32_APIC_BASE, X2APIC), 'fault', 'disabled to x2APIC');
  assert.equal(apic.writeMsr(IA32_APIC_BASE, 0xfed00900n), 'done');
  assert.equal(apic.pageAddress, 0xfed00000);
  assert.equal(apic.readMsr(0x10), undefined);
});

test('x2APIC registers', () => {
  const { apic, ipis } = setUp(0x25);
  apic.writeMsr(IA32_APIC_BASE, 0xfee00c00n);
  assert.equal(apic.readMsr(0x802), 0x25n);
  assert.equal(apic.readMsr(0x80d), 0x20020n);
  assert.equal(apic.writeMsr(0x80d, 0n), 'fault');
  assert.equal(apic.writeMsr(0x802, 0n), 'fault');
  assert.equal(apic.readMsr(0x80b), 'fault');
  assert.equal(apic.writeMsr(0x80b, 1n), 'fault');
  assert.equal(apic.writeMsr(0x80b, 0n), 'done');
  assert.equal(apic.readMsr(0x80e), 'fault', 'no DFR');
  assert.equal(apic.readMsr(0x831), 'fault', 'no high half of the ICR');
  assert.equal(apic.readMsr(0x8ff), 'fault');
  assert.equal(apic.writeMsr(0x808, 0x100n), 'fault');
  assert.equal(apic.writeMsr(0x808, 1n << 32n), 'fault');
  assert.equal(apic.writeMsr(0x80f, 0x1ffn), 'done');
  assert.equal(apic.writeMsr(0x80f, 0x11ffn), 'fault', 'no suppression of EOI broadcasts');
  assert.equal(apic.writeMsr(0x83f, 0x77n), 'done');
  assert.equal(apic.highestPending(), 0x77);
  assert.equal(apic.writeMsr(0x830, (7n << 32n) | 0x41n), 'done');
  assert.deepEqual(ipis.pop(), { mode: 0, vector: 0x41, shorthand: 'none', destination: 7, logical: false });
  assert.equal(apic.readMsr(0x830), (7n << 32n) | 0x41n);
  assert.equal(apic.writeMsr(0x830, (0x2002fn << 32n) | 0x881n), 'done');
  assert.equal(apic.highestPending(), 0x81, 'logical: cluster 2, members 0 to 3 and 5');
  assert.equal(ipis.length, 1);
  assert.equal(apic.accepts(0x10020, true), false);
  assert.equal(apic.accepts(0xffffffff, false), true);
});

test('logical destinations of the xAPIC', () => {
  const { apic } = setUp(2);
  apic.write(0xd0, 0x04000000, 4);
  assert.equal(apic.accepts(0x06, true), true);
  assert.equal(apic.accepts(0x03, true), false);
  assert.equal(apic.accepts(0xff, false), true);
  apic.write(0xe0, 0, 4);
  apic.write(0xd0, 0x34000000, 4);
  assert.equal(apic.accepts(0x3c, true), true);
  assert.equal(apic.accepts(0x4c, true), false);
  assert.equal(apic.accepts(0xf4, true), true);
});

test('local pins', () => {
  const { apic } = setUp();
  apic.setLint(1, true);
  assert.equal(apic.takeNmi(), false, 'masked after reset');
  apic.setLint(1, false);
  apic.write(0x360, 0x400, 4);
  apic.setLint(1, true);
  assert.equal(apic.takeNmi(), true);
  apic.setLint(1, true);
  assert.equal(apic.takeNmi(), false, 'only the edge counts');
  apic.write(0x350, 0x31, 4);
  apic.setLint(0, true);
  assert.equal(apic.highestPending(), 0x31);
});

test('INIT keeps the mode and clears the rest', () => {
  const { apic } = setUp(5);
  apic.writeMsr(IA32_APIC_BASE, 0xfee00c00n);
  apic.accept(0x99, false);
  apic.init();
  assert.equal(apic.highestPending(), -1);
  assert.equal(apic.readMsr(0x80f), 0xffn);
  assert.equal(apic.readMsr(0x80d), 0x20n);
});

test('save and restore', () => {
  const { apic, advance } = setUp();
  apic.write(0x320, 0x400ec, 4);
  apic.writeMsr(IA32_TSC_DEADLINE, 5_000_000n);
  apic.accept(0x55, true);
  apic.acknowledge(0x55);
  apic.accept(0x66, false);
  advance(1000);
  const state = JSON.parse(JSON.stringify(apic.save()));
  const other = setUp();
  other.clock.advance(1000);
  other.apic.restore(state);
  assert.deepEqual(other.apic.save(), apic.save());
  assert.equal(other.apic.highestPending(), 0x66);
  assert.equal(other.apic.nextDeadlineNs(), 2_500_000);
  const bad: [string, unknown][] = [
    ['version', 2],
    ['base', '0xfee00400'],
    ['base', 'x'],
    ['irr', [1, 0, 0, 0, 0, 0, 0, 0]],
    ['lvt', [1]],
    ['svr', 1e9],
    ['nmi', 1],
    ['timerRemainingNs', Number.NaN],
    ['taskPriority', -1],
  ];
  for (const [field, value] of bad) assert.throws(() => other.apic.restore({ ...state, [field]: value }), /local-apic-0/, field);
  assert.deepEqual(other.apic.save(), apic.save(), 'a refused state changes nothing');
});

test('tells how it can be addressed whenever that changes', () => {
  const { apic, addresses } = setUp(2);
  assert.deepEqual(addresses.at(-1), { x2apic: false, id: 2, logicalDestination: 0, destinationFormat: 0xffffffff });
  apic.write(0xd0, 0x04000000, 4);
  assert.equal(addresses.at(-1)!.logicalDestination, 0x04000000);
  apic.write(0xe0, 0x0fffffff, 4);
  assert.equal(addresses.at(-1)!.destinationFormat, 0x0fffffff);
  apic.writeMsr(IA32_APIC_BASE, X2APIC & ~0x100n);
  assert.deepEqual([addresses.at(-1)!.x2apic, addresses.at(-1)!.logicalDestination], [true, 1 << 2]);
  apic.writeMsr(IA32_APIC_BASE, 0xfee00000n);
  assert.equal(addresses.at(-1), undefined);
});

test('says what is requested and in service, and ends it', () => {
  const { apic, eois } = setUp();
  apic.accept(0x51, true);
  apic.accept(0x41, false);
  assert.equal(apic.hasRequests, true);
  apic.acknowledge(0x51);
  assert.deepEqual([apic.inServiceCount, apic.servesLevel], [1, true]);
  apic.endOfInterrupt();
  assert.deepEqual(eois, [0x51]);
  apic.acknowledge(0x41);
  assert.deepEqual([apic.hasRequests, apic.inServiceCount, apic.servesLevel], [false, 1, false]);
});
