export { defaultCacheDirectory } from './cache.ts';
export type { NoticeListener } from './cache.ts';
export type { Progress, ProgressListener } from './downloader.ts';
export { ImageError } from './image-error.ts';
export { buildTiny } from './tiny/build-tiny.ts';
export type { BuildTinyOptions, TinyImage } from './tiny/build-tiny.ts';
export { commandArchive } from './tiny/command-archive.ts';
