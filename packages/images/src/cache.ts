import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { cacheError, systemCode } from './image-error.ts';

export type NoticeListener = (message: string) => void;

/** Lower-case hexadecimal SHA-256. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** `HANOK_CACHE`, else `hanok` below `XDG_CACHE_HOME`, else `~/.cache/hanok`. */
export function defaultCacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['HANOK_CACHE']) return resolve(environment['HANOK_CACHE']);
  const base = environment['XDG_CACHE_HOME'];
  // The XDG base directory specification: a relative path is invalid and is to be ignored.
  return join(base && isAbsolute(base) ? base : join(homedir(), '.cache'), 'hanok');
}

/**
 * Files by content, and small records, below one directory. Any number of processes may use it at once: everything is
 * written under a name of its own and renamed into place, and blobs are checked against their name when read.
 */
export class ImageCache {
  readonly directory: string;
  readonly #onNotice: NoticeListener;

  constructor(directory: string, onNotice: NoticeListener = () => {}) {
    this.directory = resolve(directory);
    this.#onNotice = onNotice;
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  blobPath(sha256: string): string {
    return this.path('blobs', sha256.slice(0, 2), sha256);
  }

  /** The blob, or undefined when it is not cached. One that was damaged is dropped with a notice. */
  async readBlob(sha256: string, label: string): Promise<Uint8Array | undefined> {
    const path = this.blobPath(sha256);
    const bytes = await this.#readOrUndefined(path);
    if (!bytes) return undefined;
    if (sha256Hex(bytes) === sha256) return bytes;
    this.#onNotice(`the cached copy of ${label} was damaged and is dropped: ${path}`);
    await this.remove(path);
    return undefined;
  }

  async writeBlob(bytes: Uint8Array): Promise<string> {
    const sha256 = sha256Hex(bytes);
    await this.writeFile(this.blobPath(sha256), bytes);
    return sha256;
  }

  /** Moves a finished download into place. */
  async adoptBlob(partPath: string, sha256: string): Promise<void> {
    const path = this.blobPath(sha256);
    await this.guard(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      await rename(partPath, path);
    });
  }

  /** Writes a file so that readers see the old content or the new, never a part. */
  async writeFile(path: string, content: Uint8Array | string): Promise<void> {
    await this.guard(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      const temporary = `${path}.${uniqueSuffix()}.tmp`;
      try {
        await writeFile(temporary, content);
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {});
        throw error;
      }
    });
  }

  /** A record written by `writeRecord`, or undefined when it is missing or not JSON. */
  async readRecord(path: string): Promise<unknown> {
    const bytes = await this.#readOrUndefined(path);
    if (!bytes) return undefined;
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8'));
    } catch {
      return undefined;
    }
  }

  async writeRecord(path: string, value: unknown): Promise<void> {
    await this.writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
  }

  async remove(path: string): Promise<void> {
    await this.guard(path, () => rm(path, { force: true, recursive: true }));
  }

  /**
   * A file name for downloading `sha256`, used by this call alone. What an ended download left behind is taken over:
   * of several processes that try, rename lets one win.
   */
  async claimPart(sha256: string): Promise<string> {
    const directory = this.path('parts');
    const claimed = join(directory, `${sha256}.${uniqueSuffix()}.part`);
    await this.guard(directory, async () => {
      await mkdir(directory, { recursive: true });
      for (const name of await readdir(directory)) {
        if (!name.startsWith(sha256) || !name.endsWith('.part') || isOwnedByLiveProcess(name)) continue;
        try {
          await rename(join(directory, name), claimed);
          return;
        } catch (error) {
          if (systemCode(error) !== 'ENOENT') throw error;
        }
      }
      // Creating it now shows at once whether the directory can be written.
      await (await open(claimed, 'w')).close();
    });
    return claimed;
  }

  /** Leaves an unfinished download where the next `claimPart` finds it; an empty one is removed. */
  async releasePart(partPath: string, sha256: string): Promise<void> {
    try {
      if ((await stat(partPath)).size === 0) await rm(partPath, { force: true });
      else await rename(partPath, this.path('parts', `${sha256}.part`));
    } catch {
      // It was moved into place, or the disk is gone: there is nothing to leave.
    }
  }

  /** Runs `work` and explains file system errors in terms of the cache. */
  async guard<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw cacheError(error, path);
    }
  }

  async #readOrUndefined(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(path);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw cacheError(error, path);
    }
  }
}

/** The process's number and a random part: no other writer has the same. */
export function uniqueSuffix(): string {
  return `${process.pid}-${randomBytes(6).toString('hex')}`;
}

/** Whether the process that gave a file a `uniqueSuffix` is still there. */
export function isOwnedByLiveProcess(name: string): boolean {
  const owner = /\.(\d+)-[0-9a-f]+\.\w+$/.exec(name)?.[1];
  if (owner === undefined) return false;
  if (Number(owner) === process.pid) return true;
  try {
    process.kill(Number(owner), 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
