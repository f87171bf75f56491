import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeliveryMode, PostedInterrupts } from '@hanok/machine';
import { InterruptRouter } from './interrupt-router.ts';

const VCPUS = 4;
const FLAT = 0xffffffff;
const CLUSTER = 0x0fffffff;

function create(x2apic = false, destinationFormat = FLAT) {
  const posted = Array.from({ length: VCPUS }, () => new PostedInterrupts(new SharedArrayBuffer(PostedInterrupts.sizeBytes)));
  const router = new InterruptRouter(new SharedArrayBuffer(InterruptRouter.sizeBytes(VCPUS)), posted);
  for (let id = 0; id < VCPUS; id++) {
    const logicalDestination = x2apic ? 1 << id : destinationFormat === FLAT ? (1 << (24 + id)) >>> 0 : ((((id >> 1) << 4) | (1 << (id & 1))) << 24) >>> 0;
    router.publish(id, { x2apic, id, logicalDestination, destinationFormat });
  }
  /** Which vCPUs got vector 0x41. */
  const got = () => posted.flatMap((one, vcpu) => (one.take(2).requests & 2 ? [vcpu] : []));
  return { router, posted, got };
}

const ipi = { mode: DeliveryMode.Fixed, vector: 0x41, shorthand: 'none', destination: 0, logical: false } as const;
const msi = (destination: number, flags = 0) => 0xfee00000 | (destination << 12) | flags;
const LOGICAL = 4;
const REDIRECT = 8;

test('IPIs reach physical and logical destinations, but not their sender', () => {
  const { router, got } = create();
  router.send({ ...ipi, destination: 2 }, 0);
  assert.deepEqual(got(), [2]);
  router.send({ ...ipi, destination: 0xff }, 1);
  assert.deepEqual(got(), [0, 2, 3]);
  router.send({ ...ipi, destination: 0b1011, logical: true }, 0);
  assert.deepEqual(got(), [1, 3]);
  router.send({ ...ipi, shorthand: 'others' }, 3);
  assert.deepEqual(got(), [0, 1, 2]);
});

test('IPIs reach cluster and x2APIC destinations', () => {
  const cluster = create(false, CLUSTER);
  cluster.router.send({ ...ipi, destination: 0x13, logical: true }, 0);
  assert.deepEqual(cluster.got(), [2, 3]);
  const x2apic = create(true);
  x2apic.router.send({ ...ipi, destination: 0xffffffff }, 0);
  assert.deepEqual(x2apic.got(), [1, 2, 3]);
  x2apic.router.send({ ...ipi, destination: 0b0110, logical: true }, 0);
  assert.deepEqual(x2apic.got(), [1, 2]);
});

test('INIT and start-up IPIs also reach the sender; NMIs are no vectors', () => {
  const { router, posted } = create();
  router.send({ ...ipi, mode: DeliveryMode.Init, destination: 1 }, 1);
  assert.equal(posted[1]!.takeInit(), true);
  router.send({ ...ipi, mode: DeliveryMode.Startup, vector: 0x9a, destination: 3 }, 0);
  assert.equal(posted[3]!.takeStartup(), 0x9a);
  router.send({ ...ipi, mode: DeliveryMode.Nmi, shorthand: 'others' }, 0);
  assert.deepEqual(posted.map((one) => one.takeNmi()), [false, true, true, true]);
});

test('message-signalled interrupts: broadcast, logical sets, one of several', () => {
  for (const x2apic of [false, true]) {
    const { router, got } = create(x2apic);
    router.sendMsi(msi(0xff), 0x41);
    assert.deepEqual(got(), [0, 1, 2, 3]);
    router.sendMsi(msi(0b0101, LOGICAL), 0x41);
    assert.deepEqual(got(), [0, 2]);
    const chosen = [0, 1, 2, 3].map(() => {
      router.sendMsi(msi(0b1010, LOGICAL | REDIRECT), 0x41);
      return got();
    });
    assert.deepEqual(chosen, [[1], [3], [1], [3]]);
    router.sendMsi(msi(2), 0x41 | (DeliveryMode.Nmi << 8));
    assert.deepEqual(got(), []);
  }
});

test('disabled and absent local APICs get nothing', () => {
  const { router, got } = create();
  router.publish(2, undefined);
  router.sendMsi(msi(0xff), 0x41);
  assert.deepEqual(got(), [0, 1, 3]);
  router.send({ ...ipi, destination: 9 }, 0);
  assert.deepEqual(got(), []);
});
