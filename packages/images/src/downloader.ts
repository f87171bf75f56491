import { open, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ImageCache, NoticeListener } from './cache.ts';
import { sha256Hex } from './cache.ts';
import type { HttpClient } from './http-client.ts';
import { isNetworkError } from './http-client.ts';
import { ImageError, isAbort, messageOf, systemCode } from './image-error.ts';
import { NotFoundError, PartFile, RetryableError, checkStatus } from './part-file.ts';
import type { BlobRequest } from './part-file.ts';

export interface Progress {
  /** What is being done, for a person. */
  readonly label: string;
  /** How much, in bytes or whatever the step counts. */
  readonly done: number;
  /** 0 says that it is unknown. */
  readonly total: number;
  /** `done` and `total` in words that change as the step goes on, e.g. `34/180`. */
  readonly detail?: string;
}

export type ProgressListener = (progress: Progress) => void;

export interface DownloaderOptions {
  readonly cache: ImageCache;
  readonly client: HttpClient;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: NoticeListener | undefined;
  /** Waits between tries that brought nothing new; their number bounds those tries. */
  readonly retryDelaysMs?: readonly number[] | undefined;
}

/** The network or the server fails, also after several tries. */
export class UnreachableError extends ImageError {}

const DEFAULT_RETRY_DELAYS_MS = [500, 2000, 5000];
const TRY_LIMIT = 40;

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
          onProgress?.({ label: request.label, done: part.doneBytes, total: request.sizeBytes });
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
