import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { runInGuest, tinyImage } from './guest.ts';

/** How many processors machines have; a boot each. */
const VCPU_COUNTS = (process.env['HANOK_BOOT_VCPUS'] ?? '2').split(',').map(Number);
const isFull = VCPU_COUNTS.length > 1;
/** What a kernel prints when something is wrong with its processors, clocks or memory. */
const COMPLAINTS = /warning:|oops|bug:|\bstall|unstable|lockup|skew|call trace|firmware bug|unchecked msr|failed to|timed out/i;

/** The messages of a kernel that booted with those flags, and what the command printed before them. */
async function boot(t: TestContext, flags: readonly string[]): Promise<{ first: string; messages: string[] } | undefined> {
  if (!(await tinyImage(t))) return undefined;
  const { output, errors, status } = await runInGuest(flags, ['sh', '-c', 'nproc; dmesg']);
  assert.equal(status, 0, errors);
  const [first, ...messages] = output.trimEnd().split('\n');
  return { first: first!, messages };
}

const complaints = (messages: readonly string[]) => messages.filter((line) => COMPLAINTS.test(line) && !/module verification failed/.test(line));
const says = (messages: readonly string[], what: RegExp) => assert.ok(messages.some((line) => what.test(line)), `no message like ${what}`);

for (const count of VCPU_COUNTS) {
  test(`a stock kernel brings up ${count} processors and finds the paravirtual interface`, { timeout: 300_000 }, async (t) => {
    const booted = await boot(t, ['--cpus', String(count)]);
    if (!booted) return;
    const { first, messages } = booted;
    assert.equal(first, String(count));
    assert.deepEqual(complaints(messages), []);
    says(messages, new RegExp(`smp: Brought up 1 node, ${count} CPU`));
    says(messages, /kvm-clock: Using msrs/);
    if (count === 1) return;
    for (const what of [/PV spinlocks enabled/, /setup PV IPIs/, /KVM setup pv remote TLB flush/, /setup PV sched yield/]) says(messages, what);
  });
}

test('without it the same kernel sees no hypervisor', { timeout: 300_000, skip: !isFull && 'only with HANOK_BOOT_VCPUS=1,2 or more counts' }, async (t) => {
  const booted = await boot(t, ['--no-paravirt']);
  if (!booted) return;
  assert.equal(booted.first, '1');
  assert.deepEqual(complaints(booted.messages), []);
  assert.ok(!booted.messages.some((line) => /kvm|hypervisor/i.test(line)));
});
