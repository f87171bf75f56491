import { ImageCache, defaultCacheDirectory } from './cache.ts';
import type { BuildDebianOptions } from './debian-image/build-debian.ts';
import { ImageError } from './image-error.ts';
import { ImageStore } from './image-store.ts';
import type { BuildTinyOptions } from './tiny/build-tiny.ts';
import { buildTiny, tinyStoreName } from './tiny/build-tiny.ts';

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

function tiny(name: string, kernel: string, variant: Pick<BuildTinyOptions, 'suite' | 'architecture' | 'kernelPackage'>): ImageKind {
  return {
    name,
    summary: `${kernel} and busybox, all in memory: a shell, or one command`,
    storeName: tinyStoreName(variant),
    build: async (options) => {
      if (options.packages?.length) throw new ImageError(`the image ${name} is busybox and has no packages: use debian`);
      return await buildTiny({ ...options, ...variant });
    },
  };
}

const KINDS: readonly ImageKind[] = [
  tiny('tiny', "Debian's cloud kernel", {}),
  tiny('tiny:generic', "Debian's kernel for all computers", { kernelPackage: 'linux-image-amd64' }),
  tiny('tiny:trixie', "Debian 13's cloud kernel", { suite: 'trixie' }),
  tiny('tiny:trixie-generic', "Debian 13's kernel for all computers", { suite: 'trixie', kernelPackage: 'linux-image-amd64' }),
  tiny('tiny:i386', "Debian's kernel for 32-bit processors", { architecture: 'i386' }),
  tiny('tiny:i386-pae', "Debian's kernel for 32-bit processors with large memory", { architecture: 'i386', kernelPackage: 'linux-image-686-pae' }),
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
