/**
 * Kernel parameters of the image `tiny` (Linux, Documentation/admin-guide/kernel-parameters.txt), each with its reason.
 * A caller may append more; `TERM=…` there reaches the guest's shell.
 */
const PARAMETERS: readonly (readonly [parameter: string, why: string])[] = [
  ['console=ttyS0', "kernel messages go to the serial port; the virtio console, where there is one, is the shell's alone"],
  ['quiet', 'each character on a serial port is an exit: only warnings are worth it'],
  ['panic=-1', 'after a panic reboot at once, so that the machine ends instead of standing still'],
  ['reboot=t', 'reboot by triple fault, which needs no keyboard controller and no firmware'],
  ['cryptomgr.notests', 'the self-tests of the ciphers are 0.9 of the 1.7 thousand million instructions of a boot'],
  ['mitigations=off', 'an emulated CPU does not speculate, and under KVM the host keeps machines apart; inside there is only root'],
  ['no_timer_check', 'the check of the timer interrupt may fail when the host is busy, and then panics'],
  ['8250.nr_uarts=1', 'looks for one serial port instead of four'],
];

export const TINY_COMMAND_LINE = PARAMETERS.map(([parameter]) => parameter).join(' ');
