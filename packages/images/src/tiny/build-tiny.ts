import { readFile } from 'node:fs/promises';
import type { NoticeListener } from '../cache.ts';
import { ImageCache, defaultCacheDirectory, sha256Hex } from '../cache.ts';
import { writeCpio } from '../cpio.ts';
import { DebianArchive, rememberedMirror } from '../debian/archive.ts';
import type { TreeEntry } from '../debian/deb-file.ts';
import { readDebTree } from '../debian/deb-file.ts';
import { candidateMirrors } from '../debian/mirror.ts';
import type { DebianPackage, PackagesIndex } from '../debian/packages-index.ts';
import { findDebianKeyrings } from '../debian/release.ts';
import type { ProgressListener } from '../downloader.ts';
import { Downloader } from '../downloader.ts';
import { HttpClient } from '../http-client.ts';
import { ImageError } from '../image-error.ts';
import { ImageStore } from '../image-store.ts';
import { ModuleSet } from '../kernel/module-set.ts';
import type { CommandRunner } from '../proxy.ts';
import { discoverProxies, runCommand } from '../proxy.ts';
import { TINY_COMMAND_LINE } from './command-line.ts';
import { TINY_MODULES, listApplets, tinyEntries } from './initramfs.ts';

/** A system that boots from two files. */
export interface TinyImage {
  /** Path of Debian's unmodified kernel (a bzImage that also boots through PVH). */
  readonly kernel: string;
  /** Path of the initramfs, an uncompressed cpio archive; more archives may be appended to its bytes. */
  readonly initrd: string;
  readonly commandLine: string;
}

/** Debian's names of the processors that there is a `tiny` for, and the metapackage of the kernel that each boots. */
const KERNEL_PACKAGES = { amd64: 'linux-image-cloud-amd64', i386: 'linux-image-686' } as const;

export interface BuildTinyOptions {
  /** `amd64` by default. */
  readonly architecture?: keyof typeof KERNEL_PACKAGES;
  /** Debian's suite, `bookworm` by default. */
  readonly suite?: string;
  /** URL or directory of a Debian mirror; HANOK_DEBIAN_MIRROR or apt's own configuration otherwise. */
  readonly mirror?: string | undefined;
  /** `defaultCacheDirectory()` otherwise. */
  readonly cacheDirectory?: string | undefined;
  /** Asks the mirror for news even when the last answer is less than a day old. */
  readonly refresh?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: NoticeListener | undefined;
  /** Files with the keys that Debian's releases are signed with; those of this computer by default. */
  readonly keyrings?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly run?: CommandRunner;
  readonly retryDelaysMs?: readonly number[];
}

/** Changes whenever the same inputs give another image. */
const BUILDER_VERSION = 1;

/** Makes the image `tiny`: Debian's kernel (the cloud one where there is one), busybox and the modules that a virtio machine needs, in memory. */
export async function buildTiny(options: BuildTinyOptions = {}): Promise<TinyImage> {
  const { architecture = 'amd64', signal, onProgress, onNotice = () => {}, suite = 'bookworm', environment = process.env, run = runCommand } = options;
  signal?.throwIfAborted();
  const cache = new ImageCache(options.cacheDirectory ?? defaultCacheDirectory(environment), onNotice);
  const mirrors = await findMirrors(options, cache, suite, environment, run);
  const client = new HttpClient(() => discoverProxies(mirrors[0]!.hostname, environment, run, signal));
  try {
    const downloader = new Downloader({ cache, client, signal, onProgress, onNotice, retryDelaysMs: options.retryDelaysMs });
    const keyrings = options.keyrings ?? (await findDebianKeyrings());
    const archive = await DebianArchive.open({ suite, architecture, mirrors, keyrings, cache, downloader, onNotice, refresh: options.refresh });
    return await imageFrom(archive, cache, { architecture, signal, onNotice, onProgress });
  } finally {
    client.close();
  }
}

/** Asking apt takes a while: what it said of this suite today still counts, and is all there is where it says nothing. */
async function findMirrors({ mirror, refresh, signal }: BuildTinyOptions, cache: ImageCache, suite: string, environment: NodeJS.ProcessEnv, run: CommandRunner): Promise<URL[]> {
  const isNamed = Boolean(mirror || environment['HANOK_DEBIAN_MIRROR']);
  const known = isNamed ? undefined : await rememberedMirror(cache, suite);
  if (known?.isFresh && !refresh) return [known.mirror];
  try {
    return await candidateMirrors(mirror, environment, run, signal);
  } catch (error) {
    signal?.throwIfAborted();
    if (!known) throw error;
    return [known.mirror];
  }
}

interface ImageFromOptions {
  readonly architecture: keyof typeof KERNEL_PACKAGES;
  readonly signal: AbortSignal | undefined;
  readonly onNotice: NoticeListener;
  readonly onProgress: ProgressListener | undefined;
}

async function imageFrom(archive: DebianArchive, cache: ImageCache, options: ImageFromOptions): Promise<TinyImage> {
  const { architecture } = options;
  const [kernelPackage, busyboxPackage] = await archive.select('tiny', (index) => chooseTinyPackages(index, architecture));
  if (!kernelPackage || !busyboxPackage) throw new ImageError(`the cache in ${cache.directory} is damaged: remove it`);
  const init = await readFile(new URL('./init.sh', import.meta.url), 'utf8');
  const profile = await readFile(new URL('./profile.sh', import.meta.url), 'utf8');
  const inputs = [BUILDER_VERSION, kernelPackage.sha256, busyboxPackage.sha256, init, profile, TINY_MODULES.join()];
  const store = new ImageStore(cache, options.onNotice);
  const files = await store.obtain(architecture === 'amd64' ? 'tiny' : `tiny-${architecture}`, sha256Hex(JSON.stringify(inputs)), async () => {
    const kernelDeb = await archive.fetchPackage(kernelPackage);
    const busyboxDeb = await archive.fetchPackage(busyboxPackage);
    options.onProgress?.({ label: 'unpacking', doneBytes: 0, totalBytes: 0 });
    const kernel = await readKernel(kernelDeb, kernelPackage.name, options.signal);
    const busybox = await readBusybox(busyboxDeb, busyboxPackage.name, options.signal);
    options.signal?.throwIfAborted();
    const applets = await listApplets(busybox, options.signal);
    const initrd = writeCpio(tinyEntries({ busybox, applets, modules: kernel.modules, kernelVersion: kernel.version, init, profile }));
    return new Map([['vmlinuz', kernel.image], ['initrd', initrd]]);
  });
  return { kernel: files.get('vmlinuz')!, initrd: files.get('initrd')!, commandLine: TINY_COMMAND_LINE };
}

/** What the image is made from: the kernel that the metapackage stands for, and busybox. */
export function chooseTinyPackages(index: PackagesIndex, architecture: keyof typeof KERNEL_PACKAGES = 'amd64'): DebianPackage[] {
  const find = (name: string): DebianPackage => {
    const found = index.find(name);
    if (!found) throw new ImageError(`Debian has no package ${name} in this suite: choose another suite or mirror`);
    return found;
  };
  const metapackage = KERNEL_PACKAGES[architecture];
  const versioned = find(metapackage).depends.flat().find((name) => /^linux-image-\d/.test(name));
  if (!versioned) throw new ImageError(`${metapackage} names no kernel: choose another suite or mirror`);
  return [find(versioned), find('busybox-static')];
}

async function readKernel(deb: Uint8Array, label: string, signal: AbortSignal | undefined) {
  
  // What the wanted modules need is known only after reading: take all.
  const select = (path: string): boolean => /(^|\/)boot\/vmlinuz-[^/]+$/.test(path) || /\/modules\.builtin$/.test(path) || /\.ko(\.(xz|gz|zst))?$/.test(path);
  const entries = await readDebTree(deb, label, { select, signal });
  const image = entries.find((entry) => /(^|\/)vmlinuz-[^/]+$/.test(entry.path) && entry.type === 'file');
  if (!image) throw new ImageError(`${label} holds no boot/vmlinuz: choose another kernel`);
  const version = image.path.slice(image.path.lastIndexOf('vmlinuz-') + 'vmlinuz-'.length);
  const builtin = entries.find((entry) => entry.path.endsWith('/modules.builtin'));
  const set = new ModuleSet(entries, Buffer.from(builtin?.content ?? []).toString('latin1'));
  const modules = (await set.inLoadOrder(TINY_MODULES)).map((module) => ({ ...module, path: module.path.replace(/^usr\//, '') }));
  return { image: image.content, version, modules };
}

async function readBusybox(deb: Uint8Array, label: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const isBusybox = (path: string): boolean => path === 'bin/busybox' || path === 'usr/bin/busybox';
  const entries: TreeEntry[] = await readDebTree(deb, label, { select: isBusybox, signal });
  const busybox = entries.find((entry) => entry.type === 'file');
  if (!busybox) throw new ImageError(`${label} holds no bin/busybox: choose another suite`);
  return busybox.content;
}
