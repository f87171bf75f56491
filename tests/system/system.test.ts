import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EXCLUSIONS, type Exclusion } from './exclusions.ts';
import { POLICIES, runEmulated } from './emulated-machine.ts';
import { assembleGuest, assemblerVersion, guestNames } from './guest-image.ts';
import { hasBochs, hasQemu, runBochs, runQemu } from './other-machines.ts';
import type { GuestReport } from './report.ts';

/** Failures that are not excluded, one a line. */
function complaints(report: GuestReport, exclusions: readonly Exclusion[]): string[] {
  const excluded = new Set(exclusions.map(({ test: name }) => name));
  const failed = report.tests.filter(({ name, failures }) => failures.length > 0 && !excluded.has(name));
  const lines = failed.flatMap(({ name, failures }) => failures.map((failure) => `${name}: ${failure}`));
  if (report.ended && !excluded.has(report.tests.at(-1)?.name)) lines.push(`${report.tests.at(-1)?.name ?? 'start'}: ${report.ended}`);
  return lines;
}

function check(report: GuestReport, exclusions: readonly Exclusion[] = []): void {
  assert.ok(report.tests.length > 0, 'the guest reported no test');
  assert.deepEqual(complaints(report, exclusions), []);
}

const noAssembler = assemblerVersion() ? false : 'needs GNU as (package binutils)';

for (const guest of guestNames()) {
  describe(`system guest ${guest}`, { skip: noAssembler }, () => {
    const image = noAssembler ? new Uint8Array(0) : assembleGuest(guest);
    for (const [name, policy] of Object.entries(POLICIES)) test(name, () => check(runEmulated(image, policy)));
    // The outside opinion on the guest's own claims.
    for (const [machine, has, run] of [['qemu', hasQemu, runQemu], ['bochs', hasBochs, runBochs]] as const) {
      const exclusions = EXCLUSIONS.filter((exclusion) => exclusion.machine === machine && exclusion.guest === guest);
      const whole = exclusions.find((exclusion) => exclusion.test === undefined);
      test(machine, { skip: has() ? (whole?.reason ?? false) : `${machine} is not installed` }, () => check(run(image), exclusions));
    }
  });
}
