import { mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageCache, NoticeListener } from './cache.ts';
import { sha256Hex, uniqueSuffix } from './cache.ts';
import { systemCode } from './image-error.ts';

interface Manifest {
  readonly version: 1;
  readonly name: string;
  readonly files: readonly { readonly name: string; readonly sizeBytes: number; readonly sha256: string }[];
}

/** Finished images in the cache: directories named after the image and the hash of what it was made from. */
export class ImageStore {
  readonly #cache: ImageCache;
  readonly #onNotice: NoticeListener;

  constructor(cache: ImageCache, onNotice: NoticeListener = () => {}) {
    this.#cache = cache;
    this.#onNotice = onNotice;
  }

  /** Paths of the image's files by name; `build` gives their contents when the cache does not have them intact. */
  async obtain(name: string, inputsSha256: string, build: () => Promise<ReadonlyMap<string, Uint8Array>>): Promise<Map<string, string>> {
    const directory = this.#cache.path('images', `${name}-${inputsSha256.slice(0, 32)}`);
    const cached = await this.#check(directory, name);
    if (cached) return cached;
    const contents = await build();
    await this.#publish(directory, name, contents);
    return new Map([...contents.keys()].map((file) => [file, join(directory, file)]));
  }

  /** The bytes that all cached versions of an image take. */
  async sizeBytes(name: string): Promise<number> {
    let total = 0;
    const images = this.#cache.path('images');
    for (const directory of await readdir(images).catch(() => [])) {
      if (!new RegExp(`^${name}-[0-9a-f]{32}$`).test(directory)) continue;
      for (const file of await readdir(join(images, directory)).catch(() => [])) {
        total += await stat(join(images, directory, file)).then((found) => found.size, () => 0);
      }
    }
    return total;
  }

  async #check(directory: string, name: string): Promise<Map<string, string> | undefined> {
    const manifest = await this.#cache.readRecord(join(directory, 'manifest.json'));
    if (manifest === undefined && !(await stat(directory).catch(() => undefined))) return undefined;
    if (isManifest(manifest) && manifest.name === name) {
      const intact = await Promise.all(
        manifest.files.map(async (file) => {
          const bytes = await readFile(join(directory, file.name)).catch(() => undefined);
          return bytes !== undefined && sha256Hex(bytes) === file.sha256;
        }),
      );
      if (intact.every(Boolean)) return new Map(manifest.files.map((file) => [file.name, join(directory, file.name)]));
    }
    this.#onNotice(`the cached image ${name} was damaged and is made again: ${directory}`);
    await this.#cache.remove(directory);
    return undefined;
  }

  async #publish(directory: string, name: string, contents: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const temporary = `${directory}.${uniqueSuffix()}.tmp`;
    const files = [...contents].map(([file, bytes]) => ({ name: file, sizeBytes: bytes.length, sha256: sha256Hex(bytes) }));
    const manifest: Manifest = { version: 1, name, files };
    try {
      await this.#cache.guard(temporary, async () => {
        await mkdir(temporary, { recursive: true });
        for (const [file, bytes] of contents) await writeFile(join(temporary, file), bytes);
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
}

function isManifest(value: unknown): value is Manifest {
  const manifest = value as Partial<Manifest> | null;
  return (
    typeof manifest === 'object' &&
    manifest?.version === 1 &&
    Array.isArray(manifest.files) &&
    manifest.files.length > 0 &&
    manifest.files.every((file) => /^[\w.-]+$/.test(String(file?.name)) && typeof file.sha256 === 'string')
  );
}
