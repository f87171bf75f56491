import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { complaints, imageFor, runInImage } from './guest.ts';

const counts = (list: string) => list.split(',').filter(Boolean).map(Number);
/** How many processors machines have; a boot each. */
const VCPU_COUNTS = counts(process.env['HANOK_BOOT_VCPUS'] ?? '2');
/** The same for all kernels but the usual one. */
const OTHER_VCPU_COUNTS = counts(process.env['HANOK_BOOT_OTHER_VCPUS'] ?? '');
const isFull = VCPU_COUNTS.length > 1;
const TIMEOUT_MS = 600_000;

const PARAVIRT = [/kvm-clock: Using msrs/];
const PARAVIRT_SMP = [/PV spinlocks enabled/, /setup PV IPIs/, /KVM setup pv remote TLB flush/, /setup PV sched yield/];

/** Each image, its kernel's name and what its processor is called. */
const KERNELS: readonly (readonly [image: string, release: RegExp, processor: string])[] = [
  ['tiny', /^6\.1\.\d.*-cloud-amd64$/, 'x86_64'],
  ['tiny:generic', /^6\.1\.\d.*\d-amd64$/, 'x86_64'],
  ['tiny:trixie', /^6\.12\.\d.*-cloud-amd64$/, 'x86_64'],
  ['tiny:trixie-generic', /^6\.12\.\d.*-amd64$/, 'x86_64'],
  ['tiny:i386', /^6\.1\.\d.*-686$/, 'i686'],
  ['tiny:i386-pae', /^6\.1\.\d.*-686-pae$/, 'i686'],
];

interface Booted {
  /** Processors, the kernel's release, and what the processor is called. */
  readonly facts: readonly string[];
  /** The kernel's. */
  readonly messages: readonly string[];
}

async function boot(t: TestContext, image: string, flags: readonly string[]): Promise<Booted | undefined> {
  if (!(await imageFor(t, image))) return undefined;
  const { output, errors, status } = await runInImage(t, image, flags, ['sh', '-c', 'nproc; uname -r; uname -m; dmesg']);
  assert.equal(status, 0, errors);
  const lines = output.trimEnd().split('\n');
  return { facts: lines.slice(0, 3), messages: lines.slice(3) };
}

const says = (messages: readonly string[], what: RegExp) => assert.ok(messages.some((line) => what.test(line)), `no message like ${what}`);

for (const [image, release, processor] of KERNELS) {
  for (const count of image === 'tiny' ? VCPU_COUNTS : OTHER_VCPU_COUNTS) {
    test(`the stock kernel of ${image} brings up ${count} processors and finds the paravirtual interface`, { timeout: TIMEOUT_MS }, async (t) => {
      const booted = await boot(t, image, ['--cpus', String(count)]);
      if (!booted) return;
      const { facts, messages } = booted;
      assert.equal(facts[0], String(count));
      assert.match(facts[1]!, release);
      assert.equal(facts[2], processor);
      assert.deepEqual(complaints(messages), []);
      for (const what of count === 1 ? PARAVIRT : [...PARAVIRT, ...PARAVIRT_SMP, new RegExp(`smp: Brought up 1 node, ${count} CPU`)]) says(messages, what);
    });
  }
}

test('without it the same kernel sees no hypervisor', { timeout: TIMEOUT_MS, skip: !isFull && 'only with HANOK_BOOT_VCPUS=1,2 or more counts' }, async (t) => {
  const booted = await boot(t, 'tiny', ['--no-paravirt']);
  if (!booted) return;
  assert.equal(booted.facts[0], '1');
  assert.deepEqual(complaints(booted.messages), []);
  assert.ok(!booted.messages.some((line) => /kvm|hypervisor/i.test(line)));
});
