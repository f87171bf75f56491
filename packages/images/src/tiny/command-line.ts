/**
 * Kernel parameters of the image `tiny` (Linux, Documentation/admin-guide/kernel-parameters.txt). A caller may append
 * more; `TERM=…` there reaches the guest's shell.
 */
const PARAMETERS: readonly (readonly [parameter: string, why: string])[] = [
  ['console=ttyS0', 'kernel messages go to the serial port; the virtio console, where there is one, is the shell\'s alone'],
  ['quiet', 'each character on a serial port is an exit: only warnings are worth it'],
  ['panic=-1', 'after a panic reboot at once, so that the machine ends instead of standing still'],
  ['reboot=t', 'reboot by triple fault, which needs no keyboard controller and no firmware'],
];

export const TINY_COMMAND_LINE = PARAMETERS.map(([parameter]) => parameter).join(' ');
