import type { BlockBackend } from '@hanok/machine';
import { ImageError } from '../image-error.ts';
import { DiskFile, ZEROS, checkDiskSize, checkRange, isZero } from './disk-file.ts';

export interface RawDiskOptions {
  readonly readOnly?: boolean;
}

/** A disk whose sectors are the bytes of a file. Its size must be a multiple of 512. */
export async function openRawDisk(path: string, options: RawDiskOptions = {}): Promise<BlockBackend> {
  const readOnly = options.readOnly ?? false;
  const file = await DiskFile.open(path, readOnly ? 'read' : 'write');
  try {
    const sizeBytes = await file.sizeBytes();
    checkDiskSize(path, sizeBytes);
    return new RawDisk(file, sizeBytes, readOnly);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class RawDisk implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly #file: DiskFile;

  constructor(file: DiskFile, sizeBytes: number, readOnly: boolean) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
  }

  async read(offsetBytes: number, target: Uint8Array): Promise<void> {
    checkRange(this.#file.path, this.sizeBytes, offsetBytes, target.length);
    await this.#file.read(offsetBytes, target);
  }

  async write(offsetBytes: number, source: Uint8Array): Promise<void> {
    this.#checkWritable();
    checkRange(this.#file.path, this.sizeBytes, offsetBytes, source.length);
    await this.#file.write(offsetBytes, source);
  }

  async flush(): Promise<void> {
    if (!this.readOnly) await this.#file.sync();
  }

  /** Node cannot punch holes; what is zero already, holes among it, is left alone, so a sparse file stays sparse. */
  async discard(offsetBytes: number, lengthBytes: number): Promise<void> {
    this.#checkWritable();
    checkRange(this.#file.path, this.sizeBytes, offsetBytes, lengthBytes);
    const chunk = new Uint8Array(ZEROS.length);
    for (let done = 0; done < lengthBytes; ) {
      const part = chunk.subarray(0, Math.min(chunk.length, lengthBytes - done));
      await this.#file.read(offsetBytes + done, part);
      if (!isZero(part)) await this.#file.write(offsetBytes + done, ZEROS.subarray(0, part.length));
      done += part.length;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #checkWritable(): void {
    if (this.readOnly) throw new ImageError(`${this.#file.path} is open read-only: open it for writing`);
  }
}
