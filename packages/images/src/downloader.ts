import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ImageCache, NoticeListener } from './cache.ts';
import { sha256Hex } from './cache.ts';
import type { HttpClient } from './http-client.ts';
import { isNetworkError } from './http-client.ts';
import { ImageError, cacheError, isAbort, messageOf, systemCode } from './image-error.ts';

export interface Progress {
  /** What is being done, for a person. */
  readonly label: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export type ProgressListener = (progress: Progress) => void;

export interface DownloaderOptions {
  readonly cache: ImageCache;
  readonly client: HttpClient;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: NoticeListener | undefined;
  /** Waits between tries that brought nothing new; their number bounds those tries. */
  readonly retryDelaysMs?: readonly number[];
}

export interface BlobRequest {
  readonly url: URL;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly label: string;
}

/** A try failed in a way that another try may mend. */
class RetryableError extends Error {}

/** The server does not have the file. */
export class NotFoundError extends ImageError {}

/** The network or the server fails, also after several tries. */
export class UnreachableError extends ImageError {}

const DEFAULT_RETRY_DELAYS_MS = [500, 2000, 5000];
const TRY_LIMIT = 40;
const HASH_CHUNK_BYTES = 1 << 20;

/** Brings files whose size and SHA-256 are known into the cache; interrupted transfers go on where they stopped. */
export class Downloader {
  readonly #options: DownloaderOptions;
  readonly #retryDelaysMs: readonly number[];

  constructor(options: DownloaderOptions) {
    this.#options = options;
    this.#retryDelaysMs = options.retryDelaysMs ?? DEFAULT_RETRY_DELAYS_MS;
  }

  /** The file's bytes, checked, from the cache or from the network. */
  async fetchBlob(request: BlobRequest): Promise<Uint8Array> {
    const { cache, signal } = this.#options;
    signal?.throwIfAborted();
    const cached = await cache.readBlob(request.sha256, request.label);
    if (cached) return cached;
    if (request.url.protocol === 'file:') return await this.#readLocal(request);
    const part = await cache.claimPart(request.sha256);
    try {
      await this.#transferWithRetries(request, part);
      await cache.adoptBlob(part, request.sha256);
    } finally {
      await cache.releasePart(part, request.sha256);
    }
    const bytes = await cache.readBlob(request.sha256, request.label);
    if (!bytes) throw new ImageError(`${request.label} changed on disk right after it was written: check the disk of ${cache.directory}`);
    return bytes;
  }

  /** A small file of unknown size and hash; undefined when the server says that it has not changed (304). */
  async fetchSmall(url: URL, limitBytes: number, headers: Record<string, string> = {}): Promise<{ bytes: Uint8Array; lastModified: string } | undefined> {
    const { client, signal } = this.#options;
    if (url.protocol === 'file:') return { bytes: await readLocalFile(url), lastModified: '' };
    return await this.#retry(url, async () => {
      const response = await client.get(url, { headers, signal });
      try {
        if (response.statusCode === 304) return undefined;
        checkStatus(response, url, 200);
        const chunks: Uint8Array[] = [];
        let lengthBytes = 0;
        for await (const chunk of response as AsyncIterable<Uint8Array>) {
          lengthBytes += chunk.length;
          if (lengthBytes > limitBytes) throw new ImageError(`${url.href} is larger than ${limitBytes} bytes: name another mirror`);
          chunks.push(chunk);
        }
        return { bytes: Buffer.concat(chunks), lastModified: response.headers['last-modified'] ?? '' };
      } finally {
        response.destroy();
      }
    });
  }

  async #readLocal(request: BlobRequest): Promise<Uint8Array> {
    const bytes = await readLocalFile(request.url);
    if (bytes.length === request.sizeBytes && sha256Hex(bytes) === request.sha256) return bytes;
    throw new ImageError(`${fileURLToPath(request.url)} is not the file that the index names (size or SHA-256 differ): update the mirror`);
  }

  async #transferWithRetries(request: BlobRequest, part: string): Promise<void> {
    const handle = await open(part, 'r+');
    try {
      const transfer = await PartFile.resume(handle, part, request);
      let best = transfer.doneBytes;
      await this.#retry(
        request.url,
        () => this.#transfer(request, transfer),
        () => {
          const advanced = transfer.doneBytes > best;
          best = Math.max(best, transfer.doneBytes);
          return advanced;
        },
      );
    } finally {
      await handle.close();
    }
  }

  async #transfer(request: BlobRequest, part: PartFile): Promise<void> {
    const { client, signal, onProgress } = this.#options;
    if (part.doneBytes < request.sizeBytes || request.sizeBytes === 0) {
      const headers: Record<string, string> = part.doneBytes > 0 ? { range: `bytes=${part.doneBytes}-` } : {};
      const response = await client.get(request.url, { headers, signal });
      try {
        await part.acceptStatus(response, request.url);
        for await (const chunk of response as AsyncIterable<Uint8Array>) {
          await part.append(chunk);
          onProgress?.({ label: request.label, doneBytes: part.doneBytes, totalBytes: request.sizeBytes });
        }
      } finally {
        response.destroy();
      }
    }
    await part.finish();
  }

  /** Calls `work` until it succeeds; `advanced` says whether the last try brought something new. */
  async #retry<T>(url: URL, work: () => Promise<T>, advanced: () => boolean = () => false): Promise<T> {
    const { signal, onNotice } = this.#options;
    let failures = 0;
    for (let tries = 1; ; tries++) {
      signal?.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        if (isAbort(error, signal)) throw signal?.reason ?? error;
        if (!(error instanceof RetryableError) && !isNetworkError(error)) throw error;
        failures = advanced() ? 1 : failures + 1;
        const waitMs = this.#retryDelaysMs[failures - 1];
        if (waitMs === undefined || tries >= TRY_LIMIT) throw unreachable(url, error);
        onNotice?.(`${url.href}: ${describe(error)}; trying again`);
        await delay(waitMs, undefined, signal ? { signal } : {});
      }
    }
  }
}

/** The file that a transfer grows, with the running hash of what it holds. */
class PartFile {
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

function checkStatus(response: IncomingMessage, url: URL, expected: number): void {
  const status = response.statusCode ?? 0;
  if (status === expected) return;
  if (status === 404 || status === 410) {
    throw new NotFoundError(`${url.href} does not exist (HTTP ${status}): name another mirror, or try again if it is being updated`);
  }
  if (status >= 500 || status === 408 || status === 425 || status === 429) throw new RetryableError(`HTTP ${status}`);
  throw new ImageError(`${url.href} answers with HTTP ${status}: check the mirror and the proxy settings`);
}

async function readLocalFile(url: URL): Promise<Uint8Array> {
  try {
    return await readFile(url);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new NotFoundError(`${fileURLToPath(url)} does not exist: name another mirror`, error);
    throw new ImageError(`cannot read ${fileURLToPath(url)}: ${messageOf(error)}`, error);
  }
}

function describe(error: unknown): string {
  const code = systemCode(error);
  const text = messageOf(error);
  return code === '' || text.includes(code) ? text : `${text} (${code})`;
}

function unreachable(url: URL, error: unknown): ImageError {
  if (error instanceof RetryableError) return new UnreachableError(`cannot download ${url.href}: ${error.message}; name another mirror`, error);
  return new UnreachableError(`cannot reach ${url.host} for ${url.href}: ${describe(error)}; check the network and the proxy settings`, error);
}
