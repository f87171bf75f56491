/** What a user can mend: a file that is no kernel, too little memory, a command line too long. */
export class BootError extends Error {
  override readonly name = 'BootError';
}

export const mebibytes = (sizeBytes: number): string => `${Math.ceil(sizeBytes / 0x100000)} MiB`;
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
