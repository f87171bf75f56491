import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ImageCache, NoticeListener } from './cache.ts';
import { isOwnedByLiveProcess, uniqueSuffix } from './cache.ts';
import { ImageError, systemCode } from './image-error.ts';

/** What is remembered of a file. Large ones are known by size and time: a boot would wait for their hash. */
interface StoredFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256?: string;
  readonly mtimeMs?: number;
}

interface Manifest {
  readonly version: 2;
  readonly name: string;
  readonly files: readonly StoredFile[];
}

const TRIES_MAX = 2;
const HASHED_MAX_BYTES = 8 << 20;

/** Finished images in the cache: directories named after the image and the hash of what it was made from. */
export class ImageStore {
  readonly #cache: ImageCache;
  readonly #onNotice: NoticeListener;

  constructor(cache: ImageCache, onNotice: NoticeListener = () => {}) {
    this.#cache = cache;
    this.#onNotice = onNotice;
  }

  /** Paths of the image's files by name; `build` writes them to the directory it is given when the cache does not have them intact. */
  async obtain(name: string, inputsSha256: string, build: (directory: string) => Promise<void>): Promise<Map<string, string>> {
    // Another process may remove what it took for damaged just when this one has made it anew.
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const found = await this.find(name, inputsSha256);
      if (found) return found;
      await this.#make(name, this.#directory(name, inputsSha256), build);
    }
    const found = await this.find(name, inputsSha256);
    if (!found) throw new ImageError(`the image ${name} disappears from ${this.#cache.directory} as soon as it is made: end what else uses that cache, and try again`);
    return found;
  }

  async #make(name: string, directory: string, build: (directory: string) => Promise<void>): Promise<void> {
    await this.#removeAbandoned();
    const temporary = `${directory}.${uniqueSuffix()}.tmp`;
    try {
      await this.#cache.guard(temporary, async () => {
        await mkdir(temporary, { recursive: true });
        await build(temporary);
        const names = await readdir(temporary);
        const manifest: Manifest = { version: 2, name, files: await Promise.all(names.map((file) => describe(temporary, file))) };
        await writeFile(join(temporary, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
        try {
          await rename(temporary, directory);
        } catch (error) {
          // Another process made the same image first: its files are the same.
          if (systemCode(error) !== 'ENOTEMPTY' && systemCode(error) !== 'EEXIST') throw error;
        }
      });
    } finally {
      await this.#cache.remove(temporary).catch(() => {});
    }
  }

  /** Paths of the image's files when the cache has them intact; what is damaged is removed. */
  async find(name: string, inputsSha256: string): Promise<Map<string, string> | undefined> {
    const directory = this.#directory(name, inputsSha256);
    const manifest = await this.#cache.readRecord(join(directory, 'manifest.json'));
    if (manifest === undefined && !(await stat(directory).catch(() => undefined))) return undefined;
    if (isManifest(manifest) && manifest.name === name) {
      const intact = await Promise.all(manifest.files.map((file) => isIntact(directory, file)));
      if (intact.every(Boolean)) return new Map(manifest.files.map((file) => [file.name, join(directory, file.name)]));
    }
    this.#onNotice(`the cached image ${name} was damaged and is made again: ${directory}`);
    await this.#cache.remove(directory);
    return undefined;
  }

  /** The bytes that all cached versions of an image take on disk. */
  async sizeBytes(name: string): Promise<number> {
    let total = 0;
    const images = this.#cache.path('images');
    for (const directory of await readdir(images).catch(() => [])) {
      if (!new RegExp(`^${name}-[0-9a-f]{32}$`).test(directory)) continue;
      for (const file of await readdir(join(images, directory)).catch(() => [])) {
        total += await stat(join(images, directory, file)).then((found) => Math.min(found.size, found.blocks * 512), () => 0);
      }
    }
    return total;
  }

  #directory(name: string, inputsSha256: string): string {
    return this.#cache.path('images', `${name}-${inputsSha256.slice(0, 32)}`);
  }

  /** Removes what builds left that ended without a chance to. */
  async #removeAbandoned(): Promise<void> {
    const images = this.#cache.path('images');
    for (const name of await readdir(images).catch(() => [])) {
      if (name.endsWith('.tmp') && !isOwnedByLiveProcess(name)) await this.#cache.remove(join(images, name));
    }
  }
}

async function describe(directory: string, name: string): Promise<StoredFile> {
  const { size, mtimeMs } = await stat(join(directory, name));
  return size > HASHED_MAX_BYTES ? { name, sizeBytes: size, mtimeMs } : { name, sizeBytes: size, sha256: await sha256OfFile(join(directory, name)) };
}

async function isIntact(directory: string, file: StoredFile): Promise<boolean> {
  const path = join(directory, file.name);
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== file.sizeBytes) return false;
  return file.sha256 === undefined ? found.mtimeMs === file.mtimeMs : file.sha256 === (await sha256OfFile(path).catch(() => ''));
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

function isManifest(value: unknown): value is Manifest {
  const manifest = value as Partial<Manifest> | null;
  return (
    typeof manifest === 'object' &&
    manifest?.version === 2 &&
    Array.isArray(manifest.files) &&
    manifest.files.length > 0 &&
    manifest.files.every(
      (file) => /^[\w.-]+$/.test(String(file?.name)) && typeof file.sizeBytes === 'number' && (typeof file.sha256 === 'string' || typeof file.mtimeMs === 'number'),
    )
  );
}
