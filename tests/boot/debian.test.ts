import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageFor, runInImage } from './guest.ts';

/** Making an image takes minutes and the network, so it is done where that is asked for. */
const IMAGES = (process.env['HANOK_BOOT_DEBIAN'] ?? '').split(',').filter(Boolean);
/** A Debian with more of them takes long where there are few processors. */
const VCPU_COUNTS = (process.env['HANOK_BOOT_VCPUS'] ?? '1').split(',').map(Number).filter((count) => count <= 4);
const TIMEOUT_MS = 1_800_000;

/** What a system in good order has to say, each with the command that says it. */
const CHECKS: readonly (readonly [command: string, expected: RegExp])[] = [
  ['systemctl is-system-running --wait', /^running$/],
  ['systemctl --failed --no-legend --plain', /^$/],
  ['dpkg --audit', /^$/],
  ['dpkg --verify', /^$/],
  ['apt-get check -qq', /^$/],
  ['dpkg-query --list | tail -n +6 | cut -c 1-2 | sort -u', /^ii$/],
  ['stat --format "%a %U:%G" /usr/bin/su /usr/bin/chage /tmp /etc/shadow', /^4755 root:root\n2755 root:shadow\n1777 root:root\n640 root:shadow$/],
  ['findmnt --noheadings --output SOURCE,FSTYPE /', /^\/dev\/vda +ext4$/],
  ['systemctl is-active ssh.service', /^active$/],
  // chrony goes by the host's clock ("PHC0") and is within 50 ms of it.
  ['chronyc waitsync 30 0.05 0 1', /refid: 50484330, correction: 0\.0[0-4]/],
  ['dmesg --kernel --level emerg,alert,crit,err', /^$/],
];

for (const image of ['debian', 'debian:trixie']) {
  const skip = !IMAGES.includes(image) && `only with HANOK_BOOT_DEBIAN=${image}`;
  test(`the image ${image} is a Debian in good order`, { timeout: TIMEOUT_MS, skip }, async (t) => {
    if (!(await imageFor(t, image))) return;
    for (const count of VCPU_COUNTS)
      await t.test(`with ${count} vCPUs`, async (t) => {
        const checks = [...CHECKS, ['nproc', new RegExp(`^${count}$`)]] as const;
        const script = checks.map(([command]) => `${command}; echo ---`).join('\n');
        const { output, errors, status } = await runInImage(t, image, ['--cpus', `${count}`], ['sh', '-c', `${script}\nexit 7`]);
        assert.equal(status, 7, errors);
        const answers = output.split('---\n').map((answer) => answer.trim());
        for (const [index, [command, expected]] of checks.entries()) assert.match(answers[index]!, expected, command);
      });
  });
}
