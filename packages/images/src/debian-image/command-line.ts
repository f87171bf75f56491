import { TINY_COMMAND_LINE } from '../tiny/command-line.ts';

/** Kernel parameters of the image `debian`: those that `tiny` has for the same machine, and these. */
const PARAMETERS: readonly (readonly [parameter: string, why: string])[] = [
  ['root=/dev/vda', 'the file system is the whole disk'],
  ['ro', 'fsck looks at it first, as everywhere'],
  ['systemd.show_status=1', 'a boot takes long enough that its owner wants to see it move'],
];

export const DEBIAN_COMMAND_LINE = [TINY_COMMAND_LINE, ...PARAMETERS.map(([parameter]) => parameter)].join(' ');
