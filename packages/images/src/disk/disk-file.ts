import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ImageError, messageOf, systemCode } from '../image-error.ts';

const SECTOR_BYTES = 512;

const OPEN_MENDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; check the path or create it',
  EACCES: 'permission denied; change its permissions, or open it read-only',
  EPERM: 'not permitted; check its attributes, or open it read-only',
  EROFS: 'its file system is read-only; copy it elsewhere, or open it read-only',
  EISDIR: 'it is a directory; name a file',
  ENOTDIR: 'a part of the path is not a directory; check the path',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
  ETXTBSY: 'it is in use as a program',
};

/** An open file with whole reads and writes at offsets; every error names the file. */
export class DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Opens a regular file. `create` makes a new one and fails when there is one already. */
  static async open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    // Without O_NONBLOCK opening a FIFO would wait for its other end.
    const base = mode === 'read' ? constants.O_RDONLY : constants.O_RDWR;
    const flags = base | (mode === 'create' ? constants.O_CREAT | constants.O_EXCL : 0) | (constants.O_NONBLOCK ?? 0);
    const handle = await open(path, flags, 0o600).catch((error: unknown) => {
      throw new ImageError(`cannot open the disk ${path}: ${OPEN_MENDS[systemCode(error)] ?? messageOf(error)}`, error);
    });
    const stats = await handle.stat();
    if (!stats.isFile()) {
      await handle.close();
      throw new ImageError(`cannot use ${path} as a disk: it is not a regular file; name a file`);
    }
    return new DiskFile(path, handle);
  }

  async sizeBytes(): Promise<number> {
    return await this.#guard('find the size', async () => (await this.#handle.stat()).size);
  }

  async read(offsetBytes: number, target: Uint8Array): Promise<void> {
    const bytesRead = await this.readUpTo(offsetBytes, target);
    if (bytesRead < target.length) throw new ImageError(`${this.path} ends at ${offsetBytes + bytesRead} bytes: it was cut off while it was in use`);
  }

  /** Like `read`, but the end of the file may come first; gives the number of bytes read. */
  async readUpTo(offsetBytes: number, target: Uint8Array): Promise<number> {
    return await this.#guard(`read ${target.length} bytes at ${offsetBytes}`, async () => {
      let done = 0;
      while (done < target.length) {
        const { bytesRead } = await this.#handle.read(target, done, target.length - done, offsetBytes + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  async write(offsetBytes: number, source: Uint8Array): Promise<void> {
    await this.#guard(`write ${source.length} bytes at ${offsetBytes}`, async () => {
      for (let done = 0; done < source.length; ) {
        done += (await this.#handle.write(source, done, source.length - done, offsetBytes + done)).bytesWritten;
      }
    });
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#guard(`make it ${sizeBytes} bytes long`, () => this.#handle.truncate(sizeBytes));
  }

  async sync(): Promise<void> {
    await this.#guard('flush', () => this.#handle.datasync());
  }

  async close(): Promise<void> {
    await this.#guard('close', () => this.#handle.close());
  }

  async #guard<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const mend = systemCode(error) === 'ENOSPC' ? '; free some space on its file system' : '';
      throw new ImageError(`${this.path}: cannot ${what}: ${messageOf(error)}${mend}`, error);
    }
  }
}

/** Throws unless [offsetBytes, offsetBytes + lengthBytes) lies in a disk of `sizeBytes`. */
export function checkRange(path: string, sizeBytes: number, offsetBytes: number, lengthBytes: number): void {
  const valid = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes) && offsetBytes >= 0 && lengthBytes >= 0;
  if (!valid || offsetBytes + lengthBytes > sizeBytes) {
    throw new ImageError(`${path}: the range of ${lengthBytes} bytes at ${offsetBytes} is outside the disk of ${sizeBytes} bytes`);
  }
}

/** Throws unless the size is one that a disk can have. */
export function checkDiskSize(path: string, sizeBytes: number): void {
  if (sizeBytes > 0 && sizeBytes % SECTOR_BYTES === 0 && Number.isSafeInteger(sizeBytes)) return;
  const rounded = Math.max(1, Math.ceil(sizeBytes / SECTOR_BYTES)) * SECTOR_BYTES;
  throw new ImageError(
    `cannot use ${path} as a disk: its size of ${sizeBytes} bytes is not a multiple of ${SECTOR_BYTES}; extend it with "truncate -s ${rounded}"`,
  );
}

/** True when every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).equals(ZEROS.subarray(0, bytes.length)) || bytes.every((byte) => byte === 0);
}

/** Zeros to compare with and to write; not to be changed. */
export const ZEROS = new Uint8Array(1 << 16);
