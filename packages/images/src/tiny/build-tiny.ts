import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageCache, NoticeListener } from '../cache.ts';
import { sha256Hex } from '../cache.ts';
import { writeCpio } from '../cpio.ts';
import type { DebianArchive } from '../debian/archive.ts';
import type { ArchiveOptions } from '../debian/open-archive.ts';
import { withArchive } from '../debian/open-archive.ts';
import type { DebianPackage, PackagesIndex } from '../debian/packages-index.ts';
import type { ProgressListener } from '../downloader.ts';
import { ImageError } from '../image-error.ts';
import { ImageStore } from '../image-store.ts';
import { kernelPath, readBusybox, readKernel } from '../kernel/read-kernel.ts';
import { TINY_COMMAND_LINE } from './command-line.ts';
import { TINY_MODULES, listApplets, tinyEntries } from './initramfs.ts';

/** A system that boots from two files. */
export interface TinyImage {
  /** Path of Debian's unmodified kernel, unpacked where it boots through PVH, else a bzImage. */
  readonly kernel: string;
  /** Path of the initramfs, an uncompressed cpio archive; more archives may be appended to its bytes. */
  readonly initrd: string;
  readonly commandLine: string;
}

/** Debian's names of the processors that there is a `tiny` for, and the metapackage of the kernel that each boots by default. */
const KERNEL_PACKAGES = { amd64: 'linux-image-cloud-amd64', i386: 'linux-image-686' } as const;

export interface BuildTinyOptions extends ArchiveOptions {
  readonly architecture?: keyof typeof KERNEL_PACKAGES;
  /** Debian's metapackage of another kernel for that processor. */
  readonly kernelPackage?: string;
}

const kernelPackageOf = ({ architecture = 'amd64', kernelPackage = KERNEL_PACKAGES[architecture] }: BuildTinyOptions) => kernelPackage;

/** Under which name the cache keeps the image. */
export function tinyStoreName(options: BuildTinyOptions = {}): string {
  const { suite = 'bookworm' } = options;
  const kernelPackage = kernelPackageOf(options);
  return ['tiny', ...(suite === 'bookworm' ? [] : [suite]), ...(kernelPackage === KERNEL_PACKAGES.amd64 ? [] : [kernelPackage])].join('-');
}

/** Changes whenever the same inputs give another image. */
const BUILDER_VERSION = 3;

/** Makes the image `tiny`: a kernel of Debian's, busybox and the modules that a virtio machine needs, in memory. */
export async function buildTiny(options: BuildTinyOptions = {}): Promise<TinyImage> {
  const { signal, onProgress, onNotice = () => {} } = options;
  const kernelPackage = kernelPackageOf(options);
  const storeName = tinyStoreName(options);
  return await withArchive(options, async ({ archive, cache }) => await imageFrom(archive, cache, { kernelPackage, storeName, signal, onNotice, onProgress }));
}

interface ImageFromOptions {
  readonly kernelPackage: string;
  readonly storeName: string;
  readonly signal: AbortSignal | undefined;
  readonly onNotice: NoticeListener;
  readonly onProgress: ProgressListener | undefined;
}

async function imageFrom(archive: DebianArchive, cache: ImageCache, options: ImageFromOptions): Promise<TinyImage> {
  const [kernelPackage, busyboxPackage] = await archive.select(`tiny ${options.kernelPackage}`, (index) => chooseTinyPackages(index, options.kernelPackage));
  if (!kernelPackage || !busyboxPackage) throw new ImageError(`the cache in ${cache.directory} is damaged: remove it`);
  const init = await readFile(new URL('./init.sh', import.meta.url), 'utf8');
  const profile = await readFile(new URL('./profile.sh', import.meta.url), 'utf8');
  const inputs = [BUILDER_VERSION, kernelPackage.sha256, busyboxPackage.sha256, init, profile, TINY_MODULES.join()];
  const store = new ImageStore(cache, options.onNotice);
  const files = await store.obtain(options.storeName, sha256Hex(JSON.stringify(inputs)), async (directory) => {
    const kernelDeb = await archive.fetchPackage(kernelPackage);
    const busyboxDeb = await archive.fetchPackage(busyboxPackage);
    options.onProgress?.({ label: 'unpacking', done: 0, total: 0 });
    const kernel = await readKernel(kernelDeb, kernelPackage.name, TINY_MODULES, options.signal);
    const busybox = await readBusybox(busyboxDeb, busyboxPackage.name, options.signal);
    options.signal?.throwIfAborted();
    const applets = await listApplets(busybox, options.signal);
    const initrd = writeCpio(tinyEntries({ busybox, applets, modules: kernel.modules, kernelVersion: kernel.version, init, profile }));
    await writeFile(join(directory, kernel.fileName), kernel.image);
    await writeFile(join(directory, 'initrd'), initrd);
  });
  return { kernel: kernelPath(files), initrd: files.get('initrd')!, commandLine: TINY_COMMAND_LINE };
}

/** What the image is made from: the kernel that the metapackage stands for, and busybox. */
export function chooseTinyPackages(index: PackagesIndex, metapackage: string = KERNEL_PACKAGES.amd64): DebianPackage[] {
  const find = (name: string): DebianPackage => {
    const found = index.find(name);
    if (!found) throw new ImageError(`Debian has no package ${name} in this suite: choose another suite or mirror`);
    return found;
  };
  const versioned = find(metapackage).depends.flat().find(({ name }) => /^linux-image-\d/.test(name))?.name;
  if (!versioned) throw new ImageError(`${metapackage} names no kernel: choose another suite or mirror`);
  return [find(versioned), find('busybox-static')];
}
