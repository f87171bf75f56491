/** A failure that the user can mend: its message names the thing that failed and what to do. */
export class ImageError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ImageError';
  }
}

/** The `code` of a Node system error, or an empty string. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : '';
}

/** True when `error` came out of an `AbortSignal`. */
export function isAbort(error: unknown, signal?: AbortSignal): boolean {
  return signal?.aborted === true || (error instanceof Error && error.name === 'AbortError');
}

/** What a person reads of an unknown thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

const CACHE_MEND = 'or set HANOK_CACHE to a directory elsewhere';

/** Turns a file system error below the cache directory into an `ImageError`; other errors come back unchanged. */
export function cacheError(error: unknown, path: string): unknown {
  switch (systemCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ImageError(`no space left to write ${path}: free some, ${CACHE_MEND}`, error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ImageError(`cannot write ${path}: permission denied or read-only; make it writable, ${CACHE_MEND}`, error);
    case 'ENOTDIR':
    case 'EEXIST':
      return new ImageError(`cannot use ${path}: a file is where a directory should be; remove it, ${CACHE_MEND}`, error);
    case 'EIO':
      return new ImageError(`input/output error at ${path}: check the disk, ${CACHE_MEND}`, error);
    default:
      return error;
  }
}
