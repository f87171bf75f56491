import { ImageCache, defaultCacheDirectory } from './cache.ts';
import { ImageStore } from './image-store.ts';

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

const IMAGES: readonly Pick<ImageInfo, 'name' | 'summary'>[] = [
  { name: 'tiny', summary: "Debian's cloud kernel and busybox, all in memory: a shell, or one command" },
];

/** The images that can be made, and what the cache has of them. */
export async function listImages(options: { readonly cacheDirectory?: string | undefined } = {}): Promise<ImageInfo[]> {
  const store = new ImageStore(new ImageCache(options.cacheDirectory ?? defaultCacheDirectory()));
  return await Promise.all(
    IMAGES.map(async (image) => {
      const sizeBytes = await store.sizeBytes(image.name);
      return { ...image, cached: sizeBytes > 0, sizeBytes };
    }),
  );
}
