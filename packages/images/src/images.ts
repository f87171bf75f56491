import { ImageCache, defaultCacheDirectory } from './cache.ts';
import type { BuildDebianOptions } from './debian-image/build-debian.ts';
import { ImageError } from './image-error.ts';
import { ImageStore } from './image-store.ts';
import { buildTiny } from './tiny/build-tiny.ts';

/** An image that can be made. */
export interface ImageInfo {
  readonly name: string;
  /** One line for a person. */
  readonly summary: string;
  /** True when a version of it is in the cache. */
  readonly cached: boolean;
  /** What its cached versions take; 0 when there is none. */
  readonly sizeBytes: number;
}

/** What a machine boots from. */
export interface BootImage {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  /** The image's own disk, never to be changed; the first of its machine. */
  readonly disk?: string;
  /** What its machine has where nobody says otherwise. */
  readonly memoryBytes?: number;
}

interface ImageKind {
  readonly name: string;
  readonly summary: string;
  /** Under which its versions are in the cache. */
  readonly storeName: string;
  build(options: BuildDebianOptions): Promise<BootImage>;
}

const DEBIAN_MEMORY_BYTES = 1 << 30;

function debian(name: string, suite: string, release: string): ImageKind {
  return {
    name,
    summary: `Debian ${release} (${suite}) on a disk: systemd, apt, ssh`,
    storeName: `debian-${suite}`,
    async build(options) {
      const { buildDebian } = await import('./debian-image/build-debian.ts');
      return { ...(await buildDebian({ ...options, suite })), memoryBytes: DEBIAN_MEMORY_BYTES };
    },
  };
}

const KINDS: readonly ImageKind[] = [
  {
    name: 'tiny',
    summary: "Debian's cloud kernel and busybox, all in memory: a shell, or one command",
    storeName: 'tiny',
    build: async (options) => {
      if (options.packages?.length) throw new ImageError('the image tiny is busybox and has no packages: use debian');
      return await buildTiny(options);
    },
  },
  debian('debian', 'bookworm', '12'),
  debian('debian:trixie', 'trixie', '13'),
];

/** The images that can be made, and what the cache has of them. */
export async function listImages(options: { readonly cacheDirectory?: string | undefined } = {}): Promise<ImageInfo[]> {
  const store = new ImageStore(new ImageCache(options.cacheDirectory ?? defaultCacheDirectory()));
  return await Promise.all(
    KINDS.map(async ({ name, summary, storeName }) => {
      const sizeBytes = await store.sizeBytes(storeName);
      return { name, summary, cached: sizeBytes > 0, sizeBytes };
    }),
  );
}

/** Makes an image where the cache does not have it. */
export async function buildImage(name: string, options: BuildDebianOptions): Promise<BootImage> {
  const kind = KINDS.find((one) => one.name === name);
  if (!kind) throw new ImageError(`there is no image ${name}: choose one of ${KINDS.map((one) => one.name).join(', ')}`);
  return await kind.build(options);
}
