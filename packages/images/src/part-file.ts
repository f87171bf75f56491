import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { ImageError, cacheError } from './image-error.ts';

export interface BlobRequest {
  readonly url: URL;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly label: string;
}

/** A try failed in a way that another try may mend. */
export class RetryableError extends Error {}

/** The server does not have the file. */
export class NotFoundError extends ImageError {}

const HASH_CHUNK_BYTES = 1 << 20;

/** The file that a transfer grows, with the running hash of what it holds. */
export class PartFile {
  doneBytes = 0;
  #hash: Hash = createHash('sha256');
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #request: BlobRequest;

  constructor(handle: FileHandle, path: string, request: BlobRequest) {
    this.#handle = handle;
    this.#path = path;
    this.#request = request;
  }

  /** Takes over what the file holds, unless it is longer than it may be. */
  static async resume(handle: FileHandle, path: string, request: BlobRequest): Promise<PartFile> {
    const part = new PartFile(handle, path, request);
    if ((await handle.stat()).size > request.sizeBytes) await part.restart();
    const chunk = new Uint8Array(HASH_CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, part.doneBytes);
      if (bytesRead === 0) return part;
      part.#hash.update(chunk.subarray(0, bytesRead));
      part.doneBytes += bytesRead;
    }
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.doneBytes = 0;
    this.#hash = createHash('sha256');
  }

  /** Makes the file fit what the server is about to send. */
  async acceptStatus(response: IncomingMessage, url: URL): Promise<void> {
    if (this.doneBytes === 0) return checkStatus(response, url, 200);
    if (response.statusCode === 200) return await this.restart();
    const startBytes = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
    if (response.statusCode === 206 && Number(startBytes) === this.doneBytes) return;
    if (response.statusCode === 206 || response.statusCode === 416) {
      await this.restart();
      throw new RetryableError('the server does not continue the transfer where it stopped');
    }
    checkStatus(response, url, 206);
  }

  async append(chunk: Uint8Array): Promise<void> {
    if (this.doneBytes + chunk.length > this.#request.sizeBytes) {
      await this.restart();
      throw new RetryableError('the server sends more than the index says');
    }
    try {
      await this.#handle.write(chunk, 0, chunk.length, this.doneBytes);
    } catch (error) {
      throw cacheError(error, this.#path);
    }
    this.#hash.update(chunk);
    this.doneBytes += chunk.length;
  }

  async finish(): Promise<void> {
    if (this.doneBytes < this.#request.sizeBytes) throw new RetryableError(`the transfer ended after ${this.doneBytes} bytes`);
    const actual = this.#hash.copy().digest('hex');
    if (actual === this.#request.sha256) return;
    await this.restart();
    throw new RetryableError(`the content is not what the index names (SHA-256 ${actual}, expected ${this.#request.sha256})`);
  }
}

/** Throws unless the response has the expected status. */
export function checkStatus(response: IncomingMessage, url: URL, expected: number): void {
  const status = response.statusCode ?? 0;
  if (status === expected) return;
  if (status === 404 || status === 410) {
    throw new NotFoundError(`${url.href} does not exist (HTTP ${status}): name another mirror, or try again if it is being updated`);
  }
  if (status >= 500 || status === 408 || status === 425 || status === 429) throw new RetryableError(`HTTP ${status}`);
  throw new ImageError(`${url.href} answers with HTTP ${status}: check the mirror and the proxy settings`);
}
